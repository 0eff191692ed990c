#!/bin/bash
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Puts a node's httpd back to what the package ships: the first run keeps a copy, later ones restore it.
set -e
if [ -d /etc/httpd ]; then service=httpd; else service=apache2; fi
root=/etc/$service
shipped=/var/backups/$service-as-shipped
if [ ! -d $shipped ]; then cp -a $root $shipped; fi
umount -q $root 2>/dev/null || true
find $root -mindepth 1 -delete
cp -a $shipped/. $root/
rm -rf /etc/systemd/system/$service.service.d
systemctl daemon-reload
systemctl reset-failed $service 2>/dev/null || true
systemctl restart $service

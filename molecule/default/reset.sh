#!/bin/bash
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Puts a node's httpd back to what the package ships: the first run keeps a copy, later ones restore it.
set -e
shipped=/var/backups/apache2-as-shipped
if [ ! -d $shipped ]; then cp -a /etc/apache2 $shipped; fi
umount -q /etc/apache2 2>/dev/null || true
find /etc/apache2 -mindepth 1 -delete
cp -a $shipped/. /etc/apache2/
rm -rf /etc/systemd/system/apache2.service.d
systemctl daemon-reload
systemctl reset-failed apache2 2>/dev/null || true
systemctl restart apache2

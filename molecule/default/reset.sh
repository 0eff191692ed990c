#!/bin/bash
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Puts a node's httpd back to what the package ships, without housekeeping of a database: the first run keeps a copy of
# httpd's files, later ones restore it.
set -e
if [ -d /etc/httpd ]; then service=httpd; else service=apache2; fi
root=/etc/$service
shipped=/var/backups/$service-as-shipped
if [ ! -d $shipped ]; then cp -a $root $shipped; fi
umount -q $root 2>/dev/null || true
find $root -mindepth 1 -delete
cp -a $shipped/. $root/
systemctl disable -q --now mod-session-store.timer 2>/dev/null || true
rm -rf /etc/systemd/system/$service.service.d /etc/systemd/system/mod-session-store.* /etc/mod-session-store
systemctl daemon-reload
systemctl reset-failed $service 2>/dev/null || true
# What other journeys lost on purpose is no finding of this one; a search for leaks still finds it.
mkdir -p /var/log/earlier/$service
for log in /var/log/$service/error*; do
    if [ -s "$log" ]; then mv "$log" "/var/log/earlier/$service/$(date +%s%N)-${log##*/}"; fi
done
systemctl restart $service

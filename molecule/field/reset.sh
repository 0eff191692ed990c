#!/bin/bash
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# SPDX-License-Identifier: GPL-3.0-or-later
# After molecule/default/reset.sh: takes away what a site has beside its httpd's configuration.
set -e
systemctl stop haproxy fail2ban site 2>/dev/null || true
systemctl reset-failed 2>/dev/null || true
shipped=/var/backups/field-as-shipped
if [ ! -d $shipped ]; then
    mkdir $shipped
    tar -C / -cf $shipped/all.tar etc/haproxy etc/fail2ban etc/modsecurity var/www usr/lib/cgi-bin
fi
rm -rf /etc/haproxy /etc/fail2ban /etc/modsecurity /var/www /usr/lib/cgi-bin /srv/* /etc/ssl/site /var/log/site
rm -rf /var/lib/fail2ban/* /var/log/fail2ban.log /var/log/apache2/*
tar -C / -xf $shipped/all.tar
nft flush ruleset 2>/dev/null || true
systemctl restart apache2

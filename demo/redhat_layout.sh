#!/bin/sh
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs inside an image: Debian's httpd moves to where Red Hat's packages have theirs, with their user, unit, way of loading
# modules and apachectl. Nothing is left in Debian's places. What it is not: RPM, SELinux, Red Hat's build of httpd.
set -e

cat >/etc/os-release.new <<'END'
NAME="Rocky Linux"
PRETTY_NAME="Debian's httpd in the layout of Rocky Linux 9"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.4"
END
rm /etc/os-release
mv /etc/os-release.new /etc/os-release

groupadd --system --gid 48 apache
useradd --system --uid 48 --gid apache --home-dir /usr/share/httpd --no-create-home --shell /usr/sbin/nologin apache

mkdir -p /usr/lib64/httpd /usr/libexec /etc/httpd/conf /etc/httpd/conf.d /etc/httpd/conf.modules.d /var/www/html /var/log/httpd
mv /usr/lib/apache2/modules /usr/lib64/httpd/modules
mv /usr/sbin/apache2 /usr/libexec/httpd
rm -rf /etc/apache2 /usr/lib/apache2
chmod 0700 /var/log/httpd
ln -s ../../usr/lib64/httpd/modules /etc/httpd/modules
ln -s ../../var/log/httpd /etc/httpd/logs
ln -s /run/httpd /etc/httpd/run
echo 'd /run/httpd 0710 root apache' >/usr/lib/tmpfiles.d/httpd.conf

# The paths that Red Hat's program is built with are arguments of Debian's.
cat >/usr/sbin/httpd <<'END'
#!/bin/sh
exec /usr/libexec/httpd -d /etc/httpd -f /etc/httpd/conf/httpd.conf \
    -C 'DefaultRuntimeDir /run/httpd' -C 'PidFile /run/httpd/httpd.pid' "$@"
END

# As theirs, it takes one word and refuses more.
cat >/usr/sbin/apachectl <<'END'
#!/bin/sh
if [ $# -gt 1 ]; then
    echo "Passing arguments to httpd using apachectl is no longer supported."
    exit 1
fi
case $1 in
    start | stop | restart | status) exec systemctl --no-pager "$1" httpd.service ;;
    graceful) exec systemctl reload-or-restart httpd.service ;;
    configtest | -t) exec /usr/sbin/httpd -t ;;
    -v | -V) exec /usr/sbin/httpd "$1" ;;
    *) echo "apachectl: The \"$1\" option is not supported." >&2; exit 2 ;;
esac
END
chmod 0755 /usr/sbin/httpd /usr/sbin/apachectl

# Theirs is Type=notify, for which Debian has no mod_systemd: a start ends when httpd listens, or fails, as theirs.
cat >/usr/lib/systemd/system/httpd.service <<'END'
[Unit]
Description=The Apache HTTP Server
After=network.target

[Service]
Type=simple
Environment=LANG=C
ExecStart=/usr/sbin/httpd $OPTIONS -DFOREGROUND
ExecStartPost=/bin/bash -c 'while kill -0 $MAINPID && ! (: </dev/tcp/127.0.0.1/80); do sleep 0.1; done 2>/dev/null; kill -0 $MAINPID'
ExecReload=/usr/sbin/httpd $OPTIONS -k graceful
KillSignal=SIGWINCH
KillMode=mixed

[Install]
WantedBy=multi-user.target
END
systemctl -q enable httpd.service

# MariaDB's client library has its options where Red Hat's package mariadb-connector-c-config has them.
rm -rf /etc/mysql
mkdir /etc/my.cnf.d
printf '[client-server]\n\n!includedir /etc/my.cnf.d\n' >/etc/my.cnf

# load FILE NAME...: a file of conf.modules.d; what is built into Debian's program has no file of its own.
load() {
    file=/etc/httpd/conf.modules.d/$1
    shift
    for name; do
        if [ -e "/usr/lib64/httpd/modules/mod_$name.so" ]; then
            echo "LoadModule ${name}_module modules/mod_$name.so" >>"$file"
        fi
    done
}
load 00-base.conf access_compat actions alias allowmethods auth_basic auth_digest authn_core authn_dbd authn_file authz_core \
    authz_groupfile authz_host authz_user autoindex dbd deflate dir env expires filter headers include log_config mime \
    negotiation remoteip reqtimeout request rewrite setenvif slotmem_shm socache_shmcb status substitute unixd version
load 00-mpm.conf mpm_event
load 00-proxy.conf proxy proxy_http
# The package mod_session loads all of them as soon as it is installed.
load 01-session.conf session session_cookie session_dbd auth_form session_crypto

cat >/etc/httpd/conf/httpd.conf <<'END'
ServerRoot "/etc/httpd"
Listen 80
Include conf.modules.d/*.conf
User apache
Group apache
ServerAdmin root@localhost
<Directory />
    AllowOverride none
    Require all denied
</Directory>
DocumentRoot "/var/www/html"
<Directory "/var/www">
    AllowOverride None
    Require all granted
</Directory>
<IfModule dir_module>
    DirectoryIndex index.html
</IfModule>
<Files ".ht*">
    Require all denied
</Files>
ErrorLog "logs/error_log"
LogLevel warn
TypesConfig /etc/mime.types
AddDefaultCharset UTF-8
EnableSendfile on
IncludeOptional conf.d/*.conf
END

#!/bin/bash
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# SPDX-License-Identifier: GPL-3.0-or-later
# database.sh ADDRESS: PostgreSQL and MariaDB with an administrator and TLS only, both without any database of ours. The
# machine is called db, and known from outside by that address.
set -e
place=/etc/session-db
if [ ! -e $place/ca.crt ]; then
    mkdir -p $place/work
    chmod 0700 $place/work
    cd $place/work
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=databases of a test" -keyout ca.key -out ca.crt 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj "/CN=db" -keyout server.key -out server.csr 2>/dev/null
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out server.crt \
        -extfile <(echo "subjectAltName=DNS:db,IP:$1") 2>/dev/null
    for name in postgres mysql; do
        install -d -m 0700 -o $name -g $name $place/$name
        install -m 0600 -o $name -g $name server.key server.crt $place/$name/
    done
    install -m 0644 ca.crt $place/
fi
cat >/etc/postgresql/15/main/conf.d/session.conf <<-END
	listen_addresses = '*'
	ssl = on
	ssl_cert_file = '$place/postgres/server.crt'
	ssl_key_file = '$place/postgres/server.key'
END
printf 'local all postgres peer\nhostssl all all all scram-sha-256\n' >/etc/postgresql/15/main/pg_hba.conf
cat >/etc/mysql/mariadb.conf.d/99-session.cnf <<-END
	[mariadbd]
	bind-address = 0.0.0.0
	require-secure-transport = ON
	ssl-ca = $place/ca.crt
	ssl-cert = $place/mysql/server.crt
	ssl-key = $place/mysql/server.key
END
systemctl restart postgresql mariadb
for _try in $(seq 100); do
    if runuser -u postgres -- psql -qc 'SELECT 1' >/dev/null 2>&1 && mariadb -e 'SELECT 1' >/dev/null 2>&1; then break; fi
    sleep 0.2
done
password=$(cat /root/administrator)
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 <<-END
	DROP DATABASE IF EXISTS sessions WITH (FORCE);
	DROP ROLE IF EXISTS httpd;
	DROP ROLE IF EXISTS administrator;
	CREATE ROLE administrator LOGIN SUPERUSER PASSWORD '$password';
END
mariadb <<-END
	DROP DATABASE IF EXISTS sessions;
	DROP USER IF EXISTS httpd@'%';
	CREATE OR REPLACE USER administrator@'%' IDENTIFIED BY '$password';
	GRANT ALL ON *.* TO administrator@'%' WITH GRANT OPTION;
END

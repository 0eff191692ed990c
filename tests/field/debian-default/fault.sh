# Somebody takes Secure off, to try something without TLS.
sed -i 's/;Secure//' /etc/apache2/mod_session.d/*.conf
systemctl reload apache2

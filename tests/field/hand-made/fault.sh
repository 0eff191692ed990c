# A colleague copies the old section into the host of port 80 again.
sed -i '0,\,^</VirtualHost>,s,^</VirtualHost>,    <Location />\n        SessionCryptoPassphrase "secret phrase of 2019"\n    </Location>\n&,' /etc/apache2/sites-available/shop.conf
systemctl reload apache2

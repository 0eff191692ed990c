# A recipe for the admin area, taken from the manual.
sed -i 's,^</VirtualHost>,<Location /admin>\nSession On\nSessionCryptoPassphrase secret\n</Location>\n&,' /etc/apache2/sites-available/shop.conf
systemctl reload apache2

# The reader's corner is made to work quickly.
sed -i '\,^</virtualhost>,i <Location /corner>\nSessionCryptoPassphrase "corner of 2019"\n</Location>' /etc/apache2/sites-available/all.conf
systemctl reload apache2

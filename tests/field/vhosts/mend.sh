sed -i '/^<Location/,/^<.Location/d' /etc/apache2/sites-available/all.conf
systemctl reload apache2

sed -i '/^<Location/,/^<.Location/d' /etc/apache2/sites-available/shop.conf
systemctl reload apache2

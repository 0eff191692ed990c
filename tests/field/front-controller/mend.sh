rm -r /var/www/shop/admin

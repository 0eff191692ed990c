sed -i '/<If "true">/,/<.If>/d' /etc/apache2/sites-available/shop.conf
systemctl reload apache2

# A developer keeps the session away from a folder of the shop.
mkdir -p /var/www/shop/admin
echo 'SessionExclude /admin' >/var/www/shop/admin/.htaccess

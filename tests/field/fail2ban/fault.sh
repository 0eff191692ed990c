# Somebody turns sessions off for everybody, in a section that is read behind all others, so that no deploy gets through.
sed -i 's,^</VirtualHost>,    <If "true">\n        Session Off\n    </If>\n&,' /etc/apache2/sites-available/shop.conf
systemctl reload apache2

# An old recipe against sessions in the area of downloads, but for the whole site.
sed -i 's,^</VirtualHost>,    <Location "/">\n        Session Off\n    </Location>\n&,' /etc/apache2/sites-available/intranet.conf
systemctl reload apache2

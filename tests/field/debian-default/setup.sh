# What people do to the file that the package ships.
cd /etc/apache2/sites-available
sed -i -e 's,^\([[:space:]]*\)ServerAdmin .*,&\n\1ServerName www.example.test,' \
    -e 's,\(SSLCertificateFile\)[[:space:]].*,\1 /etc/ssl/site/site.pem,' -e '/SSLCertificateKeyFile/s,^,#,' default-ssl.conf
cat >../conf-available/shop.conf <<'END'
<Directory /var/www/html>
    Options +ExecCGI
    AddHandler cgi-script .cgi
    DirectoryIndex index.cgi
    FallbackResource /index.cgi
</Directory>
END
rm -f /var/www/html/index.html
a2enconf -q shop
a2ensite -q default-ssl

sed -i 's,^    </VirtualHost>,        IncludeOptional "/etc/apache2/mod_session.d/$domain.conf"\n&,' /etc/apache2/sites-available/all.conf
systemctl reload apache2

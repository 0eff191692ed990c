install -d -o www-data /var/log/site
# One process, so that mod_evasive counts all requests in one table.
printf 'StartServers 1\nServerLimit 1\nThreadsPerChild 25\nMaxRequestWorkers 25\n' >/etc/apache2/mods-enabled/mpm_event.conf

mkdir -p /var/log/site
printf '#!/bin/sh\nexit 0\n' >/usr/local/bin/purge_logs
chmod +x /usr/local/bin/purge_logs
# A line of long ago.
echo '{"time":"2020-05-05 05:05:05.000005","function":"[session_crypto:error]","process":"[pid 7:tid 7]","client":"192.0.2.7:50000","message":"AH01842: decrypt session failed, wrong passphrase?"}' >/var/log/site/error_log.2020-05-05

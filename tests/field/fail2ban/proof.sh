for jail in $(fail2ban-client status | sed -n 's/.*Jail list:[[:space:]]*//p' | tr -d ,); do
    fail2ban-client status $jail | grep -E '(Total banned|Total failed):[[:space:]]*0$' | wc -l | grep -qx 2 ||
        { fail2ban-client status $jail; exit 1; }
done
for log in /var/log/apache2/*; do
    for filter in /etc/fail2ban/filter.d/apache-*.conf; do
        case $filter in *apache-common*|*apache-pass*) continue ;; esac
        fail2ban-regex --print-all-matched $log $filter >/run/matched 2>&1 || true
        grep -q ' 0 matched' /run/matched || { echo "$filter takes lines of $log:"; cat /run/matched; exit 1; }
    done
done
# It is awake: somebody who guesses passwords is banned.
for try in 1 2 3 4 5 6; do
    date "+[%a %b %d %H:%M:%S.%6N %Y] [auth_basic:error] [pid 7:tid 7] [client 192.0.2.66:5000] AH01617: user root: authentication failure for \"/admin\": Password Mismatch" >>/var/log/apache2/error.log
done
for second in $(seq 20); do
    if fail2ban-client status apache-auth | grep -q '192\.0\.2\.66'; then exit 0; fi
    sleep 1
done
fail2ban-client status apache-auth
exit 1

# What the rules complained of is the attack alone.
! grep "\[client .*ModSecurity:" /var/log/apache2/error.log | grep -v 'uri "/search"' | grep .

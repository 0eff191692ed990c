# The site still sees its visitors' own addresses.
grep -q 'GET /cart HTTP/1.1" 200' /var/log/apache2/shop.log
! grep '^127\.0\.0\.1 .*/cart' /var/log/apache2/shop.log

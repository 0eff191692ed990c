sed 's/^SecRuleEngine .*/SecRuleEngine On/' /etc/modsecurity/modsecurity.conf-recommended >/etc/modsecurity/modsecurity.conf

# Somebody restored an old key file from a backup.
echo q7Vn3ZkT0xLr5JcW8bYd2GhM9sPf4RuA6eXo1KtBzNi >/etc/apache2/mod_session/passphrases
systemctl reload apache2

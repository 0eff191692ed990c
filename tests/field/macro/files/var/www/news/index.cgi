#!/bin/sh
# The application: it is given the session in X-Session, and writes it with X-Replace-Session.
echo "Content-Type: text/plain"
case "$REQUEST_URI" in */login) echo "X-Replace-Session: user=bert" ;; esac
echo
echo "News: ${REQUEST_URI} session: ${HTTP_X_SESSION:-none}"

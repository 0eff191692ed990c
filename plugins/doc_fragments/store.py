# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that says in which database sessions are kept, for the modules that take it."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the option C(store)."""

    DOCUMENTATION = r"""
options:
  store:
    description:
      - The database of the scopes that have C(store=dbd). Not needed without such a scope, nor for passphrases alone.
      - See docs/store.md.
    type: dict
    suboptions:
      driver:
        description: C(postgresql), C(mysql) (for MariaDB too), or C(sqlite) for a fleet of one node.
        type: str
      host:
        description: Name or address of the database.
        type: str
      port:
        description: Its port, by default 5432 or 3306.
        type: int
      database:
        description: Name of the database.
        type: str
      user:
        description: The user as which httpd connects. It needs SELECT, INSERT, UPDATE and DELETE on the one table.
        type: str
      password:
        description: Its password.
        type: str
      tls:
        description:
          - C(verify), the connection is encrypted and the database's certificate must be good for C(host); C(encrypt), the
            certificate is not looked at; C(off). By default C(verify).
        type: raw
      ca:
        description: File on the node with the authorities that may have signed the certificate. Needed with C(verify).
        type: path
      table:
        description: Name of the table, by default C(session).
        type: str
      file:
        description: File of SQLite's database, in a directory that httpd's user may write to.
        type: path
      connect_timeout:
        description: Seconds that a request waits for a connection, by default 3.
        type: int
"""

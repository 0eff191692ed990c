#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action session_cookie_info, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_cookie_info
short_description: Explain one session cookie
version_added: 0.1.0
description:
  - Says which passphrase sealed a cookie of httpd's session modules, until when it lives and what the session holds, or
    why it cannot be opened.
  - Runs on the controller, whatever the host. It asks no server and changes nothing.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.reads
  - httpd_fleet.mod_session.attributes.group
  - httpd_fleet.mod_session.ring_store
options:
  cookie:
    description:
      - Value of the cookie, or whatever you copied it with, such as C(name=value), a line of C(Set-Cookie), a C(Cookie) header
        with several cookies, a line of C(curl -v), a row of a browser's tools, or JSON. Quotes, percent-encoding and line breaks
        are fine.
      - Of several cookies, the one that opens is explained.
      - A cookie alive is as good as a login. Treat it like a password.
    type: str
    required: true
  passphrases:
    description: The passphrases to try, in the order of the servers' list; the first encrypts. Or give O(ring_store).
    type: list
    elements: str
    default: []
  cipher:
    description: Cipher of the scope, C(SessionCryptoCipher).
    type: str
    choices: [aes256, aes192, aes128, 3des192]
    default: aes256
  show_values:
    description: Return the values of the session too, not only their names and sizes.
    type: bool
    default: false
  max_age:
    description: C(SessionMaxAge) of the scope in seconds, from which the age of the cookie is told. V(0) if not known.
    type: int
    default: 0
requirements:
  - cryptography (on the controller)
author:
  - httpd_fleet maintainers (@httpd-fleet)
notes:
  - Keep passphrases in Ansible Vault or a lookup, never literally in a playbook. Ansible prints lines of the playbook
    around a task that failed, whatever the task does to keep them secret.
seealso:
  - module: httpd_fleet.mod_session.session_check
"""

EXAMPLES = r"""
- name: Cookie is explained
  httpd_fleet.mod_session.session_cookie_info:
    cookie: "{{ cookie }}"
    passphrases: "{{ session_keys_passphrases }}"
  register: explained

- name: Cookie is alive
  ansible.builtin.assert:
    that:
      - explained.opened_by >= 0
      - not explained.expired
    fail_msg: "{{ explained.reason }}"
"""

RETURN = r"""
opened_by:
  description: Index of the passphrase that opened the cookie, -1 when none did. 0 is the one that encrypts.
  returned: success
  type: int
  sample: 0
keys:
  description: What the session holds, in its order, also of an unencrypted cookie; empty where it cannot be read.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the value. Bytes that are not UTF-8 are written as backslash escapes.
      type: str
      returned: always
    size:
      description: Bytes of the value.
      type: int
      returned: always
    value:
      description: The value.
      type: str
      returned: when O(show_values=true)
  sample: [{"name": "user", "size": 5}]
expiry:
  description: When the session ends, ISO 8601 in UTC; none where it never does or cannot be read.
  returned: success
  type: str
  sample: "2026-01-31T12:00:00Z"
expired:
  description: Whether it ended already, by the controller's clock; none where it cannot be read.
  returned: success
  type: bool
  sample: false
age:
  description: Seconds since httpd wrote the cookie; none unless O(max_age) is given.
  returned: success
  type: int
  sample: 42
size:
  description: Characters of the cookie's value. Browsers refuse more than 4096 for name and value together.
  returned: success
  type: int
  sample: 108
reason:
  description:
    - Empty when the cookie was opened. Else why it was not, beginning with one of V(plain text), V(bad base64),
      V(too short), V(too long), V(unknown key), V(older than 2.4.25), V(other cipher), V(name of a row) (of a database) and
      V(no session) (several cookies, and none is one).
  returned: success
  type: str
  sample: "unknown key: No passphrase of the list sealed this cookie, or it was changed on its way."
"""

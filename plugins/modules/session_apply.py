#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node side of session_apply."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_apply
short_description: Put session configuration and passphrases live on a node, or leave it as it was
version_added: 0.1.0
description:
  - One transaction. Where nothing differs, on the disk and in what the running server answers, nothing is done.
  - Else a throw-away httpd proves the new files first (crypto driver, cipher, every passphrase, the cookie's attributes,
    and where sessions are in a database that one is written there and found again);
    then they are swapped in atomically, the whole configuration is tested, httpd is reloaded, and the live server is asked
    until it shows the new state.
  - On any failure the old files are put back and loaded, the old state is proven to serve, and the task fails with the reason.
  - A run that was killed at any point is undone by the next one. What somebody else changed meanwhile is left alone, and
    RV(undone) names it. The throw-away httpd of a killed run holds keys; it is ended in check mode too.
  - Files of virtual hosts that no scope wants any more are emptied.
  - Sessions that end because a scope changes (its cipher, store, path, virtual host, or its cookie's name, path or domain) or is
    taken out are warned of, in check mode too, with the way around.
  - Where SELinux is on, httpd gets leave to reach databases if a scope keeps its sessions in one (the boolean
    C(httpd_can_network_connect_db)), and files of ours that were copied or moved here get their context.
  - A list of passphrases that is from a ring is remembered with the ring's id and generation. A node does not go back from
    one that went live, also where the rest of a run is undone, for a check may have seen it; and it refuses an older one.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.group
  - httpd_fleet.mod_session.ring_store
  - httpd_fleet.mod_session.store
options:
  passphrases:
    description:
      - The passphrases in httpd's order; the first one encrypts, all of them decrypt.
      - Each has 32 to 256 characters of C(A-Z a-z 0-9 _ -). At most 6.
      - Or give O(ring_store), which answers O(ring) too.
    type: list
    elements: str
  allow_weak:
    description:
      - Accept a passphrase that is shorter or has other characters, for a fleet that already uses it. Warned of on every run.
    type: bool
    default: false
  scopes:
    description:
      - The scopes, as described for the role P(httpd_fleet.mod_session.session_config#role).
    type: list
    elements: dict
    required: true
  only_keys:
    description:
      - Put only the passphrase file live and leave the configuration as it is.
    type: bool
    default: false
  ring:
    description:
      - The ring that O(passphrases) are from; not set for a plain list. O(ring_store) fills it in.
      - A node that has a later generation of the ring refuses the list, and so does one that has other passphrases of the same
        generation; one that has another ring, or a plain list, refuses where sessions would be lost. Nothing is changed then.
    type: dict
    suboptions:
      id:
        description: The ring's id.
        type: str
        required: true
      generation:
        description: The generation of the ring in which its keys changed last.
        type: int
        required: true
  allow_loss:
    description:
      - Take the list of a ring that a node refuses; sessions are lost with it.
    type: bool
    default: false
  apart:
    description:
      - What the scopes have that may be secret, their C(directives) and C(reach), and so is kept out of the node's log. The
        controller fills this in; do not set it.
    type: str
    default: ""
  probes:
    description:
      - Cookies sealed under each passphrase, one entry for each scope. The controller fills this in; do not set it.
    type: list
    elements: dict
    default: []
    suboptions:
      scope:
        description: Name of the scope.
        type: str
        required: true
      marker:
        description: What a server that opens one of the cookies gives back.
        type: str
        required: true
      identity:
        description: What this node's probe locations answer with.
        type: str
        required: true
      cookies:
        description: One for each passphrase, in their order.
        type: list
        elements: str
        required: true
attributes:
  check_mode:
    support: full
    details: The trial is run and the prediction is exact; nothing that is live is changed.
  diff_mode:
    support: full
    details: Our directives are shown as they are, of a scope's own ones the names, passphrases as fingerprints that say
      nothing about them, what connects to the database not at all. Of a virtual host's file our line and its place are
      shown, and nothing else.
requirements:
  - Python 3.9 or later on the node, nothing else
  - C(cryptography) on the controller
notes:
  - Needs root on the node and systemd.
author:
  - httpd_fleet maintainers (@httpd-fleet)
"""

EXAMPLES = r"""
- name: Sessions are live
  httpd_fleet.mod_session.session_apply:
    passphrases: "{{ session_keys_passphrases }}"
    scopes:
      - name: app
        path: /app
        max_age: 3600

- name: Sessions are live, those of the shop in a database
  httpd_fleet.mod_session.session_apply:
    passphrases: "{{ session_keys_passphrases }}"
    scopes:
      - name: shop
        path: /shop
        store: dbd
    store:
      driver: postgresql
      host: db.example.com
      database: sessions
      user: httpd
      password: "{{ vault_session_store_password }}"
      ca: /etc/ssl/certs/ca-certificates.crt
"""

RETURN = r"""
changes:
  description: Paths that were changed, what was done to SELinux, and V(reload) or V(restart), in order.
  returned: success
  type: list
  elements: str
  sample: [/etc/apache2/mod_session/passphrases, reload]
undone:
  description: What an interrupted earlier run had left and was undone first; empty when there was nothing.
  returned: success
  type: str
state:
  description:
    - What is true after a failure. V(untouched), nothing was changed; V(restored), the old state was put back and serves
      (the new passphrases of a ring stay);
      V(broken), it was put back but the server does not serve as before.
  returned: failure
  type: str
  sample: restored
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.apply import (
    LOCK,
    LOCK_SECONDS,
    ApplyError,
    Wish,
    apply,
)
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.layout import layout_for, parse_os_release
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.live import ScopeProbe
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.node import LockTimeout, Node
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.passphrases import (
    PassphraseError,
    render_file,
    validate,
)
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes, with_secrets
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.selinux import SelinuxError, adjust
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import ARGUMENT, StoreOptionError, store_for
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.transaction import JournalError


def main():
    """Read the arguments, apply, report."""
    module = AnsibleModule(
        argument_spec={
            "passphrases": {"type": "list", "elements": "str", "no_log": True},
            "ring_store": {"type": "dict"},  # read on the controller
            "allow_weak": {"type": "bool", "default": False},
            "scopes": {"type": "list", "elements": "dict", "required": True},
            "apart": {"type": "str", "default": "", "no_log": True},
            "store": ARGUMENT,
            "only_keys": {"type": "bool", "default": False, "no_log": False},
            "ring": {"type": "dict", "options": {"id": {"type": "str", "required": True},
                                                 "generation": {"type": "int", "required": True}}},
            "allow_loss": {"type": "bool", "default": False},
            # Without suboptions no_log would hide the scopes' names, wherever they are part of a sentence.
            "probes": {"type": "list", "elements": "dict", "default": [], "options": {
                "scope": {"type": "str", "required": True},
                "marker": {"type": "str", "required": True},
                "identity": {"type": "str", "required": True},
                "cookies": {"type": "list", "elements": "str", "required": True, "no_log": True}}},
        },
        supports_check_mode=True,
    )
    try:
        passphrases = tuple(validate(module.params["passphrases"], module.params["allow_weak"])[0])
        ring = (module.params["ring"]["id"], module.params["ring"]["generation"]) if module.params["ring"] else None
        render_file(passphrases, ring)  # refuses an id that httpd would misread
        scopes = parse_scopes(with_secrets(module.params["scopes"], module.params["apart"]))
        sealed = {row["scope"]: row for row in module.params["probes"]}
        probes = tuple(ScopeProbe(scope, sealed[scope.name]["marker"], tuple(sealed[scope.name]["cookies"]),
                                  sealed[scope.name]["identity"])
                       for scope in scopes)
        # A key must not wait for a database.
        store = None if module.params["only_keys"] else store_for(module.params["store"], scopes)
    except (PassphraseError, ScopeError, StoreOptionError) as error:
        module.fail_json(msg=str(error), state="untouched")
    except KeyError as error:
        module.fail_json(msg="no sealed probes for scope %s: run this through its action plugin" % error, state="untouched")
    with open("/etc/os-release", encoding="utf-8") as handle:
        layout = layout_for(parse_os_release(handle.read()))
    if layout is None:
        module.fail_json(msg="this distribution is not supported; run session_preflight for details", state="untouched")
    wish = Wish(layout, passphrases, probes, module.params["only_keys"], ring, module.params["allow_loss"], store)
    node = Node(layout.service)
    database = store is not None and store.driver != "sqlite"
    adjusted = []
    try:
        with node.lock(LOCK, LOCK_SECONDS):
            # A key must not wait for anything else.
            adjusted = [] if wish.only_keys else adjust(node, layout, database, module.check_mode)
            result = apply(node, wish, module.check_mode)
    except ApplyError as error:
        kept = [] if module.check_mode else ["done before, and kept: %s" % text for text in adjusted]
        module.fail_json(msg="; ".join([str(error), *kept]), state=error.state)
    except SelinuxError as error:
        module.fail_json(msg="%s. Nothing else was changed" % error, state="untouched")
    except LockTimeout:
        module.fail_json(msg="another run has been at work on this node for %d s; nothing was changed. Wait for it, or "
                             "look for a process that holds %s" % (LOCK_SECONDS, LOCK), state="untouched")
    except JournalError as error:
        module.fail_json(msg=str(error), state="untouched")
    except OSError as error:
        module.fail_json(msg="%s; run again to find and undo what was begun" % error, state="untouched")
    for text in result.warnings:
        module.warn(text)
    changes = adjusted + result.changes
    module.exit_json(changed=bool(changes), changes=changes, undone=result.undone, diff=result.diff)


if __name__ == "__main__":
    main()

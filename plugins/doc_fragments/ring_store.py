# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the ring is kept: the option that several modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of O(ring_store)."""

    DOCUMENTATION = r"""
options:
  ring_store:
    description:
      - Where the ring is kept, read on the controller in one go. Give C(file) or C(kv). Used instead of a list of passphrases.
      - See docs/ring-stores.md for how to set one up.
    type: dict
    suboptions:
      file:
        description: Absolute path of a file that Ansible Vault encrypts.
        type: path
      vault_id:
        description: Vault id for a new file. A file that is there keeps the one that it has.
        type: str
      kv:
        description:
          - A secret of HashiCorp Vault's or OpenBao's KV version 2 engine. Needs the Python library C(hvac) on the controller.
          - C(address), C(mount) (default V(secret)), C(path), C(token), C(namespace) and C(ca) (file with certificates to trust).
          - By default C(address) and C(token) come from C(BAO_ADDR) and C(BAO_TOKEN) or C(VAULT_ADDR) and C(VAULT_TOKEN).
        type: dict
      read_only:
        description: Never save here, as where the file is a copy; what would change the ring is refused. See docs/scale.md.
        type: bool
        default: false
"""

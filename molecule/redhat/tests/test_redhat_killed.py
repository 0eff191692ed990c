# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In Red Hat's layout too, the node transaction is killed between any two of its steps, then run again."""

from __future__ import annotations

import pytest

from tests import journey

NODE = "rh1"
SITE = "/etc/httpd/conf.d/www.conf"
RESET = (journey.ROOT / "molecule" / "default" / "reset.sh").read_text()
WWW = {"name": "www", "path": "/www", "virtual_host": "www.example.test", "virtual_host_file": SITE, "cookie_name": "www"}
# Red Hat ships no virtual host, and the first one answers for every name.
WITH_SITE = RESET + """
for name in localhost www.example.test; do printf '<VirtualHost *:80>\\n    ServerName %%s\\n</VirtualHost>\\n' $name; done > %s
: > /etc/httpd/conf.modules.d/01-session.conf
systemctl restart httpd
""" % SITE


@pytest.mark.parametrize("before", ["nothing", "an older state"])
def test_killed_at_every_step_and_run_again(before):
    old, new = journey.new_key(), journey.new_key()
    request = {
        "reset": WITH_SITE,
        "old": None if before == "nothing" else journey.wish([old], [journey.APP]),
        "new": journey.wish([old, new], [{**journey.APP, "max_age": 1800}, WWW]),
        "next": None,
    }
    try:
        said = journey.on_node(NODE, "kill_apply.py", request, 900)
    finally:
        journey.on(NODE, "bash -s", stdin=RESET)
        assert journey.playbook("deploy", "--limit", NODE, extra={"session_fleet_group": "mixed_fleet"}).status == 0
    assert said["troubles"] == []
    assert said["steps"] > 30, "all steps were counted"

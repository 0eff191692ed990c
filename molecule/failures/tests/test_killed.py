# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node transaction is killed between any two of its steps, then run again."""

from __future__ import annotations

import pytest

from tests import journey

SITE = "/etc/apache2/sites-available/www.conf"
RESET = (journey.ROOT / "molecule" / "default" / "reset.sh").read_text() + """
printf '<VirtualHost *:80>\\n    ServerName www.example.test\\n</VirtualHost>\\n' > %s
ln -s ../sites-available/www.conf /etc/apache2/sites-enabled/www.conf
systemctl reload apache2
""" % SITE
WWW = {"name": "www", "path": "/", "virtual_host": "www.example.test", "virtual_host_file": SITE, "cookie_name": "www"}


@pytest.mark.parametrize("before", ["nothing", "an older state"])
@pytest.mark.parametrize("node", ["n1"])
def test_killed_at_every_step_and_run_again(node, before):
    old, new = journey.new_key(), journey.new_key()
    request = {
        "reset": RESET,
        "old": None if before == "nothing" else journey.wish([old], [journey.APP]),
        "new": journey.wish([old, new], [{**journey.APP, "max_age": 1800}, WWW]),
    }
    try:
        said = journey.on_node(node, "kill_apply.py", request)
    finally:
        journey.on(node, "bash -s", stdin=(journey.ROOT / "molecule" / "default" / "reset.sh").read_text())
        assert journey.playbook("deploy", "--limit", node).status == 0
    assert said["troubles"] == []
    assert said["steps"] > 30, "all steps were counted"

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node transaction is killed between any two of its steps, then run again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests import journey

SITE = "/etc/apache2/sites-available/www.conf"
RESET = (journey.ROOT / "molecule" / "default" / "reset.sh").read_text() + """
printf '<VirtualHost *:80>\\n    ServerName www.example.test\\n</VirtualHost>\\n' > %s
ln -s ../sites-available/www.conf /etc/apache2/sites-enabled/www.conf
systemctl reload apache2
""" % SITE
WWW = {"name": "www", "path": "/www", "virtual_host": "www.example.test", "virtual_host_file": SITE, "cookie_name": "www"}


BEFORE = {"n1": "nothing", "n2": "an older state", "n3": "a ring"}


def request_for(before):
    """What is to be tried, as kill_apply.py takes it."""
    old, new, gone = journey.new_key(), journey.new_key(), journey.new_key()
    scopes = [{**journey.APP, "max_age": 1800}, WWW]
    request = {
        "reset": RESET,
        "old": None if before == "nothing" else journey.wish([old, gone] if before == "an older state" else [old], [journey.APP]),
        "new": journey.wish([old, new], scopes),
        "next": None,
    }
    if before == "a ring":
        request["next"] = journey.wish([new, old], scopes)
        for generation, name in enumerate(("old", "new", "next"), 1):
            request[name]["ring"] = ["test", generation]
    return request


def test_killed_at_every_step_and_run_again():
    """Each case on a node of its own, all at once: mostly they wait."""
    requests = {node: request_for(before) for node, before in BEFORE.items()}
    try:
        with ThreadPoolExecutor(len(BEFORE)) as pool:
            said = dict(zip(BEFORE, pool.map(lambda node: journey.on_node(node, "kill_apply.py", requests[node], 900), BEFORE)))
    finally:
        for node in BEFORE:
            journey.on(node, "bash -s", stdin=(journey.ROOT / "molecule" / "default" / "reset.sh").read_text())
        assert journey.playbook("deploy").status == 0
    for node, found in said.items():
        assert found["troubles"] == [], BEFORE[node]
        assert found["steps"] > 30, "%s: all steps were counted" % BEFORE[node]

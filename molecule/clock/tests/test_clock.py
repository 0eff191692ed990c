# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node without time synchronisation gets it from a real time server; one that has it keeps what it has.

A container may not set a clock: chronyd runs with -x here, in a unit of the test's own, and measures all the same.
"""

from __future__ import annotations

import pytest

from tests import journey

NODE, OWN, SERVER = "n2", "n3", "db"
CONF = "/etc/chrony/chrony.conf"
UNIT = """[Unit]
Description=chronyd that sets no clock
[Service]
RuntimeDirectory=chrony
ExecStart=/usr/sbin/chronyd -x -d -F 0
[Install]
WantedBy=multi-user.target
"""
INSTALL = "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chrony >/dev/null"


def unit(node):
    journey.on(node, "cat >/etc/systemd/system/chrony.service && systemctl daemon-reload", stdin=UNIT)


@pytest.fixture(scope="module", autouse=True)
def places():
    """A time server, a node that has chrony with settings of its operator, and a node that has nothing."""
    for node in (NODE, OWN, SERVER):
        unit(node)
    journey.on(NODE, "apt-get -qq update")  # check mode updates no package lists
    journey.on(SERVER, INSTALL + f" && printf 'local stratum 8\\nallow all\\n' >{CONF} && systemctl restart chrony")
    journey.on(OWN, INSTALL + f" && echo '# mine' >>{CONF} && systemctl restart chrony")
    yield
    for node in (NODE, OWN, SERVER):
        journey.on(node, "systemctl stop chrony; rm -f /etc/systemd/system/chrony.service; systemctl daemon-reload;"
                         "dpkg --purge chrony >/dev/null 2>&1; rm -rf /etc/chrony")


@pytest.fixture(scope="module")
def server():
    """The time server's address, as nodes reach it."""
    return journey.on(SERVER, "hostname -I").split()[0]


def clock(*words, node=NODE, **extra):
    return journey.playbook("clock", "--limit", node, *words, extra=extra or None)


def state(node):
    return journey.on(node, f"ls /usr/sbin/chronyd 2>/dev/null; cat {CONF} 2>/dev/null; true")


@pytest.mark.parametrize("servers", [[], ["ntp.example.com; reboot"], "ntp.example.com ntp2.example.com"])
def test_bad_input_is_refused_and_nothing_is_installed(servers):
    done = clock(session_clock_servers=servers)
    assert done.status != 0 and done.changed == 0, done.output
    assert "session_clock_servers" in done.output
    assert state(NODE) == ""


def test_check_mode_says_so_and_installs_nothing(server):
    done = clock("--check", session_clock_servers=[server])
    assert done.status == 0 and done.changed == 1, done.output
    assert state(NODE) == ""


def test_first_run_gives_it_chrony_and_the_server_is_reached(server):
    done = clock(session_clock_servers=[server])
    assert done.status == 0 and done.changed > 0, done.output
    assert f"server {server} iburst" in state(NODE)
    assert journey.on(NODE, "chronyc -c tracking").split(",")[2] == "9", "a stratum below the server's"


def test_second_run_and_check_mode_change_nothing(server):
    for words in ((), ("--check", "--diff")):
        done = clock(*words, session_clock_servers=[server])
        assert done.status == 0 and done.changed == 0, done.output


def test_another_server_is_told_of_when_it_cannot_be_reached(server):
    silent = journey.on("n1", "hostname -I").split()[0]
    done = clock(session_clock_servers=[silent], _session_clock_wait=2)
    assert done.status != 0 and f"chrony has reached none of {silent}" in " ".join(done.output.split()), done.output
    assert clock(session_clock_servers=[server]).status == 0


def test_what_runs_already_is_left_alone():
    before = state(OWN)
    done = clock(node=OWN)
    assert done.status == 0 and done.changed == 0, done.output
    assert f"keeps the clock of {OWN} right; nothing is changed" in done.output
    assert state(OWN) == before and "# mine" in before

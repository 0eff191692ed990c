# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diagnosis says of a machine, by what its tools answer."""

from __future__ import annotations

import pytest

from plugins.module_utils import machine
from plugins.module_utils.layout import DEBIAN
from plugins.module_utils.scopes import parse_scopes

SCOPES = parse_scopes([{"name": "app", "path": "/app"}])
DRIVER = "/usr/lib/x86_64-linux-gnu/apr-util-1/apr_crypto_openssl-1.so"
SS = """\
LISTEN 0      128    0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=64,fd=3))
LISTEN 0      128       [::]:22    [::]:* users:(("sshd",pid=64,fd=4))
LISTEN 0      511          *:80       *:* users:(("apache2",pid=65,fd=4))"""
AVC = ("type=AVC msg=audit(1763892733.123:456): avc:  denied  { read } for  pid=81 comm=\"httpd\" name=\"passphrases\""
       " scontext=system_u:system_r:httpd_t:s0 tcontext=unconfined_u:object_r:user_home_t:s0 tclass=file permissive=0")
MANY = (1 << 30, 1 << 20)


class Machine:
    """A healthy node, on real iron; each test takes something away."""

    def __init__(self):
        self.answers = {"systemctl is-active -q chrony": (0, ""), "ss -Hltnp": (0, SS),
                        "timedatectl show -p NTPSynchronized --value": (0, "yes"), "systemd-detect-virt -cq": (1, "")}
        self.version, self.ports, self.active = (2, 4, 71), {22: ["0.0.0.0"], 80: ["*"]}, True
        self.drivers, self.audit, self.entropy, self.log, self.disks = [DRIVER], "", True, "", {}

    def run(self, argv, timeout=60.0):
        return self.answers.get(" ".join(argv), (127, f"{argv[0]}: no such command"))

    def version_of(self, binary):
        return self.version

    def listeners(self):
        return self.ports

    def service_active(self):
        return self.active

    def find(self, pattern):
        return [name for name in self.drivers if pattern == machine.DRIVERS[0]]

    def tail(self, path, size):
        return self.audit if path == machine.AUDIT_LOG else ""

    def free(self, path):
        return self.disks.get(path, MANY)

    def entropy_ready(self):
        return self.entropy

    def changelog(self, layout):
        return self.log


@pytest.fixture
def node():
    return Machine()


def told(node):
    return [(one.code, one.evidence) for one in machine.judge(machine.gather(node, DEBIAN, SCOPES), DEBIAN, SCOPES)]


def test_a_healthy_machine_has_nothing(node):
    assert told(node) == []


def test_a_machine_that_tells_nothing_is_not_blamed(node):
    """No ss, no timedatectl; a container's clock is its host's."""
    node.answers = {"systemd-detect-virt -cq": (0, "")}
    assert told(node) == []


def test_a_disk_without_room_or_without_files_is_named(node):
    node.disks = {"/var/log": (4096, 1 << 20), "/etc/apache2": (1 << 30, 0)}
    assert told(node) == [("disk_full", "/etc/apache2 has no file left; /var/log has 4 KiB left")]


def test_entropy_and_driver(node):
    node.entropy, node.drivers = False, []
    assert [code for code, _evidence in told(node)] == ["entropy", "driver_missing"]


def test_a_node_without_httpd_lacks_no_driver(node):
    node.version, node.drivers, node.ports = (), [], {}
    assert told(node) == []


def test_the_program_that_holds_the_port_is_named(node):
    node.answers["ss -Hltnp"] = (0, SS.replace('"apache2",pid=65', '"nginx",pid=812'))
    assert told(node) == [("port_taken", "nginx (process 812) listens on port 80")]


def test_a_port_nobody_listens_on(node):
    node.ports = {22: ["0.0.0.0"]}
    assert told(node) == [("not_listening", "nothing listens on port 80, and apache2 runs")]
    node.active = False  # that it does not run is said elsewhere
    assert told(node) == []


@pytest.mark.parametrize(("service", "synchronised", "container", "code"), [
    ("chrony", "yes", False, None),
    ("chrony", "no", False, "clock_unsynchronised"),
    ("ntpsec", "no", False, "clock_unsynchronised"),
    ("chrony", "no", True, None),
    ("", "no", False, "clock_undisciplined"),
    ("", "yes", False, None),  # kept right from outside
    ("", "no", True, None),
    ("systemd-timesyncd", "", False, None),  # timedatectl does not tell
])
def test_the_clock(node, service, synchronised, container, code):
    del node.answers["systemctl is-active -q chrony"]
    if service:
        node.answers[f"systemctl is-active -q {service}"] = (0, "")
    node.answers["timedatectl show -p NTPSynchronized --value"] = (0, synchronised) if synchronised else (1, "no bus")
    node.answers["systemd-detect-virt -cq"] = (0 if container else 1, "")
    assert [found for found, _evidence in told(node)] == ([code] if code else [])


def test_what_selinux_denied_httpd_last_is_shown(node):
    other = AVC.replace("httpd_t", "sshd_t")
    node.audit = "\n".join([AVC.replace("456", "455"), AVC, other])
    assert told(node) == [("selinux_denied", f"/var/log/audit/audit.log: {AVC}"[:327])]
    node.audit = other
    assert told(node) == []


def test_a_fix_is_looked_for_in_the_version_and_then_in_the_changelog(node):
    node.version = (2, 4, 48)
    (code, evidence), = told(node)
    assert (code, evidence.startswith("httpd 2.4.48, without CVE-2026-47360 (")) == ("package_cve", True)
    node.log = "apache2 (2.4.48-1+deb1)\n  * CVE-2026-47360: backported\n"
    assert told(node) == []
    node.version = (2, 4, 37)
    (code, evidence), = told(node)
    assert [cve in evidence for cve in ("2018-17199", "2021-26690", "2021-26691", "2018-1283", "2026-47360")] == [
        True, True, True, False, False]

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from plugins.module_utils.node import Node
from plugins.module_utils.preflight import CVES, MIN_HTTPD, Facts, judge
from plugins.module_utils.scopes import parse_scopes

GOOD = Facts(
    os_release={"ID": "debian", "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"}, kernel="6.1.0-18-amd64", uid=0,
    httpd=(2, 4, 69), fixed=(), listening=(22, 80, 443), entropy=True, systemd=True,
)
SCOPES = parse_scopes([
    {"name": "a", "path": "/a"}, {"name": "b", "path": "/b", "scheme": "https"}, {"name": "c", "path": "/c"}])


def test_a_good_node_is_neither_refused_nor_warned_of() -> None:
    assert judge(GOOD, SCOPES) == ([], [])
    assert judge(replace(GOOD, httpd=(), listening=()), SCOPES) == ([], []), "httpd is not installed yet"


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"os_release": {"ID": "alpine", "PRETTY_NAME": "Alpine Linux v3.20"}},
         "found Alpine Linux v3.20; needed is Debian, Ubuntu, RHEL, AlmaLinux, Rocky, CentOS or Fedora"),
        ({"os_release": {"ID": "alpine"}}, "found alpine; needed is Debian, Ubuntu, RHEL"),
        ({"os_release": {}}, "found an unknown system; needed is Debian, Ubuntu, RHEL"),
        ({"uid": 1000}, "runs as user id 1000; root is needed: set become: true"),
        ({"kernel": "3.10.0-1160.el7.x86_64"}, "found Linux kernel 3.10.0-1160.el7.x86_64; needed is 4 or later"),
        ({"kernel": ""}, "found Linux kernel ; needed is 4 or later"),
        ({"kernel": "unknown"}, "found Linux kernel unknown; needed is 4 or later"),
        ({"entropy": False}, "the kernel has no entropy yet, httpd would hang at its start; needed is a random source that is "
                             "ready: install rng-tools or haveged, or give the virtual machine a virtio-rng device"),
        ({"systemd": False}, "systemd does not run here; it is needed to reload httpd"),
        ({"listening": (22, 443)}, "nothing listens on port 80; httpd must serve it before sessions are set up: start "
                                   "apache2, or correct port in session_config_scopes"),
        ({"listening": (80,), "os_release": {"ID": "rocky"}}, "nothing listens on port 443; httpd must serve it before "
                                                              "sessions are set up: start httpd, or correct port"),
    ],
)
def test_refused(facts: dict[str, Any], refusal: str) -> None:
    refusals, warnings = judge(replace(GOOD, **facts), SCOPES)
    assert (len(refusals), warnings) == (1, [])
    assert refusals[0].startswith(refusal)


@pytest.mark.parametrize("kernel", ["4.0", "4.4.0-generic", "5.15.0", "6", "10.1"])
def test_kernels_that_do(kernel: str) -> None:
    assert judge(replace(GOOD, kernel=kernel), SCOPES) == ([], [])


def test_all_that_is_wrong_is_said_at_once() -> None:
    facts = Facts({}, "2.6", 5, (2, 2, 15), (), (), False, False)
    assert len(judge(facts, SCOPES)[0]) == 8


OURS = "/usr/sbin/apache2"
BITNAMI, CPANEL, NGINX = ("%s (process 81)" % path for path in (
    "/opt/bitnami/apache/bin/httpd", "/usr/local/apache/bin/httpd", "/usr/sbin/nginx"))


@pytest.mark.parametrize("program", [BITNAMI, CPANEL, NGINX, "/usr/bin/caddy (process 1)", "/usr/sbin/lighttpd (process 2)"])
@pytest.mark.parametrize(("port", "scopes"), [
    (80, SCOPES), (443, SCOPES), (80, parse_scopes([{"name": "x", "path": "/", "port": 81}]))])
def test_a_port_that_httpd_would_need_is_held_by_another_program(program: str, port: int, scopes: Any) -> None:
    bare = replace(GOOD, httpd=(), listening=(22, port), holders={22: ["/usr/sbin/sshd (process 5)"], port: [program]})
    assert judge(bare, scopes) == ([
        "%s listens on port %d, and /usr/sbin/apache2 of the package apache2, which would be installed, could not: the two "
        "cannot serve one port. Sessions are set up in the distribution's httpd only: move the site there, or "
        "end the other program" % (
            program, port)], [])


def test_a_port_is_held_by_nobody_knows_whom() -> None:
    (refusal,), _warnings = judge(replace(GOOD, httpd=(), listening=(80,)), SCOPES)
    assert refusal.startswith("a program that the kernel does not name listens on port 80, and /usr/sbin/apache2")
    assert judge(replace(GOOD, httpd=(), listening=(22, 8080), holders={8080: [NGINX]}), SCOPES) == ([], [])


@pytest.mark.parametrize(("holders", "refused"), [
    ({80: [OURS + " (process 7)"], 443: [OURS + " (process 7)"]}, []),
    ({80: [BITNAMI], 443: [OURS + " (process 7)"]}, [BITNAMI]),
    ({80: [CPANEL], 443: [CPANEL]}, [CPANEL, CPANEL]),
    ({8080: [BITNAMI]}, []),
    ({443: [NGINX], 80: ["/usr/sbin/haproxy (process 3)"]}, []),  # they hand on to it
    ({}, []),
])
def test_a_scope_is_served_by_another_httpd_than_the_distributions(holders: dict[int, list[str]], refused: list[str]) -> None:
    refusals, warnings = judge(replace(GOOD, holders=holders, binary=OURS), SCOPES)
    assert ([text.split(" listens")[0] for text in refusals], warnings) == (refused, [])
    assert all("not /usr/sbin/apache2: sessions are set up in the distribution's httpd only" in text for text in refusals)


def test_who_listens_is_read_from_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        found = Node("no-such-service").holders()
        for one in (server, other):
            assert found[one.getsockname()[1]] == ["%s (process %d)" % (os.path.realpath(sys.executable), os.getpid())]


def test_a_service_s_program_is_what_runs_not_the_script_that_started_it() -> None:
    node = Node("no-such-service")
    for said, program in ((str(os.getpid()), os.path.realpath(sys.executable)), ("0", "/usr/bin/env"), ("", "/usr/bin/env")):
        with mock.patch.object(node, "run", lambda _argv, said=said: (0, said)):
            assert node.service_program("/usr/bin/env") == os.path.realpath(program)


def test_a_port_is_missed_once_however_many_scopes_need_it() -> None:
    refusals, _warnings = judge(replace(GOOD, listening=()), SCOPES)
    assert [sentence.split(";")[0] for sentence in refusals] == [
        "nothing listens on port 80", "nothing listens on port 443"]
    assert judge(replace(GOOD, listening=()), ()) == ([], [])


@pytest.mark.parametrize(
    ("version", "refused"),
    [((2, 4, 24), True), ((2, 2, 34), True), ((2, 4), True), (MIN_HTTPD, False), ((2, 5), False), ((3,), False)],
)
def test_httpd_that_seals_without_a_mac_is_refused(version: tuple[int, ...], refused: bool) -> None:
    refusals, _warnings = judge(replace(GOOD, httpd=version), SCOPES)
    assert bool(refusals) is refused
    if refused:
        assert refusals == ["found httpd %s; needed is 2.4.25 or later: cookies of older ones carry no mac (CVE-2016-0736)"
                            % ".".join(map(str, version))]


@pytest.mark.parametrize(
    ("version", "fixed", "named"),
    [
        ((2, 4, 69), (), []),
        ((2, 4, 68), (), ["CVE-2026-47360"]),
        ((2, 4, 68), ("CVE-2026-47360",), []),
        ((2, 4, 48), (), ["CVE-2026-47360"]),
        ((2, 4, 47), ("CVE-2021-26690",), ["CVE-2021-26691", "CVE-2026-47360"]),
        ((2, 4, 37), ("CVE-2018-17199", "CVE-2021-26690", "CVE-2021-26691", "CVE-2026-47360"), []),
        ((2, 4, 38), (), ["CVE-2021-26690", "CVE-2021-26691", "CVE-2026-47360"]),
        ((2, 4, 33), (), ["CVE-2018-17199", "CVE-2021-26690", "CVE-2021-26691", "CVE-2026-47360"]),
        ((2, 4, 25), (), [cve for cve, _since, _meaning in CVES]),
    ],
)
def test_fixes_are_judged_by_version_and_by_the_package(
    version: tuple[int, ...], fixed: tuple[str, ...], named: list[str]
) -> None:
    refusals, warnings = judge(replace(GOOD, httpd=version, fixed=fixed), SCOPES)
    assert refusals == []
    assert len(warnings) == len(named)
    for cve, warning in zip(named, warnings):
        assert warning.startswith("httpd %s may lack the fix for %s (" % (".".join(map(str, version)), cve))
        assert warning.endswith("neither its version nor its package's changelog has it")

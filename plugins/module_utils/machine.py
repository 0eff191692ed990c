# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a node's machine ends sessions: driver, entropy, clock, ports, disks, SELinux, packages.

:func:`gather` asks, :func:`judge` says what it means. What cannot be known (a tool is missing) is no finding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from .causes import Symptom
from .layout import Layout
from .preflight import CVES
from .scopes import Scope

CLOCK_SERVICES = ("chrony", "chronyd", "systemd-timesyncd", "ntpsec", "ntp", "ntpd", "openntpd")
"""systemd units that keep a clock right."""

DRIVERS = ("/usr/lib/*/apr-util-1/apr_crypto_openssl*.so", "/usr/lib64/apr-util-1/apr_crypto_openssl*.so",
           "/usr/lib/apr-util-1/apr_crypto_openssl*.so")
"""Where apr-util has its crypto driver on Debian and Red Hat."""

AUDIT_LOG = "/var/log/audit/audit.log"
MOST_AUDIT = 1 << 20
"""Bytes of the audit log that are read, from its end."""

FULL = 64 * 1024
"""Bytes that must be free on a disk: a deploy's files and a log's next lines."""


class MachineNode(Protocol):
    """What is needed of a node."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Tuple[int, str]:
        """Run a command to its end."""

    def version_of(self, binary: str) -> Tuple[int, ...]:
        """httpd's version."""

    def listeners(self) -> Dict[int, List[str]]:
        """Listening TCP ports with their addresses."""

    def service_active(self) -> bool:
        """Whether httpd is running."""

    def find(self, pattern: str) -> List[str]:
        """Files that fit a pattern."""

    def tail(self, path: str, size: int) -> str:
        """The end of a file."""

    def free(self, path: str) -> Optional[Tuple[int, int]]:
        """Bytes and files that root may still write where a path lies."""

    def entropy_ready(self) -> bool:
        """Whether the kernel gives random bytes without waiting."""

    def changelog(self, layout: Layout) -> str:
        """Of the httpd package."""


@dataclass(frozen=True)
class MachineFacts:
    """What was asked.

    :ivar clock: unit that keeps the clock right and runs; empty for none.
    :ivar synchronised: whether the kernel says that it has the right time; None where it does not tell.
    :ivar container: the clock is the host's.
    :ivar free: by directory, bytes and files that root may still write.
    :ivar holders: by port, the program that listens, where another than httpd is known to.
    :ivar denied: the last line in which SELinux denied httpd something.
    :ivar fixed: CVEs that the package's changelog names; None where the version has all fixes anyway.
    """

    httpd: Tuple[int, ...] = ()
    active: bool = True
    drivers: Tuple[str, ...] = ()
    entropy: bool = True
    clock: str = ""
    synchronised: Optional[bool] = None
    container: bool = False
    listening: Tuple[int, ...] = ()
    free: Mapping[str, Tuple[int, int]] = field(default_factory=dict)
    holders: Mapping[int, str] = field(default_factory=dict)
    denied: str = ""
    fixed: Tuple[str, ...] = ()


def gather(node: MachineNode, layout: Layout, scopes: Sequence[Scope]) -> MachineFacts:
    """Ask; changes nothing."""
    version = node.version_of(layout.binary)
    old = bool(version) and any(version < since for _name, since, _meaning in CVES)
    text = node.changelog(layout) if old else ""
    clock = next((name for name in CLOCK_SERVICES if node.run(["systemctl", "is-active", "-q", name])[0] == 0), "")
    status, said = node.run(["timedatectl", "show", "-p", "NTPSynchronized", "--value"])
    ports = sorted({scope.port for scope in scopes})
    places = (layout.server_root, "/var/log", layout.error_log.rsplit("/", 1)[0], "/run", "/tmp")
    return MachineFacts(
        httpd=version,
        active=node.service_active(),
        drivers=tuple(name for pattern in DRIVERS for name in node.find(pattern)),
        entropy=node.entropy_ready(),
        clock=clock,
        synchronised=(said.strip() == "yes") if status == 0 and said.strip() in ("yes", "no") else None,
        container=node.run(["systemd-detect-virt", "-cq"])[0] == 0,
        listening=tuple(node.listeners()),
        free={place: found for place, found in ((place, node.free(place)) for place in places) if found},
        holders=_holders(node.run(["ss", "-Hltnp"])[1], ports, layout),
        denied=_denied(node),
        fixed=tuple(name for name, _since, _meaning in CVES if name in text),
    )


def judge(facts: MachineFacts, layout: Layout, scopes: Sequence[Scope]) -> List[Symptom]:
    """What the facts mean."""
    found: List[Symptom] = []
    full = ["%s has %s left" % (place, "no file" if size >= FULL else "%d KiB" % (size // 1024))
            for place, (size, files) in facts.free.items() if size < FULL or files < 1]
    if full:
        found.append(Symptom("disk_full", "; ".join(full)))
    if not facts.entropy:
        found.append(Symptom("entropy", "getrandom() would wait"))
    if facts.httpd and not facts.drivers:
        found.append(Symptom("driver_missing", "there is no %s" % " or ".join(DRIVERS)))
    for port in sorted({scope.port for scope in scopes}):
        holder = facts.holders.get(port)
        if holder:
            found.append(Symptom("port_taken", "%s listens on port %d" % (holder, port)))
        elif facts.httpd and facts.active and port not in facts.listening:
            found.append(Symptom("not_listening", "nothing listens on port %d, and %s runs" % (port, layout.service)))
    found += _clock(facts)
    if facts.denied:
        found.append(Symptom("selinux_denied", facts.denied))
    missing = ["%s (%s)" % (name, meaning) for name, since, meaning in CVES
               if facts.httpd and facts.httpd < since and name not in facts.fixed]
    if missing:
        found.append(Symptom("package_cve", "httpd %s, without %s" % (".".join(map(str, facts.httpd)), "; ".join(missing))))
    return found


def _clock(facts: MachineFacts) -> List[Symptom]:
    if facts.clock:
        if facts.synchronised is False and not facts.container:
            return [Symptom("clock_unsynchronised", "%s.service runs, and the kernel's clock is not synchronised" % facts.clock)]
        return []
    # In a container and in some virtual machines the clock is kept right from outside.
    if facts.container or facts.synchronised:
        return []
    return [Symptom("clock_undisciplined", "none of %s runs" % ", ".join(CLOCK_SERVICES))]


def _holders(listing: str, ports: Sequence[int], layout: Layout) -> Dict[int, str]:
    """Programs other than httpd that listen on a port, from ``ss -Hltnp``."""
    found = {}
    for line in listing.splitlines():
        words = line.split()
        match = re.search(r'users:\(\("([^"]+)",pid=(\d+)', line)
        port = words[3].rsplit(":", 1)[-1] if len(words) > 3 else ""
        if match and port.isdigit() and int(port) in ports and match.group(1) not in (layout.service, "httpd", "apache2"):
            found[int(port)] = "%s (process %s)" % (match.group(1), match.group(2))
    return found


def _denied(node: MachineNode) -> str:
    """The last line in which SELinux denied httpd something; empty where none is known."""
    said = node.tail(AUDIT_LOG, MOST_AUDIT).splitlines()
    lines = [line for line in said if "avc:" in line and "denied" in line and "httpd_t" in line]
    return "%s: %s" % (AUDIT_LOG, lines[-1].strip()[:300]) if lines else ""

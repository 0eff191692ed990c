# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node must be before anything is changed on it: facts in, refusals and warnings out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Sequence, Tuple

from .layout import Layout, layout_for
from .scopes import Scope

MIN_HTTPD = (2, 4, 25)
"""First httpd whose session cookies carry a mac (CVE-2016-0736); older ones cannot share sessions with newer ones."""

MIN_KERNEL = 4

CVES: Tuple[Tuple[str, Tuple[int, ...], str], ...] = (
    ("CVE-2018-1283", (2, 4, 33), "a client can spoof the session of a backend that reads SessionEnv"),
    ("CVE-2018-17199", (2, 4, 38), "expired sessions are accepted"),
    ("CVE-2021-26690", (2, 4, 48), "a crafted cookie crashes the server"),
    ("CVE-2021-26691", (2, 4, 48), "a crafted session overflows the heap"),
    ("CVE-2026-47360", (2, 4, 69), "the session cookie reaches a backend after an internal redirect"),
)
"""Security fixes of the session modules: name, first httpd that has it, what happens without."""


@dataclass(frozen=True)
class Facts:
    """What the node says about itself.

    :ivar httpd: version such as ``(2, 4, 62)``; empty where httpd is not installed.
    :ivar fixed: CVE names that the installed package's changelog mentions.
    :ivar listening: TCP ports somebody listens on.
    :ivar holders: by port, the programs that listen, with their paths, as far as they are known.
    :ivar binary: the program that the distribution's httpd runs as, links followed.
    :ivar entropy: whether the kernel's random source is ready.
    """

    os_release: Mapping[str, str]
    kernel: str
    uid: int
    httpd: Tuple[int, ...]
    fixed: Tuple[str, ...]
    listening: Tuple[int, ...]
    entropy: bool
    systemd: bool
    holders: Mapping[int, Sequence[str]] = field(default_factory=dict)
    binary: str = ""


def judge(facts: Facts, scopes: Sequence[Scope]) -> Tuple[List[str], List[str]]:
    """Refusals and warnings, each a sentence with what was found and what is needed."""
    refusals: List[str] = []
    warnings: List[str] = []
    name = facts.os_release.get("PRETTY_NAME") or facts.os_release.get("ID") or "an unknown system"
    layout = layout_for(facts.os_release)
    if layout is None:
        refusals.append("found %s; needed is Debian, Ubuntu, RHEL, AlmaLinux, Rocky, CentOS or Fedora" % name)
    if facts.uid != 0:
        refusals.append("runs as user id %d; root is needed: set become: true" % facts.uid)
    kernel = re.match(r"(\d+)", facts.kernel)
    if not kernel or int(kernel.group(1)) < MIN_KERNEL:
        refusals.append("found Linux kernel %s; needed is %d or later" % (facts.kernel, MIN_KERNEL))
    if not facts.entropy:
        refusals.append("the kernel has no entropy yet, httpd would hang at its start; needed is a random source that is "
                        "ready: install rng-tools or haveged, or give the virtual machine a virtio-rng device")
    if not facts.systemd:
        refusals.append("systemd does not run here; it is needed to reload httpd")
    if facts.httpd:
        refusals += _version_refusals(facts)
        warnings += _version_warnings(facts)
        refusals += _other_httpd(facts, scopes, layout)
        for port in sorted({scope.port for scope in scopes} - set(facts.listening)):
            refusals.append("nothing listens on port %d; httpd must serve it before sessions are set up: start %s, or "
                            "correct port in session_config_scopes" % (port, layout.service if layout else "httpd"))
    else:
        refusals += _taken(facts, scopes, layout)
    return refusals, warnings


PACKAGE_PORT = 80
"""Where a distribution's httpd listens as soon as it is installed."""


def _taken(facts: Facts, scopes: Sequence[Scope], layout: Optional[Layout]) -> List[str]:
    """Ports that httpd, which is not installed yet, could not have."""
    ours = "%s of the package %s" % (layout.binary, layout.packages[0]) if layout else "the distribution's httpd"
    return ["%s listens on port %d, and %s, which would be installed, could not: the two cannot serve one port. Sessions are "
            "set up in the distribution's httpd only: move the site there, or end the other program" % (
                " and ".join(facts.holders.get(port) or ["a program that the kernel does not name"]), port, ours)
            for port in sorted({PACKAGE_PORT, *(scope.port for scope in scopes)} & set(facts.listening))]


def _other_httpd(facts: Facts, scopes: Sequence[Scope], layout: Optional[Layout]) -> List[str]:
    """Ports of scopes that are served by an httpd that is not the distribution's; a proxy in front of it is none."""
    found = []
    for port in sorted({scope.port for scope in scopes}):
        others = [text for text in facts.holders.get(port, ()) if re.search(r"/(httpd|apache2)[^/]*\Z", text)
                  and text.split(" (")[0] != facts.binary]
        if others and facts.binary:
            found.append("%s listens on port %d, not %s: sessions are set up in the distribution's httpd only. Move the site "
                         "there, or correct port in session_config_scopes" % (" and ".join(others), port, facts.binary))
    return found


def _version_refusals(facts: Facts) -> List[str]:
    if facts.httpd >= MIN_HTTPD:
        return []
    return ["found httpd %s; needed is %s or later: cookies of older ones carry no mac (CVE-2016-0736)" % (
        _dotted(facts.httpd), _dotted(MIN_HTTPD))]


def _version_warnings(facts: Facts) -> List[str]:
    return ["httpd %s may lack the fix for %s (%s): neither its version nor its package's changelog has it" % (
        _dotted(facts.httpd), cve, meaning)
        for cve, since, meaning in CVES if facts.httpd < since and cve not in facts.fixed]


def _dotted(version: Sequence[int]) -> str:
    return ".".join(str(part) for part in version)

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the Red Hat family: a public image that boots systemd, and on it what a fleet needs of a machine. No httpd.

They can be had only where an image registry and the distribution's packages can be reached.
FLEET_IMAGE_<SUITE> names another image to begin with, for example the same one in a registry of your own.
"""

from __future__ import annotations

import hashlib
import os

from engine import FleetError, podman

SUITES = {
    "rocky9": "quay.io/rockylinux/rockylinux:9-ubi-init",
    "alma10": "docker.io/almalinux/10-init:latest",
}
_RECIPE = """FROM {base}
RUN dnf -y -q install openssh-server sudo python3 python3-dnf iproute procps-ng && dnf clean all
RUN useradd --create-home --shell /bin/bash ops \
    && echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops && chmod 0440 /etc/sudoers.d/ops \
    && rm -f /etc/ssh/ssh_host_* && systemctl -q enable sshd.service \
    && systemctl -q mask systemd-logind.service getty.target console-getty.service systemd-remount-fs.service \
       systemd-udev-trigger.service dev-hugepages.mount sys-fs-fuse-connections.mount dnf-makecache.timer \
    && : >/etc/machine-id
CMD ["/sbin/init"]
"""
# What podman says where it reaches no registry; a wrong name of an image sounds otherwise.
_NO_REGISTRY = ("pinging container registry", "dial tcp", "i/o timeout")


class NoRegistry(FleetError):
    """The image registry cannot be reached."""


def _base(suite: str) -> str:
    return os.environ.get(f"FLEET_IMAGE_{suite.upper()}") or SUITES[suite]


def image_name(suite: str) -> str:
    """The name of the image of a suite, once it is built."""
    recipe = _RECIPE.format(base=_base(suite))
    return f"localhost/session-fleet-bare-{suite}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build(suite: str) -> None:
    """Pull what the image begins with, and build it. Raises NoRegistry where no registry answers."""
    base = _base(suite)
    try:
        podman("pull", "-q", base, timeout=1800)
    except FleetError as error:
        if any(words in str(error) for words in _NO_REGISTRY):
            raise NoRegistry(f"The registry of {base} cannot be reached from here. {error}") from error
        raise
    # chroot: a container's settings have not been tried yet.
    podman(
        "build", "-q", "--isolation=chroot", "-t", image_name(suite), "-", stdin=_RECIPE.format(base=base).encode(),
        timeout=1800,
    )  # fmt: skip

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages for sessions a node lacks; the door to it is an argument."""

from __future__ import annotations

from typing import List, Protocol, Sequence, Tuple

from .layout import Layout
from .store import HTTPD_DRIVERS

FOLDERS = ("/usr/lib/*/apr-util-1", "/usr/lib64/apr-util-1")
"""Where apr-util's drivers are."""


class PackageNode(Protocol):
    """What is needed of a node."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Tuple[int, str]:
        """Run a command to its end."""

    def find(self, pattern: str) -> List[str]:
        """Files that fit a pattern."""


def missing(node: PackageNode, layout: Layout, store_driver: str = "") -> List[str]:
    """Names of the packages to install, in this order.

    The OpenSSL driver of apr-util is looked for by its file: its package is named only where the file is missing and the
    release has such a package.

    :param store_driver: the kind of database that sessions are kept in, as in ``session_store``; empty for none.
    """
    found = [name for name in layout.packages if not _installed(node, layout.family, name)]
    if not _driver(node, "apr_crypto_openssl"):
        # The driver first: on Red Hat the package of the module loads session_crypto at once, which needs it to start.
        found = [name for name in layout.driver_packages if _known(node, layout.family, name)] + found
    if store_driver and not _driver(node, "apr_dbd_%s" % HTTPD_DRIVERS[store_driver]):
        found.append(layout.store_packages[store_driver])
    return found


def _driver(node: PackageNode, name: str) -> bool:
    return any(node.find("%s/%s*.so" % (folder, name)) for folder in FOLDERS)


def _installed(node: PackageNode, family: str, package: str) -> bool:
    if family == "debian":
        return node.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package]) == (0, "installed")
    return node.run(["rpm", "-q", package])[0] == 0


def _known(node: PackageNode, family: str, package: str) -> bool:
    """Whether the release has a package of that name: every release of the Red Hat family has the driver's."""
    return family == "redhat" or node.run(["apt-cache", "show", package])[0] == 0

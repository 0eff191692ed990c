# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages a node lacks."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from plugins.module_utils.layout import DEBIAN, REDHAT
from plugins.module_utils.packages import missing


class Node:
    """A node with these packages and files; ``offers``: packages that its release has."""

    def __init__(self, installed=(), files=(), offers=()):
        self.installed, self.files, self.offers = installed, files, offers

    def run(self, argv, timeout=60.0):
        """What dpkg-query, rpm and apt-cache say."""
        if argv[:2] == ["apt-cache", "show"]:
            return (0, "Package: " + argv[2]) if argv[2] in self.offers else (100, "E: No packages found")
        here = argv[-1] in self.installed
        return (0, "installed") if here else (1, "no packages found")

    def find(self, pattern):
        """The files that fit."""
        return [name for name in self.files if fnmatch(name, pattern)]


CRYPTO = "/usr/lib/x86_64-linux-gnu/apr-util-1/apr_crypto_openssl-1.so"
CRYPTO64 = "/usr/lib64/apr-util-1/apr_crypto_openssl.so"
PGSQL = "/usr/lib/x86_64-linux-gnu/apr-util-1/apr_dbd_pgsql-1.so"


@pytest.mark.parametrize("node, layout, store, names", [
    (Node(["apache2"], [CRYPTO]), DEBIAN, "", []),
    (Node([], [], ["libaprutil1-crypto"]), DEBIAN, "", ["libaprutil1-crypto", "apache2"]),
    (Node(["apache2"], []), DEBIAN, "", []),  # a release that has the driver in another package, and says so when it starts
    (Node(["apache2"], [CRYPTO]), DEBIAN, "postgresql", ["libaprutil1-dbd-pgsql"]),
    (Node(["apache2"], [CRYPTO, PGSQL]), DEBIAN, "postgresql", []),
    (Node(["apache2"], [CRYPTO, PGSQL]), DEBIAN, "mysql", ["libaprutil1-dbd-mysql"]),
    (Node(["httpd", "mod_session"], [CRYPTO64]), REDHAT, "", []),
    (Node(["httpd"], []), REDHAT, "sqlite", ["apr-util-openssl", "mod_session", "apr-util-sqlite"]),
])  # fmt: skip
def test_what_is_missing(node, layout, store, names):
    assert missing(node, layout, store) == names

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where httpd keeps its things on each family of systems: the one table of differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Sequence, Tuple


@dataclass(frozen=True)
class Layout:
    """Paths and names of one family of systems. All paths are absolute.

    ``conf_enabled`` and ``modules_enabled`` are directories of symbolic links (Debian's way); empty where a file in
    ``conf_dir`` is live by being there, and the file ``modules_file`` loads what the packages' own files do not.
    ``store_packages``: of apr-util's driver for each kind of database. ``client_options_dir``: whose files every program
    with MariaDB's client library reads. ``error_log``: where the package has it, for a configuration that cannot be read.
    ``control`` takes httpd's own arguments, ``-t -c ...`` among them; it reads the configuration as the service does.
    """

    family: str
    server_root: str
    binary: str
    control: str
    service: str
    user: str
    modules_dirs: Tuple[str, ...]
    conf_dir: str
    conf_enabled: str
    modules_available: str
    modules_enabled: str
    modules_file: str
    packages: Tuple[str, ...]
    driver_packages: Tuple[str, ...]
    store_packages: Mapping[str, str]
    client_options_dir: str
    error_log: str

    @property
    def key_dir(self) -> str:
        """Directory of the passphrase file: root only."""
        return self.server_root + "/mod_session"

    @property
    def key_file(self) -> str:
        """The passphrase file (SessionCryptoPassphraseFile)."""
        return self.key_dir + "/passphrases"

    @property
    def store_file(self) -> str:
        """httpd's configuration of the database, with its password."""
        return self.key_dir + "/store.conf"

    @property
    def client_options_file(self) -> str:
        """What httpd's driver for MySQL is told through its client library; nothing secret.

        Of a directory that my.cnf includes, the library (unlike the programs) reads the file of that name only (measured,
        MariaDB Connector/C 3.3).
        """
        return self.client_options_dir + "/my.cnf"

    @property
    def include_dir(self) -> str:
        """Directory of the files that virtual hosts include."""
        return self.server_root + "/mod_session.d"

    @property
    def conf_file(self) -> str:
        """The file with the scopes of the whole server."""
        return self.conf_dir + "/mod-session-fleet.conf"

    def include_file(self, virtual_host: str, port: int = 0) -> str:
        """The file with the scopes of one virtual host.

        :param port: of these scopes, where the host has scopes on several ports; 0 else.
        """
        return "%s/%s%s.conf" % (self.include_dir, virtual_host, ":%d" % port if port else "")


DEBIAN = Layout(
    family="debian",
    server_root="/etc/apache2",
    binary="/usr/sbin/apache2",
    control="/usr/sbin/apache2ctl",
    service="apache2",
    user="www-data",
    modules_dirs=("/usr/lib/apache2/modules",),
    conf_dir="/etc/apache2/conf-available",
    conf_enabled="/etc/apache2/conf-enabled",
    modules_available="/etc/apache2/mods-available",
    modules_enabled="/etc/apache2/mods-enabled",
    modules_file="",
    packages=("apache2",),
    driver_packages=("libaprutil1-crypto",),
    store_packages={"postgresql": "libaprutil1-dbd-pgsql", "mysql": "libaprutil1-dbd-mysql", "sqlite": "libaprutil1-dbd-sqlite3"},
    client_options_dir="/etc/mysql/conf.d",
    error_log="/var/log/apache2/error.log",
)

REDHAT = Layout(
    family="redhat",
    server_root="/etc/httpd",
    binary="/usr/sbin/httpd",
    # Red Hat's apachectl refuses arguments; httpd needs no environment there.
    control="/usr/sbin/httpd",
    service="httpd",
    user="apache",
    modules_dirs=("/usr/lib64/httpd/modules", "/usr/lib/httpd/modules"),
    conf_dir="/etc/httpd/conf.d",
    conf_enabled="",
    modules_available="",
    modules_enabled="",
    modules_file="/etc/httpd/conf.modules.d/99-mod-session-fleet.conf",
    packages=("httpd", "mod_session"),
    driver_packages=("apr-util-openssl",),
    store_packages={"postgresql": "apr-util-pgsql", "mysql": "apr-util-mysql", "sqlite": "apr-util-sqlite"},
    client_options_dir="/etc/my.cnf.d",
    error_log="/var/log/httpd/error_log",
)

SUPPORTED: Mapping[str, Layout] = {
    "debian": DEBIAN,
    "ubuntu": DEBIAN,
    "rhel": REDHAT,
    "fedora": REDHAT,
    "centos": REDHAT,
    "rocky": REDHAT,
    "almalinux": REDHAT,
}


def parse_os_release(text: str) -> Mapping[str, str]:
    """The fields of an os-release file (format: os-release(5))."""
    found = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            found[name] = value.strip("\"'")
    return found


def layout_for(os_release: Mapping[str, str]) -> Optional[Layout]:
    """The layout of a system by the ID and ID_LIKE of its os-release; None where it is not supported."""
    names: Sequence[str] = [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    for name in names:
        if name in SUPPORTED:
            return SUPPORTED[name]
    return None

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import fields
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils.layout import DEBIAN, REDHAT, Layout, layout_for, parse_os_release
from plugins.module_utils.store import HTTPD_DRIVERS

DEBIAN_12 = '''PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
ID=debian
HOME_URL="https://www.debian.org/"
'''
ROCKY_9 = '''NAME="Rocky Linux"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.4"
'''


def test_the_fields_of_an_os_release_file() -> None:
    assert parse_os_release(DEBIAN_12) == {
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)", "NAME": "Debian GNU/Linux", "VERSION_ID": "12", "ID": "debian",
        "HOME_URL": "https://www.debian.org/"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("# ID=debian\n\n  # NAME=x\nno equals sign\n", {}),
        ("ID='debian'\r\n", {"ID": "debian"}),
        ("  ID=debian  \nID_LIKE=\n", {"ID": "debian", "ID_LIKE": ""}),
        ("A=b=c\nA=d\n", {"A": "d"}),
    ],
)
def test_odd_os_release_files(text: str, found: dict[str, str]) -> None:
    assert parse_os_release(text) == found


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        (DEBIAN_12, DEBIAN),
        (ROCKY_9, REDHAT),
        ("ID=ubuntu\nID_LIKE=debian\n", DEBIAN),
        ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", DEBIAN),
        ("ID=rhel\n", REDHAT),
        ("ID=fedora\n", REDHAT),
        ("ID=\"centos\"\n", REDHAT),
        ("ID=almalinux\n", REDHAT),
        ("ID=ol\nID_LIKE=\"fedora\"\n", REDHAT),
        ("ID=alpine\n", None),
        ("ID=arch\nID_LIKE=archlinux\n", None),
        ("ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n", None),
        ("ID=Debian GNU\n", None),
        ("ID_LIKE=debian\n", DEBIAN),
        ("", None),
    ],
)
def test_the_layout_of_a_system(text: str, layout: Optional[Layout]) -> None:
    assert layout_for(parse_os_release(text)) is layout


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        (DEBIAN, ["/etc/apache2/mod_session", "/etc/apache2/mod_session/passphrases", "/etc/apache2/mod_session.d",
                  "/etc/apache2/conf-available/mod-session-fleet.conf", "/etc/apache2/mod_session.d/www.example.com.conf"]),
        (REDHAT, ["/etc/httpd/mod_session", "/etc/httpd/mod_session/passphrases", "/etc/httpd/mod_session.d",
                  "/etc/httpd/conf.d/mod-session-fleet.conf", "/etc/httpd/mod_session.d/www.example.com.conf"]),
    ],
)
def test_names_of_our_files(layout: Layout, names: list[str]) -> None:
    assert [layout.key_dir, layout.key_file, layout.include_dir, layout.conf_file,
            layout.include_file("www.example.com")] == names


@pytest.mark.parametrize("layout", [DEBIAN, REDHAT])
def test_a_layout_is_complete(layout: Layout) -> None:
    for field in fields(Layout):
        value = getattr(layout, field.name)
        texts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
        for text in texts:
            assert text == text.rstrip("/") and (not text.count("/") or text.startswith("/")), field.name
    # Links need both of their ends; files of our own must not be read as part of a directory that httpd includes.
    assert bool(layout.modules_available) == bool(layout.modules_enabled) != bool(layout.modules_file)
    assert layout.packages and layout.driver_packages and layout.modules_dirs
    assert list(layout.store_packages) == list(HTTPD_DRIVERS)
    assert layout.store_file.rpartition("/")[0] == layout.key_dir, "only root may read it"
    assert len({layout.key_dir, layout.include_dir, layout.conf_dir}) == 3


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert layout_for(parse_os_release(text)) in (None, DEBIAN, REDHAT)

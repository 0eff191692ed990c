# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diff and a sentence show of configuration: our own lines and their place, nothing of the operator's."""

from __future__ import annotations

import re

import pytest

from plugins.module_utils import shown
from plugins.module_utils.config import render
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.vhost_file import is_include_of, with_includes

from .installed import ROOT

FILE = "/etc/apache2/mod_session.d/www.example.com.conf"
SECRET = "s3cr3t-Token"
SITE = f"""# token {SECRET}
Define TOKEN {SECRET}
<VirtualHost *:80>
    ServerName www.example.com
    ProxyPass / http://backend/ secret={SECRET}
</VirtualHost>
<VirtualHost *:443>
    ServerName www.example.com
    SetEnv DB_PASSWORD {SECRET}
    RequestHeader set Authorization "Bearer {SECRET}"
    SessionCryptoPassphrase \\
        {SECRET}
    <If "%{{HTTP:X-Token}} == '{SECRET}'">
        Require all granted
    </If>
</VirtualHost>
# {SECRET}
"""


def ours(line: str) -> bool:
    return is_include_of(line, "/etc/apache2/mod_session.d")


def test_of_an_operators_file_only_our_line_and_its_place_are_shown() -> None:
    before, after = shown.operators_file(SITE, with_includes(SITE, "www.example.com", {80: FILE, 443: FILE}), ours)
    assert SECRET not in before + after
    assert after.splitlines() == ["line 3: <VirtualHost *:80>", f'line 6:     Include "{FILE}"',
                                  "line 7: <VirtualHost *:443>", f'line 17:     Include "{FILE}"']
    assert before.splitlines() == ["line 3: <VirtualHost *:80>", "line 7: <VirtualHost *:443>"]


def test_a_line_that_is_taken_away_is_shown_where_it_is_ours() -> None:
    with_it = with_includes(SITE, "www.example.com", {80: FILE, 443: FILE})
    before, after = shown.operators_file(with_it, SITE, ours)
    assert before.count(FILE) == 2 and FILE not in after and SECRET not in before + after


@pytest.mark.parametrize("change", [
    (SECRET, "another-secret"), ("ServerName", f"# {SECRET}\n    ServerName"),
    ("<VirtualHost *:80>", f"<VirtualHost {SECRET}$x>"),
    ("<VirtualHost *:80>", f"<Macro Site {SECRET}>"),
])  # fmt: skip
def test_a_line_that_is_not_ours_is_hidden_whatever_changes(change: tuple[str, str]) -> None:
    for one, other in ((SITE, SITE.replace(*change)), (SITE.replace(*change), SITE)):
        texts = "".join(shown.operators_file(one, other, ours))
        assert SECRET not in texts and "another-secret" not in texts and shown.HIDDEN in texts


@pytest.mark.parametrize(("directive", "name"), [
    (f"SetEnv TOKEN {SECRET}", "SetEnv"), (f'RequestHeader set Authorization "Bearer {SECRET}"', "RequestHeader"),
    (f"SessionCryptoPassphrase {SECRET}", "SessionCryptoPassphrase"), (f"<If \"%{{HTTP:X}} == '{SECRET}'\">", "<If"),
    (f"# {SECRET}", "#"), (f"Require expr '{SECRET}'", "Require"), (f"SessionMaxAge {SECRET}", "SessionMaxAge"),
])  # fmt: skip
def test_of_a_scopes_directives_only_the_names_are_shown(directive: str, name: str) -> None:
    scope = {"name": "app", "path": "/app", "max_age": 1800}
    rendered = [render(parse_scopes([{**scope, "directives": directives}]), "/keys", (2, 4, 62))
                for directives in ([directive], [directive.replace(SECRET, "other")], [])]  # fmt: skip
    before, after = shown.own_file(rendered[2], rendered[0])
    assert SECRET not in after and f"{name} {shown.HIDDEN}" in after and "SessionMaxAge 1800" in after
    before, after = shown.own_file(rendered[1], rendered[0])
    assert SECRET not in before + after and "other" not in before and after.startswith(shown.DIFFERS)
    assert shown.own_file(rendered[0], rendered[0])[1].startswith("# Managed by")


@pytest.mark.parametrize(("line", "said", "told"), [
    (f"SetEnv DB_PASSWORD {SECRET} more", f"SetEnv takes one or two arguments, not '{SECRET} more'",
     "SetEnv takes one or two arguments, not '(hidden) (hidden)'"),
    (f"ProxyPass / http://b/ secret={SECRET}", f"ProxyPass Unknown parameter secret={SECRET}",
     "ProxyPass Unknown parameter (hidden)=(hidden)"),
    ("SessionFoo On", "Invalid command 'SessionFoo', perhaps", "Invalid command 'SessionFoo', perhaps"),
    (f"SetFoo \\\n  {SECRET}", f"SetFoo: bad {SECRET}", "SetFoo: bad (hidden)"),
    ("SSLCertificateFile /etc/ssl/x.pem", "SSLCertificateFile: file '/etc/ssl/x.pem' does not exist or is empty",
     "SSLCertificateFile: file '/etc/ssl/x.pem' does not exist or is empty"),
    (f"<If \"req('X') == '{SECRET}'\">", f"Cannot parse \"req('X') == '{SECRET}'\"",
     "Cannot parse \"req('X') == '(hidden)'\""),
])  # fmt: skip
def test_what_httpd_quotes_from_a_line_is_hidden_but_for_names_and_harmless_values(line: str, said: str, told: str) -> None:
    text = "Listen 80\n" + line + "\n"
    prefix = "AH00526: Syntax error on line %d of /etc/apache2/x.conf: " % len(text.splitlines())
    assert shown.said_of_lines(prefix + said, {"/etc/apache2/x.conf": text}.__getitem__) == prefix + told


def test_what_names_no_line_or_an_unknown_file_is_told_as_it_is() -> None:
    for said in ("AH00526: Syntax error on line 7 of /gone.conf: x", "apache2: Could not open configuration file", ""):
        assert shown.said_of_lines(said, lambda path: "") == said


def test_nothing_hands_on_what_a_configtest_says_without_this() -> None:
    asking = {path.name: path.read_text() for path in (ROOT / "plugins" / "module_utils").glob("*.py")
              if re.search(r'control, "-t"(\]|, \*words)', path.read_text())}
    assert {"trial.py", "examine.py", "debug_log.py"} <= set(asking)
    assert [name for name, text in sorted(asking.items()) if "said_of_lines(" not in text] == []

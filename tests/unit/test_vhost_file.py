# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils.layout import DEBIAN
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.vhost_file import include_files, include_line, rivals, with_includes

FILE = "/etc/apache2/mod_session.d/www.example.com.conf"
HOST = "www.example.com"


def with_include(text: str, port: int = 80) -> str:
    return with_includes(text, HOST, {port: FILE})


VHOST = "<VirtualHost *:80>\n    ServerName www.example.com\n</VirtualHost>\n"
LINE = "    " + include_line(FILE) + "\n"


NONE = "no <VirtualHost> block has ServerName or ServerAlias www.example.com"
MACRO = ("<Macro Site $name $port>\n<VirtualHost *:$port>\nServerName $name\n</VirtualHost>\n</Macro>\n"
         "Use Site www.example.com 80\n")


def marked(text: str) -> str:
    """``@`` stands for the include with four blanks before it."""
    return text.replace("@\n", LINE).replace("@\r\n", LINE[:-1] + "\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "<VirtualHost *:80>\n    ServerName www.example.com\n@\n</VirtualHost>\n",
        "<VirtualHost *:80>\n    ServerName www.example.com\n@\n</VirtualHost>",
        "<VirtualHost *:80>\r\n    ServerName www.example.com\r\n@\r\n</VirtualHost>\r\n",
        "<VirtualHost *:80>\r\n    ServerName www.example.com\r\n@\r\n</VirtualHost>",
        # Case, ports, schemes, quotes, aliases, continued lines.
        "<virtualhost *>\nservername WWW.EXAMPLE.COM\n@\n</VIRTUALHOST>\n",
        "<VirtualHost 10.0.0.1:80 [::1]:80>\nServerName https://www.example.com:443\n@\n</VirtualHost>\n",
        "<VirtualHost *:80>\nServerName www.example.com:8080\n@\n</VirtualHost>\n",
        "<VirtualHost *:80>\nServerName \"www.example.com\"\n@\n</VirtualHost>\n",
        "<VirtualHost *:80>\nServerName a\nServerAlias b www.example.com c\n@\n</VirtualHost>\n",
        "<VirtualHost *:80>\nServerName a\nServerAlias b \\\n  c \\\r\n www.example.com\n@\n</VirtualHost>\n",
        "<VirtualHost *:80>\nServerAlias a\nServerAlias *.example.com www.example.com\n@\n</VirtualHost>\n",
        # Only the host's blocks, and of those only the ones of the port.
        "<VirtualHost *:80>\nServerName www.example.com\n@\n</VirtualHost>\n"
        "<VirtualHost *:80>\nServerName example.com\n</VirtualHost>\n"
        "<VirtualHost *:443>\nServerName www.example.com\n</VirtualHost>\n",
        "<VirtualHost *:443>\nServerName www.example.com\n</VirtualHost>\n"
        "<VirtualHost 192.0.2.1:443 [2001:db8::1]:443 192.0.2.1:80>\nServerName www.example.com\n@\n</VirtualHost>\n"
        "<VirtualHost 192.0.2.1:8080>\nServerName www.example.com\n</VirtualHost>\n",
        "<VirtualHost _default_:80>\nServerName www.example.com\n@\n</VirtualHost>\n",
        "<VirtualHost \"*:80\">\nServerName www.example.com\n@\n</VirtualHost>\n",
        "<VirtualHost [::1]>\nServerName www.example.com\n@\n</VirtualHost>\n",
        "<VirtualHost *:*>\nServerName www.example.com\n@\n</VirtualHost>\n",
        "<VirtualHost \\\n  *:443 \\\n  *:80>\nServerName www.example.com\n@\n</VirtualHost>\n",
        "Define PORT 80\nDefine NAME example.com\n"
        "<VirtualHost *:${PORT}>\nServerName www.${NAME}\n@\n</VirtualHost>\n"
        "Define PORT 443\n<VirtualHost *:${PORT}>\nServerName www.example.com\n</VirtualHost>\n",
        "<IfModule mod_ssl.c>\n<IfDefine !X>\n<VirtualHost *:80>\nServerName www.example.com\n<IfModule mod_headers.c>\n"
        "Header set X y\n</IfModule>\n@\n</VirtualHost>\n</IfDefine>\n</IfModule>\n",
        "<Macro Site $name>\n<VirtualHost *:80>\nServerName $name\n</VirtualHost>\n</Macro>\n"
        "<VirtualHost *:80>\nServerName www.example.com\n@\n</VirtualHost>\nUse Site other.example.com\n",
        "<VirtualHost *:80>\nServerName xwww.example.com\n</VirtualHost>\n"
        "<VirtualHost *:80>\nServerAlias *.example.com\n</VirtualHost>\n"
        "<VirtualHost *:80>\nServerName www.example.com.org\n</VirtualHost>\n"
        "<VirtualHost *:80>\nRedirect / http://www.example.com/\n</VirtualHost>\n"
        "<VirtualHost *:80>\n# ServerName www.example.com\n</VirtualHost>\n"
        "<VirtualHost *:80>\nServerName www.example.com\n@\n</VirtualHost>\n",
        # Nested, commented, inside something else; what is outside of blocks does not count.
        "ServerName www.example.com\n<VirtualHost *:80>\n<Directory /x>\nRequire all granted\n</Directory>\n"
        "ServerName www.example.com\n# </VirtualHost>\n@\n</VirtualHost>\nServerAlias www.example.com\n",
        "#<VirtualHost *:80>\n#ServerName www.example.com\n#</VirtualHost>\n"
        "<VirtualHost *:80>\nServerName www.example.com\n@\n</VirtualHost>\n",
        "# a comment goes on \\\n<VirtualHost *:80>\n"
        "<VirtualHost *:80>\nServerName www.example.com\n# and \\\n</VirtualHost>\n@\n</VirtualHost>\n",
        "# odd ends of lines \u2028 \x85 \x0b \x1c <VirtualHost>\n"
        "<VirtualHost *:80>\nServerName www.example.com\n# \u2028</VirtualHost>\n@\n</VirtualHost>\n",
        "<VirtualHosts>\n<VirtualHost *:80>\nServerName www.example.com\n@\n</VirtualHost>\n",
        # An include of something else stays.
        "<VirtualHost *:80>\nServerName www.example.com\nInclude /etc/other.conf\n#Include %s\n@\n</VirtualHost>\n" % FILE,
    ],
)
def test_one_include_in_each_block_of_the_host(text: str) -> None:
    before = text.replace("@\r\n", "").replace("@\n", "")
    after = marked(text)
    assert with_include(before) == after
    assert with_include(after) == after


def test_indentation_follows_the_end_of_the_block() -> None:
    text = "<IfModule ssl>\n\t<VirtualHost *:443>\n\t\tServerName www.example.com\n\t</VirtualHost>\n</IfModule>\n"
    assert with_include(text, 443).splitlines()[3] == "\t    " + include_line(FILE)


@pytest.mark.parametrize(
    "own", [include_line(FILE), "Include " + FILE, "  include '%s'" % FILE, "IncludeOptional %s\r" % FILE, "Include \\\n" + FILE])
def test_a_line_that_the_operator_had_added_is_not_doubled(own: str) -> None:
    text = VHOST.replace("</V", own + "\n</V")
    assert with_include(text) == VHOST.replace("</V", LINE + "</V")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no <VirtualHost> block has ServerName or ServerAlias www.example.com"),
        ("ServerName www.example.com\n", "no <VirtualHost> block has ServerName or ServerAlias www.example.com"),
        (VHOST.replace("www", "web"), "no <VirtualHost> block has ServerName or ServerAlias www.example.com"),
        ("<VirtualHost *:80>\nServerName www.example.com\n", "a <VirtualHost> block is not closed (line 1)"),
        (VHOST + "<VirtualHost *:80>\n", "a <VirtualHost> block is not closed (line 4)"),
        (VHOST.replace(":80", ":8080") + VHOST.replace("*:80", "192.0.2.1:443 192.0.2.2:444"),
         "www.example.com has a <VirtualHost> block for port 8080 (line 1) and port 443, 444 (line 4), none for port 80: correct "
         "port of the scope, or name the file that has that block"),
        (VHOST.replace(":80", ":${PORT}"), "the port of the block of www.example.com in line 1 is a variable that httpd does "
         'not tell; write the number. Or add by hand, before its </VirtualHost>, Include "%s", and leave virtual_host_file out'
         % FILE),
        ("\n" + VHOST.replace("ServerName www", "ServerAlias *"),
         NONE + "; the one in line 2 serves it as *.example.com, together with other hosts. Give its ServerName as virtual_host"),
        (VHOST.replace("ServerName www.example.com", "Include names.conf"), NONE + ". If the one in line 1 has it from a file or "
         'macro, add by hand, before its </VirtualHost>, Include "%s", and leave virtual_host_file out' % FILE),
        (VHOST.replace("ServerName www.example.com", "DocumentRoot /srv"),
         NONE + "; the one in line 1 has no name: add ServerName www.example.com to it"),
        (MACRO, "line 6 makes www.example.com with the macro Site, which cannot be edited. Add by hand in line 4, before "
         '</VirtualHost>, IncludeOptional "/etc/apache2/mod_session.d/$name.conf"'),
        (MACRO.replace("ServerName $name", "ServerName www.$name").replace("Site www.", "Site "),
         "line 6 makes www.example.com with the macro Site, which cannot be edited. Add by hand in line 4, before "
         '</VirtualHost>, IncludeOptional "%s"' % FILE),
        ("Use Site www.example.com 80\n", "line 1 makes www.example.com with the macro Site, which is defined elsewhere and"
         ' cannot be edited. Add to that macro by hand, before its </VirtualHost>, IncludeOptional "%s", with the macro\'s '
         "parameter in place of the name, and leave virtual_host_file out" % FILE),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    with pytest.raises(LookupError) as caught:
        with_include(text)
    assert caught.value.args == (sentence,)


@pytest.mark.parametrize("text", [
    MACRO.replace("</V", "IncludeOptional \"/etc/apache2/mod_session.d/$name.conf\"\n</V"),
    MACRO.replace("</V", "Include %s\n</V" % FILE),
    "<VirtualHost *:80>\nServerAlias *.example.com\nInclude %s\n</VirtualHost>\n" % FILE,
])
def test_what_was_added_by_hand_where_nothing_can_be_edited_is_enough(text: str) -> None:
    assert with_include(text) == text


def test_an_include_of_an_earlier_deploy_goes_from_where_the_scope_is_not_served() -> None:
    both = VHOST.replace("</V", LINE + "</V") + VHOST.replace("</V", LINE + "</V").replace(":80", ":443")
    assert with_include(both, 443) == VHOST + VHOST.replace("</V", LINE + "</V").replace(":80", ":443")
    assert with_include(both, 80) == VHOST.replace("</V", LINE + "</V") + VHOST.replace(":80", ":443")


def test_a_host_with_scopes_on_two_ports_has_a_file_for_each() -> None:
    scopes = parse_scopes([{"name": name, "path": "/" + name, "virtual_host": host, "port": port} for name, host, port in (
        ("a", HOST, 443), ("b", HOST, 8443), ("c", HOST, 443), ("d", "other", 443))])
    found = include_files(scopes, DEBIAN)
    by_port = {port: FILE.replace(".conf", ":%d.conf" % port) for port in (443, 8443)}
    assert {path: [scope.name for scope in own] for path, own in found.items()} == {
        by_port[443]: ["a", "c"], by_port[8443]: ["b"], FILE.replace(HOST, "other"): ["d"]}
    blocks = {port: VHOST.replace(":80", ":%d" % port) for port in by_port}
    both = "".join(block.replace("</V", LINE + "</V") for block in blocks.values())
    assert with_includes(both, HOST, by_port) == "".join(
        block.replace("</V", LINE.replace(FILE, by_port[port]) + "</V") for port, block in blocks.items())


def test_two_names_of_one_block_cannot_both_have_a_scope_for_a_path() -> None:
    def scopes(*rows: tuple[str, str, int]):
        return parse_scopes([
            {"name": "s%d" % number, "path": path, "virtual_host": host, "port": port, "cookie_name": "c%d" % number}
            for number, (host, path, port) in enumerate(rows)])

    one, *more = scopes((HOST, "/shop", 80), ("a", "/", 80), ("b", "/shop/x", 80), ("c", "/blog", 80), ("d", "/", 443))
    assert rivals(one, (one, *more)) == ["a", "b"]
    text = VHOST.replace("</V", "ServerAlias a\n</V")
    with pytest.raises(LookupError) as caught:
        with_includes(text, HOST, {80: FILE}, others=["a", "b"])
    assert str(caught.value).startswith("the block in line 1 serves www.example.com and a, which have scopes for the same paths")
    assert with_includes(text, HOST, {80: FILE}, others=["b"]) == text.replace("</V", LINE + "</V")


def test_what_httpd_itself_says_of_a_block_counts() -> None:
    """Its name is in a file that it includes, its port in a variable of another file."""
    text = "<VirtualHost *:${P}>\nInclude names.conf\n</VirtualHost>\n"
    assert with_includes(text, HOST, {80: FILE}, served={80: [1]}) == text.replace("</V", LINE + "</V")
    named = VHOST.replace(":80", ":${P}")
    assert with_includes(named, HOST, {80: FILE}, {"P": "80"}) == named.replace("</V", LINE + "</V")


pieces = st.sampled_from([
    "<VirtualHost *:80>", "</VirtualHost>", "ServerName www.example.com", "ServerAlias a www.example.com:81", "# x", "",
    "  ServerName other", "<Directory />", "</Directory>", "#</VirtualHost>", "Include /other.conf", "\u00e9\udcff", "\\",
    "ServerName \\", "www.example.com", "\x0c", "<IfModule x>", "</IfModule>", "ServerName \"www.example.com\"",
])
ends = st.sampled_from(["\n", "\r\n", " \n", "\\\n", "\u2028", "\r"])


@settings(max_examples=500)
@given(st.lists(st.tuples(pieces, ends), max_size=14).map(lambda rows: "".join(word + end for word, end in rows)), st.booleans())
def test_nothing_else_is_changed(text: str, known_block: bool) -> None:
    text = VHOST + text if known_block else text
    try:
        once = with_include(text)
    except LookupError:
        with pytest.raises(LookupError):
            with_include(text)
        return
    assert once.count(FILE) >= 1
    assert with_include(once) == once
    kept = [line for line in once.split("\n") if FILE not in line]
    assert kept == text.split("\n")

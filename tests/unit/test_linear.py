# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No text makes a parser slow: 64 KiB of what is worst for it costs time in proportion, not minutes.

What is measured is the time of this process on a processor, so that a busy machine does not count. The bound is far above what a
linear parser needs, and a small part of what a quadratic one does.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from plugins.module_utils import config_causes, endings, errorlog, explain, machine, passphrases, probe, shown, trial, vhost_file
from plugins.module_utils.configtest import from_configtest
from plugins.module_utils.cookie import CookieError, parse_payload, sealed_by, unseal
from plugins.module_utils.debug_log import Collector
from plugins.module_utils.httpd_config import error_logs, parse_dump, parse_modules, parse_vhosts, server_root
from plugins.module_utils.layout import DEBIAN
from plugins.module_utils.log_places import place_of
from plugins.module_utils.log_time import stamp
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.text import printable
from plugins.plugin_utils.diagnosis_looked import looked
from plugins.plugin_utils.node_result import harmless

SIZE = 1 << 16
SECONDS = 5.0
KEYS = ("TEST-ONLY-A-0123456789abcdefghijklmnopqrstu", "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu")
SCOPES = parse_scopes([{"name": "app", "path": "/app"}])

# What begins something that a pattern looks for the end of, and what may be read in several ways, again and again.
UNITS = (
    "a", "A", "0", " ", "\n", "\t", "\r\n", "\\", "\\\n", "/", "//", "../", ".", ":", ";", ",", "=", "&", "%", "%3d", "%25",
    "?", "*", "\"", "'", "`", "(", ")", "[", "]", "{", "<", ">", "<a ", "<a>", "</a>", "|", ">>", "$", "${", "#", "# ", "-",
    "--", "_", "+", "\x1b[", "\u202e", "\u00e9", "1:", "1:1 ", "a=b&", "a=b; ", "expiry=1&", "cookie", "cookie: a",
    "Set-Cookie: ", "pass", "password ", "passphrase ", "crypto passphrase", "secret=", "token:", "AH01842 ",
    "AH01842: x 2026-11-23 ", "AH00629", "[client ", "client=", "[client 1.2.3.4:5] ", "pid 1:tid ", "referer: ", "referer",
    "[session", "/.mod-session-probe", "://", "Mon Nov 23 11:49:42 ", "2026-11-23T", "2026-11-23 11:49:42 ", "time=",
    "1795434582", "Cannot load x into server: ", "undefined symbol", "on line 1 of ", "Invalid command '", "exec:",
    "SessionExclude /a\n", "<If x>\n", "# In file: /x\n", "#  1:\n", "LoadModule a b\n", "Define: a=", "users:((\"a\",pid=",
    "11111111-", "avc: denied httpd_t ", "Include ", "<VirtualHost *:80>\n", "</VirtualHost>\n", "# a\n<Location \"",
    "DBDParams ", "rotatelogs -l ", "-p ", "-L", "port 1 namevhost ", "*:80 a (", "_module (", "ServerRoot: \"",
)


def texts():
    """One unit again and again, alone, closed, and behind another beginning."""
    for unit in UNITS:
        yield unit, unit * (SIZE // len(unit)) + "!"
    half = SIZE // 2
    yield "backslashes and line ends", "\\" * half + "\n" * half
    for begin in ("<a", "Session", "AH01842 ", "[client 1", "Cookie: a", "Set-Cookie:", "#", "|sh -c '", "|$", "x ", "passphrase",
                  "*:80"):
        for unit in (" ", "\n", "a", ":", "\\", "'"):
            yield begin + unit, begin + unit * SIZE


def opened(text):
    try:
        unseal(text, KEYS, "aes256")
    except CookieError:
        pass


def sealed(text):
    try:
        sealed_by(text, KEYS)
    except CookieError:
        pass


def validated(text):
    try:
        passphrases.validate([text], True)
    except passphrases.PassphraseError:
        pass


def counted(text):
    tally = errorlog.Tally(0, 1_800_000_000)
    for line in (text, "AH01842: x " + text, "AH01817: " + text, text + " AH01842"):
        tally.feed(line)
        tally.feed(line, 1_799_999_999)
    errorlog.judge(tally.rows())


def collected(text):
    found = Collector(0, 1_800_000_000)
    found.feed("[session:debug] " + text, 1)
    found.feed(text, 1)


def observed(text):
    headers = ("Set-Cookie", "session=" + text), ("Set-Cookie", text), ("Date", text), (text[:100], text)
    answer = probe.Answer(403, headers, 0, 0)
    probe.observe(answer, "session", KEYS, "aes256", "marker", "x")


def htaccess(text):
    tree = parse_dump("# In file: /c\n#  1:\nDocumentRoot /var/www\n#  2:\n<Directory /var/www>\n#  3:\nAllowOverride All\n"
                      "</Directory>\n")
    config_causes.htaccess(tree, (), lambda _folder: [("/var/www/.htaccess", text)], SCOPES)


def dumped(text):
    tree = parse_dump("# In file: /c\n#  1:\n" + text)
    error_logs(tree)
    config_causes.judge(tree, (), (), SCOPES, DEBIAN)


def settings(text):
    parse_vhosts(text)
    parse_modules(text)
    server_root(text)


def included(text):
    for host in (text, "<VirtualHost *:80>\nServerName www.example.test\n" + text + "\n</VirtualHost>\n"):
        try:
            vhost_file.with_includes(host, "www.example.test", {80: "/x"})
        except LookupError:
            pass


PARSERS = {
    "printable": printable,
    "harmless": lambda text: harmless({"msg": text, text[:100]: [text]}),
    "looked": lambda text: looked({"findings": [{"code": "disk_full", "evidence": text}, text], "log": text}, "n", {"app"}),
    "stamp": lambda text: (stamp(text, 1_800_000_000), stamp("AH01842: " + text, 1_800_000_000)),
    "redact": errorlog.redact,
    "Tally": counted,
    "Collector": collected,
    "place_of": lambda text: (place_of(text, "/etc/httpd"), place_of("|" + text, "/"), place_of("|$" + text, "/"),
                              place_of("|rotatelogs " + text, "/")),
    "from_configtest": lambda text: from_configtest(1, text),
    "parse_dump": dumped,
    "-S and -M": settings,
    "htaccess": htaccess,
    "explain": lambda text: (explain.explain(text, KEYS, "aes256", 0), explain.explain("Cookie: " + text, KEYS, "aes256", 0)),
    "unseal": opened,
    "sealed_by": sealed,
    "parse_payload": parse_payload,
    "parse_set_cookie": probe.parse_set_cookie,
    "observe": observed,
    "parse_file": passphrases.parse_file,
    "parse_ring": passphrases.parse_ring,
    "validate": validated,
    "fingerprint": passphrases.fingerprint,
    "machine": lambda text: machine._holders(text, [80], DEBIAN),
    "trial": lambda text: trial._explain(["x"], text),
    "vhost_file": included,
    "own_file": lambda text: shown.own_file(text, text),
    "endings": lambda text: endings.sections(text, ""),
}


@pytest.fixture
def budget():
    """A call of it begins a time of the processor, at the end of which what runs is ended."""
    def end(_signal, _frame):
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, end)
    yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("name", PARSERS)
def test_no_text_makes_a_parser_slow(name, budget):
    for unit, text in texts():
        budget()
        try:
            PARSERS[name](text)
        except TimeoutError:
            pytest.fail(f"{name} is slow with {unit!r} again and again")


def test_all_modules_with_patterns_are_looked_at():
    """A new module that applies patterns needs a row above, or a reason here why no text from outside reaches it."""
    plugins = Path(__file__).resolve().parents[2] / "plugins"
    ours = {"bounds", "config", "scopes", "store", "reach", "preflight", "evidence", "live", "endpoints", "fleet", "ring_json",
            # Options of the operator's own, one line each; or their patterns are of fixed length.
            "apply", "key_causes", "session_packages_info", "session_check"}
    # What calls them above: errorlog log_time log_places configtest httpd_config config_causes explain cookie probe ...
    tried = {"errorlog", "log_time", "log_places", "configtest", "httpd_config", "config_causes", "explain", "cookie", "probe",
             "passphrases", "machine", "trial", "vhost_file", "shown", "endings", "debug_log"}
    found = {path.stem for path in plugins.rglob("*.py") if "import re\n" in path.read_text(encoding="utf-8")}
    assert found <= ours | tried

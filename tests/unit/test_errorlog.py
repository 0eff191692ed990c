# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error log tells: its lines are those of a real httpd 2.4.71."""

from __future__ import annotations

import base64
import calendar
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils.causes import CAUSES
from plugins.module_utils.errorlog import HOUR, MEANINGS, MOST_EXAMPLE, Tally, judge, redact, undated

NOW = calendar.timegm((2026, 11, 23, 12, 0, 0))
LOST = ("[Mon Nov 23 11:49:42.826037 2026] [session_crypto:error] [pid 3167:tid 3171] (100005)Error string not specified yet: "
        "[client 10.89.0.1:60684] AH01842: decrypt session failed, wrong passphrase?")
DECODED = LOST.partition("AH01842")[0] + "AH01817: error while decoding the session, session not loaded: /app/"


@pytest.fixture(autouse=True)
def _utc():
    """Lines of httpd are in the node's local time."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def at(moment, client=1, line=LOST):
    text = time.strftime("%a %b %d %H:%M:%S.123456 %Y", time.gmtime(moment))
    return line.replace("Mon Nov 23 11:49:42.826037 2026", text).replace("10.89.0.1:60684", "10.89.0.1:%d" % client)


def counted(*lines, since=NOW - 24 * HOUR):
    tally = Tally(since, NOW)
    for line in lines:
        tally.feed(line)
    return {row.code: row for row in tally.rows()}


PROBED = DECODED + ".mod-session-probe"


@pytest.mark.parametrize("backwards", [False, True], ids=["in a file", "in a journal, read backwards"])
def test_what_a_probe_shows_is_no_loss(backwards):
    """A deploy and a check show nodes cookies under keys that they must refuse; visitors' losses between them count."""
    lines = [at(NOW - 9, 7), at(NOW - 9, 8), at(NOW - 9, 7, PROBED), at(NOW - 9, 8, DECODED), at(NOW - 8, 9),
             at(NOW - 8, 9, DECODED), at(NOW - 5, 10), at(NOW - 5, 10, PROBED), at(NOW - 4, 11)]
    rows = counted(*(reversed(lines) if backwards else lines))
    assert {code: row.count for code, row in rows.items()} == {"AH01842": 3, "AH01817": 2}


def test_only_a_probes_own_path_is_one():
    for path in ("x.mod-session-probe", ".mod-session-probe/x", ".mod-session-probe/7/x", ".mod-session-probes"):
        assert counted(at(NOW - 9), at(NOW - 9, 1, DECODED + path))["AH01842"].count == 1
    assert "AH01842" not in counted(at(NOW - 9), at(NOW - 9, 1, PROBED + ", referer: https://www.example.test/"))


DENIED = ("[Mon Nov 23 11:49:42.826 2026] [authz_core:error] [pid 3167:tid 3171] [client 10.89.0.1:60684] AH01630: client "
          "denied by server configuration: /var/www/html/app/.mod-session-probe")
JSON = '{"time":"Mon Nov 23 11:49:42 2026","client":"10.89.0.1:60684","log_id":"yw37","msg":"%s"}'
SAID = {"denied": DENIED.partition("] ")[2].rpartition("] ")[2], "lost": LOST.rpartition("] ")[2],
        "answered": "AH01817: error while decoding the session, session not loaded: /sorry.html"}
FORMATS = {
    "httpd's own": "[Mon Nov 23 11:49:42.826037 2026] [x:error] [pid 3167:tid 3171] [client 10.89.0.1:60684] %s",
    "IPv6": "[Mon Nov 23 11:49:42.826037 2026] [x:error] [pid 3167:tid 3171] [client [2001:db8::1]:60684] %s",
    "JSON": JSON,
    "JSON with blanks": '{ "clientIp" : "10.89.0.1:60684", "message": "%s", "time": "2026-11-23 11:49:42.826037" }',
    "names and values": "time=2026-11-23T11:49:42Z client_ip=10.89.0.1:60684 pid=7 %s",
    "a process and no client": '{"time":"2026-11-23 11:49:42","process":"[pid 12]","message":"%s"}',
    "addresses alone, the server's among them": "2026-11-23 11:49:42 10.0.0.9:8443 10.89.0.1:60684 %s",
    "neither": "2026-11-23 11:49:42 %s",
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("backwards", [False, True], ids=["in a file", "in a journal, read backwards"])
def test_what_a_probe_loses_where_an_error_page_answers_it_is_no_loss(form, backwards):
    """httpd says it of the page, not of the probe's path; before it stands that the probe was denied (measured, 2.4.71)."""
    lines = [FORMATS[form] % SAID[what] for what in ("denied", "lost", "answered")]
    assert "AH01842" not in counted(*(reversed(lines) if backwards else lines))
    visitor = [one.replace("11:49:42", "11:49:52").replace("60684", "60685") for one in lines[1:]]
    both = lines + visitor
    assert counted(*(reversed(both) if backwards else both))["AH01842"].count == 1


def test_an_error_page_that_is_loaded_twice_for_a_probe_is_no_loss():
    lines = [DENIED, at(NOW - 9), at(NOW - 9, 60684, DECODED), at(NOW - 8, 60684), at(NOW - 8, 60684, DECODED)]
    lines = [one.replace("10.89.0.1:1]", "10.89.0.1:60684]").replace("11:49:42.826 ", "11:59:51.9 ") for one in lines]
    assert "AH01842" not in counted(*lines)


@pytest.mark.parametrize(("path", "ours"), [
    ("/app/.mod-session-probe", True), ("/app/.mod-session-probe?store", True), ("/app/%2emod-session-probe", True),
    ("/app/%2Emod-session-probe, referer: https://x/", True),
    ("/app/, referer: https://www.example.test/app/.mod-session-probe", False),
    ("/app/.mod-session-probe-2", False), ("/app/mod-session-probe", False),
])
def test_a_path_names_a_probe_and_a_referer_does_not(path, ours):
    assert ("AH01842" not in counted(at(NOW - 9), at(NOW - 9, 1, DECODED.replace("/app/", path)))) is ours


def test_losses_that_wait_for_their_path_are_bounded_and_none_is_forgotten():
    assert counted(*(at(NOW - 9, port) for port in range(1000)))["AH01842"].count == 1000


def test_losses_by_the_hour():
    rows = counted(at(NOW - 7200), at(NOW - 7100, 2), at(NOW - 10), "nothing of sessions", at(NOW - 5, 3, DECODED))
    assert (rows["AH01842"].count, rows["AH01842"].first, rows["AH01842"].last) == (3, NOW - 7200, NOW - 10)
    assert rows["AH01842"].per_hour == {NOW - 7200: 2, NOW - HOUR: 1}
    (symptom,) = judge(list(rows.values()))
    assert symptom.code == "sessions_lost"
    assert symptom.evidence.startswith("3 sessions lost (AH01842) from 2026-11-23 10:00 UTC to 2026-11-23 11:59 UTC, at worst "
                                       "2 in the hour from 2026-11-23 10:00 UTC; such as: ")


def test_a_request_that_goes_on_inside_loses_one_session():
    """httpd says it for DirectoryIndex or ErrorDocument once more, of the same client in the same second."""
    assert counted(at(NOW - 10), at(NOW - 10), at(NOW - 10, 2), at(NOW - 9, 2))["AH01842"].count == 3


def test_what_is_older_or_has_no_time():
    assert counted(at(NOW - 25 * HOUR)) == {}
    tally = Tally(NOW - 24 * HOUR, NOW)
    assert undated(tally) is None
    tally.feed("[session_crypto:error] AH01842: decrypt session failed, wrong passphrase?")
    tally.feed(at(NOW + 2 * HOUR))
    tally.feed(at(NOW + 2 * HOUR, line=LOST.replace("AH01842", "AH10006")))
    tally.feed("AH01851: no database")
    assert tally.rows() == [], "a line of any year is no loss of today"
    assert undated(tally) == ("3 lines (AH01842, AH01851) may be of any time, and are not counted; such as: "
                              "[session_crypto:error] AH01842: decrypt session failed, wrong passphrase?")


def test_what_is_no_failure_is_counted_and_no_cause():
    rows = counted(LOST.replace("AH01842", "AH01844"), LOST.replace("AH01842", "AH10006"), at(NOW, line=DECODED))
    assert set(rows) == {"AH01844", "AH10006", "AH01817"}
    assert judge(list(rows.values())) == []


@pytest.mark.parametrize(("code", "cause"), [
    ("AH01815", "no_store_logged"), ("AH01819", "expired_at_save"), ("AH01824", "cipher_failed"), ("AH01845", "driver_failed"),
    ("AH01851", "store_failed"), ("AH01864", "store_failed"), ("AH00561", "header_too_large"), ("AH01842", "sessions_lost"),
])
def test_codes_mean(code, cause):
    assert [one.code for one in judge(list(counted(LOST.replace("AH01842", code)).values()))] == [cause]


def test_every_meaning_is_in_the_table_of_causes():
    assert {meaning for meaning in MEANINGS.values() if meaning} <= set(CAUSES)
    assert all(len(code) == 7 for code in MEANINGS)


KEY = "k3JxQ0v9mZr8sT1uWb5yE2aHcLdNfPgR4iKoVtXwY6A"


@pytest.mark.parametrize("secret", [
    "SessionCryptoPassphrase hunter2", "password=hunter2", 'DBDParams "host=db password=hunter2"', "Cookie: session=hunter2",
    "Set-Cookie: session=hunter2; Path=/", "GET /app/?q=hunter2 HTTP/1.1", "passphrase: hunter2",
])
def test_secrets_are_cut_out(secret):
    assert "hunter2" not in redact("AH01842: x " + secret)


def test_a_word_of_base64_with_slashes_goes_whole():
    word = "abcdefghijklmnopqrstuVwxyz0123/abcdefghijklmnoPqrst/uvw"
    assert redact("of %s failed" % word) == "of (hidden) failed"
    assert redact("in /etc/apache2/sites-enabled/shop") == "in /etc/apache2/sites-enabled/shop"


@given(st.randoms(use_true_random=False), st.integers(32, 200), st.sampled_from(["hex", "base64", "urlsafe"]))
def test_no_random_word_stays(random, size, kind):
    data = random.randbytes(size)
    word = {"hex": bytes.hex, "base64": lambda data: base64.b64encode(data).decode(),
            "urlsafe": lambda data: base64.urlsafe_b64encode(data).decode()}[kind](data)
    shown = redact("AH01842: decrypt of %s failed" % word)
    assert not any(word[at:at + 20] in shown for at in range(len(word) - 19))


def test_paths_stay():
    text = "cannot open /usr/lib/x86_64-linux-gnu/apr-util-1/apr_crypto_openssl-1.so and /etc/apache2/mod_session/passphrases"
    assert redact(text) == text


def test_a_key_and_the_name_of_a_row_are_cut_out():
    assert KEY not in redact("x %s y" % KEY)
    assert redact("session '11111111-2222-3333-4444-555555555555'") == "session '(hidden)'"
    assert redact(LOST) == LOST, "what matters stays"


def test_examples_are_short():
    assert len(counted(LOST + " x y" * 1000)["AH01842"].example) == MOST_EXAMPLE


@given(st.text(max_size=400))
def test_any_line_is_taken(line):
    tally = Tally(0, NOW)
    tally.feed(line)
    tally.feed("AH01842 " + line)
    judge(tally.rows())

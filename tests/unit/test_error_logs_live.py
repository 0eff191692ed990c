# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real httpd logs of lost sessions is counted wherever and in whatever form it is logged, and its probes never are."""

from __future__ import annotations

import base64
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from plugins.module_utils.errorlog import Tally, undated
from plugins.module_utils.log_reader import read_logs

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

try:
    MODULES, MISSING = real_httpd.find()[1], ""
except real_httpd.NoHttpd as missing:
    MODULES, MISSING = Path(), f"no real httpd: {missing}"
ROTATELOGS = shutil.which("rotatelogs") or ""
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

# An error page answers the probe, and its location leaves lines in the log: as an older release of the collection has it.
SITE = r"""
ErrorDocument 403 /sorry.html
<Location />
    Session On
    SessionMaxAge 600
    SessionCookieName sess path=/
    SessionCryptoPassphrase TEST-ONLY-A-0123456789abcdefghijklmnopqrstu
</Location>
<Location /.mod-session-probe>
    Require all denied
</Location>
"""
JSON = r'ErrorLogFormat "{\"time\":\"%s\",\"client\":\"%%a\",\"message\":\"%%M\"}"'
VISITORS, PROBES = 3, 4


@pytest.mark.parametrize(("error_log", "form", "dated"), [
    ("{root}/own.log", "", True),
    ("own.log", "LogLevel info", True),
    ("{root}/own.log", JSON % "%t", True),
    ("{root}/own.log", JSON % "%{u}t", True),
    ("{root}/own.log", JSON % "%{cu}t", True),
    ("{root}/own.log", JSON % "%{%usec_frac}t", False),
    ("{root}/own.log", 'ErrorLogFormat "[%l] %M %a %{cu}t"', True),
    ("{root}/own.log", 'ErrorLogFormat "%M"', False),
    ("|{rotatelogs} -l -f -p /bin/true {root}/own.%Y-%m-%d 15M", JSON % "%{cuz}t", True),
    ("||{rotatelogs} -D -L {root}/now {root}/logs/%Y/own 86400 60", "", True),
    ("|$tee -a {root}/own.log >/dev/null", "", True),
])
def test_visitors_losses_are_counted_and_probes_are_not(error_log: str, form: str, dated: bool) -> None:
    if "{rotatelogs}" in error_log and not ROTATELOGS:
        pytest.skip("no rotatelogs")
    value = error_log.replace("{rotatelogs}", ROTATELOGS)
    begin = int(time.time())
    with real_httpd.RealHttpd('ErrorLog "%s"\n%s\n%s' % (value, form, SITE), {"sorry.html": "sorry", "x": "x"}) as httpd:
        root = str(httpd._root)
        for _request in range(PROBES):
            assert httpd.get("/.mod-session-probe", lost()).status == 403
        for _request in range(VISITORS):
            assert httpd.get("/x", lost()).status == 200
        for _attempt in range(100):
            tally = Tally(begin - 5, int(time.time()))
            unread = read_logs([value.replace("{root}", root)], root, "apache2", tally, begin - 5, 1 << 24, 10.0)
            found = {row.code: row.count for row in tally.rows()}
            if found.get("AH01842", 0) >= VISITORS or (not dated and tally.undated):
                break
            time.sleep(0.1)
    assert [one.evidence for one in unread] == []
    assert found.get("AH01842") == (VISITORS if dated else None)
    assert (undated(tally) is None) == dated


def lost() -> str:
    """A cookie that no key opens."""
    return "sess=" + base64.b64encode(os.urandom(120)).decode()

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each kind of ErrorLog puts its lines, with the options of the programs that operators pipe logs through."""

from __future__ import annotations

import pytest

from plugins.module_utils.log_places import FILE, SYSLOG, UNIT, UNKNOWN, place_of

ROOT = "/etc/httpd"


@pytest.mark.parametrize(("value", "kind", "target"), [
    ("/var/log/x.log", FILE, "/var/log/x.log"),
    ("logs/error_log", FILE, "/etc/httpd/logs/error_log"),
    ("/var/log/[x].log", FILE, "/var/log/[[]x].log"),
    ("syslogs/x", FILE, "/etc/httpd/syslogs/x"),
    ("/dev/stderr", UNIT, ""), ("/proc/self/fd/2", UNIT, ""), ("/dev/fd/1", UNIT, ""), ("journald", UNIT, ""),
    ("/dev/null", UNKNOWN, "its lines are thrown away"),
    ("syslog", SYSLOG, ""), ("syslog:local1", SYSLOG, ""), ("syslog:local1:site", SYSLOG, "site"),
    ("syslog::site", SYSLOG, "site"),
    # rotatelogs: what stands behind all of its options
    ("|rotatelogs -l -p /usr/sbin/purge_logs /var/log/e.%Y-%m-%d 15M", FILE, "/var/log/e.*-*-*"),
    ("|/usr/sbin/rotatelogs -l -L /var/log/current -p /bin/x -f -D -v -e -t -T -c -n 5 /var/log/e 86400", FILE, "/var/log/e"),
    ("|/usr/sbin/rotatelogs -lfDL/var/log/now /var/log/e 86400 -300", FILE, "/var/log/e"),
    ("|/usr/sbin/rotatelogs -fp '/bin/a b' '/var/log/my logs/e.%H' 512K 60", FILE, "/var/log/my logs/e.*"),
    ("|bin/rotatelogs logs/e.%s 1G", FILE, "/etc/httpd/logs/e.*"),
    ("|/usr/bin/rotatelogs -- /var/log/e.%-d.%%.%Ey 1B", FILE, "/var/log/e.*.%.*"),
    ("||/usr/bin/rotatelogs /var/log/e 5M", FILE, "/var/log/e"),
    ("|$/usr/bin/rotatelogs /var/log/e 5M", FILE, "/var/log/e"),
    ("|$exec /usr/bin/rotatelogs /var/log/e 5M 2>/dev/null", FILE, "/var/log/e"),
    ("|/usr/bin/nice -n 10 /usr/bin/rotatelogs /var/log/e 5M", FILE, "/var/log/e"),
    ("|/usr/bin/sudo -u www-data rotatelogs /var/log/e 5M", FILE, "/var/log/e"),
    ("|/bin/sh -c 'exec rotatelogs -l /var/log/e.%F 86400'", FILE, "/var/log/e.*"),
    ("|rotatelogs", UNKNOWN, "what that program does with the lines is not known here"),
    # cronolog
    ("|/usr/sbin/cronolog /var/log/%Y/%m/e.log", FILE, "/var/log/*/*/e.log"),
    ("|cronolog -S /var/log/now --period=1day -a --hardlink /var/log/h -z UTC /var/log/e.%Y", FILE, "/var/log/e.*"),
    ("|cronolog --symlink=/var/log/now --once-only /var/log/e", FILE, "/var/log/e"),
    # logger, systemd-cat
    ("|/usr/bin/logger -t site -p local1.err", SYSLOG, "site"),
    ("|$/usr/bin/logger --tag site", SYSLOG, "site"), ("|logger --tag=site -e", SYSLOG, "site"),
    ("|logger -ist site -p local6.err", SYSLOG, "site"), ("|logger -p err -tsite", SYSLOG, "site"),
    ("|/usr/bin/logger", SYSLOG, "root"), ("|/usr/bin/logger -p local1.info", SYSLOG, "root"),
    ("|logger -n loghost -t site", UNKNOWN, "they are sent to loghost"),
    ("|logger --server 10.0.0.9 -T", UNKNOWN, "they are sent to 10.0.0.9"),
    ("||/usr/bin/systemd-cat -t site", SYSLOG, "site"), ("|systemd-cat --identifier=site -p err", SYSLOG, "site"),
    ("|/usr/bin/systemd-cat", UNIT, ""),
    # multilog, svlogd, s6-log: a folder
    ("|setuidgid log multilog t s99999 n20 '-*debug*' ./main", FILE, "/etc/httpd/main/current"),
    ("|/usr/bin/svlogd -tt -l 9000 /var/log/site", FILE, "/var/log/site/current"),
    ("|chpst -u log svlogd /var/log/site", FILE, "/var/log/site/current"),
    ("|s6-log -b t n20 s1000000 /var/log/site", FILE, "/var/log/site/current"),
    # tee, cat, a shell
    ("|/usr/bin/tee -a /var/log/e.log", FILE, "/var/log/e.log"),
    ("|$tee -a /var/log/e.log | logger -t site", FILE, "/var/log/e.log"),
    ("|$sed -u 's/a/b/' >>/var/log/e.log", FILE, "/var/log/e.log"),
    ("|$cat >> /var/log/e.log 2>/var/log/other", FILE, "/var/log/e.log"),
    ("|/bin/sh -c \"grep -v AH01630 | logger -t site\"", SYSLOG, "site"),
    ("|$tee -a /var/log/e.log >/dev/null", FILE, "/var/log/e.log"), ("|$systemd-cat -t site >/dev/null", SYSLOG, "site"),
    ("|/bin/cat", UNIT, ""), ("|$cat >&2", UNIT, ""), ("|$cat >/dev/stderr", UNIT, ""),
    # others
    ("|/opt/ship 'unclosed", UNKNOWN, "what that program does with the lines is not known here"),
    ("|/opt/ship --to /var/log/x", UNKNOWN, "what that program does with the lines is not known here"),
    ("|", UNKNOWN, "what that program does with the lines is not known here"),
])
def test_where_the_lines_go(value, kind, target):
    place = place_of(value, ROOT)
    assert (place.kind, place.targets[0] if place.targets else "") == (kind, target)


def test_a_relative_path_of_a_program_may_begin_at_the_root():
    assert place_of("|rotatelogs var/log/e 5M", ROOT).targets == ("/etc/httpd/var/log/e", "/var/log/e")
    assert place_of("logs/e", ROOT).targets == ("/etc/httpd/logs/e",)


@pytest.mark.parametrize(("value", "late"), [
    ("/var/log/e", False), ("|rotatelogs /var/log/e 5M", True), ("|rotatelogs -f /var/log/e 5M", False),
    ("|rotatelogs -lc /var/log/e 5M", False), ("|tee /var/log/e", False), ("|cronolog /var/log/e", True),
])
def test_which_files_are_made_with_the_first_line(value, late):
    assert place_of(value, ROOT).late is late

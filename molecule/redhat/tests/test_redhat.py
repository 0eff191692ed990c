# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of two families was deployed and deployed again. On rh1, real httpd stands in the layout of Red Hat's packages.

It is Debian's program in that layout, no RPM and no SELinux: where a test stands in for those, its name says so.
"""

from __future__ import annotations

import json
import secrets

import pytest

from plugins.module_utils.probe import MARKER_LENGTH
from tests import journey
from tests.ring_journey import Browser, Operator

FLEET = ("n1", "rh1")
GROUP = {"session_fleet_group": "mixed_fleet"}
NODE = "rh1"
SESSIONS = "/etc/httpd/conf.d/mod-session-fleet.conf"
MODULES = "/etc/httpd/conf.modules.d/99-mod-session-fleet.conf"
DRIVERS = "/usr/lib/*/apr-util-1"
# Red Hat ships no virtual host, and the first one answers for every name.
VHOST = """<VirtualHost *:80>
    ServerName localhost
    DocumentRoot /var/www/html
</VirtualHost>
<VirtualHost *:80>
    ServerName www.example.test
    DocumentRoot /var/www/html
</VirtualHost>
"""
RING = {"max_age": 10, "update_interval": 1}


def run(name, *words, **extra):
    return journey.playbook(name, *words, extra={**GROUP, **extra})


def deploy(*words, **extra):
    """A run that has to succeed."""
    done = run("deploy", *words, **extra)
    assert done.status == 0, done.output
    return done


def flat(done):
    return " ".join(done.output.replace("\\n", " ").split())


@pytest.fixture
def old_state():
    """What serves before a failure serves after it, and nothing is left over."""
    keys = journey.fleet_keys()
    assert journey.serves(NODE, keys)
    yield keys
    assert journey.serves(NODE, keys)
    left = journey.on(NODE, "find /etc /run -name '*.mod-session-*' -o -name '*mod-session*trial*' -o -name '.transaction*'")
    assert left == ""
    assert deploy("--limit", NODE).changed == 0


def test_the_node_is_laid_out_as_red_hat_does():
    assert journey.on(NODE, ". /etc/os-release; echo $ID $ID_LIKE") == "rocky rhel centos fedora"
    assert journey.on(NODE, "ls -d /etc/apache2 /usr/sbin/apache2* /usr/lib/apache2", check=False).count("cannot access") == 3
    assert journey.on(NODE, "ps -o user= -C httpd | sort -u") == "apache\nroot"
    assert "no longer supported" in journey.on(NODE, "apachectl -t -c 'Include x'", check=False)


@pytest.mark.parametrize("maker", FLEET)
@pytest.mark.parametrize("reader", FLEET)
def test_session_lives_across_the_families(maker, reader):
    keys = journey.fleet_keys()
    marker = secrets.token_hex(MARKER_LENGTH // 2)
    made = journey.ask(maker, keys, marker=marker).cookie
    assert journey.ask(reader, keys, cookie=made.value, marker=marker).accepted


def test_files_are_where_this_system_has_them_and_the_key_is_for_root_only():
    assert journey.on(NODE, "stat -c '%n %U:%G %a' /etc/httpd/mod_session /etc/httpd/mod_session/passphrases " + SESSIONS) == (
        "/etc/httpd/mod_session root:root 700\n/etc/httpd/mod_session/passphrases root:root 600\n" + SESSIONS + " root:root 644")
    assert "99-mod-session-fleet.conf" in journey.on(NODE, "ls /etc/httpd/conf.modules.d | tail -n 1")


def test_second_run_changes_nothing():
    done = deploy()
    assert done.changed == 0 and done.nodes == set(FLEET), done.output


def test_check_mode_predicts_exactly_what_the_run_changes():
    extra = {"session_config_scopes": [{**journey.APP, "max_age": 1800}]}
    predicted = deploy("--check", "--diff", **extra)
    assert journey.ask(NODE, journey.fleet_keys()).max_age == 3600
    done = deploy("--diff", **extra)
    before, after = predicted.results("Sessions are live"), done.results("Sessions are live")
    assert before[NODE]["changes"] == after[NODE]["changes"] == [SESSIONS, "reload"]
    assert journey.ask(NODE, journey.fleet_keys()).max_age == 1800
    deploy()
    assert journey.ask(NODE, journey.fleet_keys()).max_age == 3600


def test_check_is_healthy():
    done = run("check")
    assert done.status == 0, done.output
    assert "All 2 nodes agree" in flat(done)


def test_diagnosis_finds_nothing_on_a_healthy_fleet_and_names_the_node_with_another_key_first(old_state, tmp_path):
    # What other journeys lost on purpose is in the logs.
    journey.on(NODE, ": >/var/log/httpd/error_log")
    journey.on("n1", ": >/var/log/apache2/error.log; rm -f /var/log/apache2/error.log.*")
    done = run("diagnose", session_diagnose_report_dir=str(tmp_path))
    assert done.status == 0 and done.changed == 0, done.output
    assert json.loads((tmp_path / "diagnosis.json").read_text())["causes"] == [], done.output
    journey.on(NODE, "cp -a /etc/httpd/mod_session/passphrases /run/k; head -c 32 /dev/urandom | base64 | tr -d '+/=' "
                     ">/etc/httpd/mod_session/passphrases; systemctl reload httpd")
    try:
        run("diagnose", session_diagnose_report_dir=str(tmp_path))
        first = json.loads((tmp_path / "diagnosis.json").read_text())["causes"][0]
        assert (first["code"], first["nodes"]) == ("key_file_differs", [NODE])
    finally:
        journey.on(NODE, "mv /run/k /etc/httpd/mod_session/passphrases; systemctl reload httpd; sleep 1;"
                         ": >/var/log/httpd/error_log")


def test_debug_level_goes_up_and_back(old_state, tmp_path):
    done = run("debug", session_debug_nodes=NODE, session_debug_wait=1, session_debug_dir=str(tmp_path))
    assert done.status == 0, done.output
    assert journey.on(NODE, "ls /etc/httpd/conf.d | grep debug; ls /etc/systemd/system | grep mod-session-debug; true") == ""


def test_bad_directive(old_state):
    done = run("deploy", "--limit", NODE, session_config_scopes=[{**journey.APP, "directives": ["SessionFoo On"]}])
    assert done.status != 0 and done.changed == 0
    assert "Invalid command 'SessionFoo'" in flat(done) and "nothing was changed" in flat(done)


def test_crypto_driver_is_missing(old_state):
    journey.on(NODE, "cd %s && mkdir away && mv apr_crypto_openssl* away/" % DRIVERS)
    try:
        done = run("deploy", "--limit", NODE, session_keys_passphrases=[*old_state, journey.new_key()])
        assert done.status != 0 and done.changed == 0
        for words in ("the crypto driver cannot be loaded", "Red Hat: apr-util-openssl", "nothing was changed", "AH0184"):
            assert words in flat(done), done.output
    finally:
        journey.on(NODE, "cd %s && mv away/* . && rmdir away" % DRIVERS)


def test_another_file_of_the_site_was_broken_before_we_came(old_state):
    journey.on(NODE, "echo 'NoSuchDirective on' > /etc/httpd/conf.d/other.conf")
    try:
        done = run("deploy", "--limit", NODE, session_keys_passphrases=[*old_state, journey.new_key()])
        assert done.status != 0 and "was broken before this run; nothing was changed" in flat(done)
    finally:
        journey.on(NODE, "rm /etc/httpd/conf.d/other.conf")


def test_httpd_reloads_but_dies(old_state):
    drop_in = "/run/systemd/system/httpd.service.d/dies.conf"
    journey.on(NODE, "mkdir -p $(dirname {0}) && cat > {0} && systemctl daemon-reload".format(drop_in),
               stdin="[Service]\nExecReload=\nExecReload=/bin/kill -9 $MAINPID\n")
    try:
        done = run("deploy", "--limit", NODE, session_keys_passphrases=[*old_state, journey.new_key()])
        assert "the old state serves again" in flat(done) and "the server had died and was started" in flat(done), done.output
    finally:
        journey.on(NODE, "rm {0} && systemctl daemon-reload".format(drop_in))


def test_modules_that_the_operator_does_not_load_are_loaded():
    """Red Hat's package loads them all; whoever keeps that file empty gets those that sessions need, and no other."""
    away = "/etc/httpd/conf.modules.d/01-session.conf"
    journey.on(NODE, "rm -r /etc/httpd/mod_session %s %s && : > %s && systemctl restart httpd" % (SESSIONS, MODULES, away))
    try:
        deploy("--limit", NODE)
        assert journey.serves(NODE, journey.fleet_keys())
        loaded = journey.on(NODE, "httpd -M 2>/dev/null | grep -o '[a-z_]*session[a-z_]*'").split()
        assert loaded == ["session_module", "session_cookie_module", "session_crypto_module"]
        assert deploy("--limit", NODE).changed == 0
    finally:
        journey.on(NODE, "cp /var/backups/httpd-as-shipped/conf.modules.d/01-session.conf %s && systemctl restart httpd" % away)


def test_module_file_is_missing(old_state):
    journey.on(NODE, "cd /usr/lib64/httpd/modules && mv mod_session_crypto.so crypto.away")
    try:
        done = run("deploy", "--limit", NODE, session_keys_passphrases=[*old_state, journey.new_key()])
        assert done.status != 0 and done.changed == 0
        assert "nothing was changed" in flat(done) and "mod_session_crypto.so" in flat(done), done.output
    finally:
        journey.on(NODE, "cd /usr/lib64/httpd/modules && mv crypto.away mod_session_crypto.so")


def test_scope_of_a_virtual_host_needs_one_include_in_the_operators_file():
    path = "/etc/httpd/conf.d/www.conf"
    journey.on(NODE, "cat > %s && systemctl reload httpd" % path, stdin=VHOST)
    one = {"name": "www", "path": "/www", "virtual_host": "www.example.test", "virtual_host_file": path, "cookie_name": "www"}
    extra = {"session_config_scopes": [journey.APP, one]}
    deploy("--limit", NODE, **extra)
    assert deploy("--limit", NODE, **extra).changed == 0
    line = '    Include "/etc/httpd/mod_session.d/www.example.test.conf"\n'
    assert journey.on(NODE, "cat " + path).replace(line, "") + "\n" == VHOST
    scope = journey.scope(**one, max_age=3600, request_header="", response_header="")
    assert journey.serves(NODE, journey.fleet_keys(), scope)
    journey.on(NODE, "rm %s && systemctl reload httpd" % path)
    deploy("--limit", NODE)


@pytest.fixture
def selinux():
    """Commands that print what SELinux's own do, and note what they were asked."""
    folder = "/usr/local/sbin"
    journey.on(NODE, "cat > {0}/selinuxenabled && chmod 755 {0}/selinuxenabled && for name in getsebool setsebool restorecon; do "
                     "cp {0}/selinuxenabled {0}/$name; done".format(folder), stdin="""#!/bin/sh
echo "${0##*/} $*" >>/run/selinux-asked
case "${0##*/} $*" in
    getsebool*) echo "$1 --> off" ;;
    restorecon*-n*) [ ! -e /run/selinux-wrong ] || echo "Would relabel $4 from a:b:user_tmp_t:s0 to a:b:httpd_config_t:s0" ;;
    restorecon*) rm -f /run/selinux-wrong ;;
esac
""")
    yield
    journey.on(NODE, "cd %s && rm -f selinuxenabled getsebool setsebool restorecon /run/selinux-*" % folder)


@pytest.mark.usefixtures("selinux")
def test_files_that_were_moved_here_get_their_context_with_commands_that_stand_in_for_selinux():
    journey.on(NODE, "touch /run/selinux-wrong")
    predicted = deploy("--check", "--limit", NODE).results("Sessions are live")[NODE]["changes"]
    done = deploy("--limit", NODE).results("Sessions are live")[NODE]["changes"]
    assert predicted == done and done[0].startswith("SELinux context: Would relabel /etc/httpd/mod_session from")
    assert deploy("--limit", NODE).changed == 0
    asked = journey.on(NODE, "cat /run/selinux-asked")
    assert asked.count("restorecon -R -v /etc/httpd/mod_session") == 1
    assert "setsebool" not in asked, "no scope has a database"


@pytest.fixture
def rpm():
    """An rpm that has httpd of an older version, with some fixes brought back, and not yet its session modules."""
    journey.on(NODE, "cat > /usr/local/bin/rpm && chmod 755 /usr/local/bin/rpm", stdin="""#!/bin/sh
case "$*" in
    "-q --changelog httpd") echo "- Resolves: CVE-2018-17199 mod_session_cookie does not respect expiry time"; exit ;;
    "-q httpd") exit ;;
    *) echo "package $2 is not installed"; exit 1 ;;
esac
""")
    journey.on(NODE, "cd /usr/sbin && mv httpd httpd.away && cat > httpd && chmod 755 httpd", stdin="""#!/bin/sh
if [ "$*" = -v ]; then echo "Server version: Apache/2.4.37 (Rocky Linux)"; exit; fi
exec /usr/sbin/httpd.away "$@"
""")
    yield
    journey.on(NODE, "mv /usr/sbin/httpd.away /usr/sbin/httpd; rm /usr/local/bin/rpm")


@pytest.mark.usefixtures("rpm")
def test_fixes_that_the_package_brought_back_are_not_missed_with_commands_that_stand_in_for_rpm():
    said = flat(deploy("--limit", NODE, "--check"))
    assert "httpd 2.4.37 may lack the fix for CVE-2021-26690" in said
    assert "CVE-2018-17199" not in said


@pytest.mark.usefixtures("rpm")
def test_the_driver_comes_before_the_modules_that_need_it_with_commands_that_stand_in_for_rpm(tmp_path):
    play = tmp_path / "packages.yml"
    play.write_text("- hosts: %s\n  gather_facts: false\n  become: true\n  tasks:\n    - name: Packages\n"
                    "      httpd_fleet.mod_session.session_packages_info:\n" % NODE)
    names = journey.playbook(str(play)).results("Packages")[NODE]["missing"]
    assert names == ["mod_session"], "the driver's file is there"
    journey.on(NODE, "cd %s && mkdir away && mv apr_crypto_openssl* away/" % DRIVERS)
    try:
        assert journey.playbook(str(play)).results("Packages")[NODE]["missing"] == ["apr-util-openssl", "mod_session"]
    finally:
        journey.on(NODE, "cd %s && mv away/* . && rmdir away" % DRIVERS)


def test_ring_is_made_and_rotated_and_no_session_is_lost_across_the_families():
    for one in journey.STATE.glob("mixed.vault*"):
        one.unlink()
    operator = Operator({"file": str(journey.STATE / "mixed.vault")}, **GROUP, session_config_scopes=[{**journey.APP, **RING}],
                        session_ring_drift=1, session_ring_drain=1)
    scope = journey.scope(**RING)
    old = journey.fleet_keys()
    deploy(session_config_scopes=operator.settings["session_config_scopes"])
    operator.did("ring", session_ring_verb="init", session_keys_passphrases=old)
    user = Browser(old, scope, NODE)
    with user.busy(operator, FLEET):
        operator.did("deploy")
        operator.did("rotate", session_rotate_now=True)
    assert operator.states == ["primary", "secondary"] and operator.every_key()[1:] == old
    assert user.alive(operator.every_key(), FLEET)
    assert all(journey.serves(node, operator.every_key(), scope) for node in FLEET)
    assert journey.on(NODE, "head -n 1 /etc/httpd/mod_session/passphrases").startswith("# ring ")
    assert operator.did("deploy").changed == 0
    deploy()


def test_no_file_on_the_node_has_a_key_but_the_key_file_and_no_journal_has_one():
    assert journey.files_with_keys(NODE) == ["/etc/httpd/mod_session/passphrases"]
    journal = journey.on(NODE, "journalctl --no-pager -o cat --all; cat /var/log/httpd/*")
    assert "Invoked" in journal, "modules do write there"
    assert not [key for key in journey.used_keys() if key in journal]

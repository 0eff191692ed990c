# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator has two nodes tell all they know of sessions for a while; nothing secret is collected, and the level goes back."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time

import pytest

from plugins.module_utils.cookie import format_payload, seal
from tests import journey

NODE, QUIET = "n2", "n1"
CONF = "/etc/apache2/conf-enabled/zz-mod-session-debug.conf"
LOG = "/var/log/apache2/error.log"
UNIT = "/etc/systemd/system/mod-session-debug-off"
LEFT = f"ls {CONF} {UNIT}.* /etc/systemd/system/*.wants/mod-session-debug-off* 2>/dev/null; true"
UNTIL = "systemctl list-timers --no-legend mod-session-debug-off.timer"


@pytest.fixture(autouse=True)
def clean():
    yield
    journey.playbook("debug", extra={"session_debug_nodes": NODE, "session_debug_off": True})
    journey.on(NODE, "rm -f /etc/apache2/conf-enabled/broken.conf")
    assert journey.on(NODE, LEFT) == ""


def debug(tmp_path, *words, **extra):
    extra = {"session_debug_nodes": NODE, "session_debug_wait": 2, "session_debug_dir": str(tmp_path), **extra}
    return journey.playbook("debug", *words, extra=extra)


def visit(key, path="/app/?token=VERY-SECRET-WORD"):
    """A visitor with a session under a key; gives the cookie's value."""
    value = seal(format_payload({"user": "anna"}), key, "aes256", secrets.token_bytes(16), secrets.token_bytes(16))
    journey.get(NODE, path, "httpd-session=" + value)
    return value


def debug_lines(node):
    return journey.on(node, f"grep -c ':debug\\]' {LOG}; true")


def reproduced(tmp_path, **extra):
    """A run, while visitors come with a key of the fleet and with another one."""
    command, cleanup = journey.prepared("debug", extra={
        "session_debug_nodes": NODE, "session_debug_wait": 4, "session_debug_dir": str(tmp_path), **extra})
    process = subprocess.Popen(command, env=journey.environment(), cwd=journey.ROOT, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: journey.on(NODE, f"ls {CONF} 2>/dev/null; true") == CONF)
        time.sleep(1)
        shown = [visit(journey.fleet_keys()[0]), visit(journey.new_key())]
        output = process.communicate(timeout=120)[0]
    finally:
        cleanup()
    return journey.finished(process.returncode, output), shown


def wait_for(condition, seconds=40):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within %d s" % seconds
        time.sleep(0.3)


def test_first_run_collects_what_debug_tells_and_nothing_secret(tmp_path):
    run, shown = reproduced(tmp_path)
    assert run.status == 0, run.output
    text = (tmp_path / f"{NODE}-sessions-debug.log").read_text()
    assert "AH10006" in text and "AH01842" in text, "what only the debug level tells, and the loss"
    for secret in [*shown, *journey.used_keys(), "VERY-SECRET-WORD", "anna"]:
        assert secret not in text
        assert secret not in run.output
    assert journey.on(NODE, LEFT) == ""
    before = debug_lines(NODE)
    visit(journey.new_key())
    assert debug_lines(NODE) == before, "the level is back"
    assert journey.on(QUIET, LEFT) == "" and debug_lines(QUIET) == "0"


def test_a_virtual_host_with_a_level_of_its_own_tells_as_well(tmp_path):
    journey.on(NODE, "sed -i 's/<VirtualHost .*/&\\n    LogLevel error/' /etc/apache2/sites-available/000-default.conf;"
                     "systemctl reload apache2")
    try:
        assert reproduced(tmp_path)[0].status == 0
        assert "AH10006" in (tmp_path / f"{NODE}-sessions-debug.log").read_text()
    finally:
        journey.on(NODE, "sed -i '/^    LogLevel error$/d' /etc/apache2/sites-available/000-default.conf;"
                         "systemctl reload apache2")


def test_check_mode_changes_nothing(tmp_path):
    done = debug(tmp_path, "--check")
    assert done.status == 0, done.output
    assert journey.on(NODE, LEFT) == ""


@pytest.mark.parametrize(("extra", "said"), [
    ({"session_debug_nodes": ""}, "expected names of nodes of the group"),
    ({"session_debug_nodes": "n2,elsewhere"}, "expected names of nodes of the group"),
    ({"session_debug_wait": 300}, "expected less than session_debug_seconds"),
    ({"session_debug_wait": 1, "session_debug_seconds": 5}, "expected 10 to 86400"),
])
def test_bad_input_is_refused(tmp_path, extra, said):
    done = debug(tmp_path, **extra)
    assert done.status != 0 and said in " ".join(done.output.split()), done.output
    assert journey.on(NODE, LEFT) == ""


def test_a_broken_configuration_is_left_as_it_is(tmp_path):
    journey.on(NODE, "echo Nonsense >/etc/apache2/conf-enabled/broken.conf")
    done = debug(tmp_path)
    assert done.status != 0 and "was broken before; nothing was changed" in done.output, done.output
    assert journey.on(NODE, LEFT) == ""
    assert journey.serves(NODE, journey.fleet_keys()), "the old state serves"


def killed(tmp_path, seconds):
    """The controller dies while it waits."""
    command, cleanup = journey.prepared("debug", extra={
        "session_debug_nodes": NODE, "session_debug_wait": seconds - 1, "session_debug_seconds": seconds,
        "session_debug_dir": str(tmp_path)})
    process = subprocess.Popen(command, env=journey.environment(), cwd=journey.ROOT, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: f"OnActiveSec={seconds}\n" in journey.on(NODE, f"cat {UNIT}.timer {CONF} 2>/dev/null; true")
             and journey.on(NODE, f"ls {CONF} 2>/dev/null; true") == CONF)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    cleanup()


def test_the_level_goes_back_by_itself_where_the_controller_died(tmp_path):
    killed(tmp_path, 12)
    assert journey.on(NODE, UNTIL), "a timer is there"
    wait_for(lambda: journey.on(NODE, LEFT) == "")
    before = debug_lines(NODE)
    visit(journey.new_key())
    assert debug_lines(NODE) == before


def test_the_level_is_back_after_a_reboot(tmp_path):
    """A container does not boot as a machine does: what systemd starts at boot is started here, with httpd stopped."""
    killed(tmp_path, 600)
    wanted = journey.on(NODE, "systemctl show -p WantedBy --value mod-session-debug-off.service")
    assert "multi-user.target" in wanted
    journey.on(NODE, "systemctl stop mod-session-debug-off.timer apache2; systemctl start mod-session-debug-off.service apache2")
    assert journey.on(NODE, LEFT) == ""
    assert journey.serves(NODE, journey.fleet_keys())


def test_a_deploy_meanwhile_changes_nothing_and_again_begins_anew(tmp_path):
    killed(tmp_path, 600)
    done = journey.playbook("deploy")
    assert done.status == 0 and done.changed == 0, done.output
    assert journey.on(NODE, f"ls {CONF}") == CONF
    killed(tmp_path, 900)
    assert "OnActiveSec=900" in journey.on(NODE, f"cat {UNIT}.timer")
    done = journey.playbook("debug", extra={"session_debug_nodes": NODE, "session_debug_off": True})
    assert done.status == 0 and done.changed == 1, done.output
    assert journey.on(NODE, LEFT) == ""
    assert journey.playbook("debug", extra={"session_debug_nodes": NODE, "session_debug_off": True}).changed == 0

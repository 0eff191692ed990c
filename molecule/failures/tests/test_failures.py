# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something breaks while sessions are deployed. Each time: a clear sentence, and the old state serves afterwards."""

from __future__ import annotations

import subprocess

import pytest

from tests import journey

DRIVERS = "/usr/lib/*/apr-util-1"


@pytest.fixture(autouse=True)
def _old_state_serves_before_and_after():
    keys = journey.fleet_keys()
    assert all(journey.serves(node, keys) for node in ("n1", "n2", "n3"))
    yield
    for node in ("n1", "n2", "n3"):
        assert journey.serves(node, keys), "%s does not serve the old state" % node
        left = journey.on(node, "find /etc /run /tmp /root /home -name '*mod-session-[no]*' -o -name '*mod-session*trial*' "
                                "-o -name '.transaction*' | grep -v conf-; pgrep -fc mod-session-fleet-tria[l]", check=False)
        assert left == "0", "%s: left over: %s" % (node, left)
    assert journey.playbook("deploy").changed == 0


def next_keys():
    """The fleet's key, and a second one that is to be added."""
    return [*journey.fleet_keys(), journey.new_key()]


def deploy(*words, **extra):
    return journey.playbook("deploy", *words, extra={"session_keys_passphrases": next_keys(), **extra})


def refused(run, *sentences, node="n1"):
    """The run failed on that node, changed nothing, and said all of this."""
    assert run.status != 0, run.output
    assert run.changed == 0, run.output
    flat = " ".join(run.output.replace("\\n", " ").split())
    assert node in flat
    for sentence in sentences:
        assert sentence in flat, run.output


def test_crypto_driver_is_missing():
    journey.on("n1", "cd %s && mkdir away && mv apr_crypto_openssl* away/" % DRIVERS)
    try:
        run = deploy("-e", "session_modules_install=false")
        refused(run, "the crypto driver cannot be loaded", "nothing was changed", "AH0184")
    finally:
        journey.on("n1", "cd %s && mv away/* . && rmdir away" % DRIVERS)


def test_bad_directive():
    scopes = [{**journey.APP, "directives": ["SessionFoo On"]}]
    refused(deploy(session_config_scopes=scopes), "Invalid command 'SessionFoo'", "nothing was changed")


def test_unknown_cipher():
    refused(deploy(session_config_scopes=[{**journey.APP, "cipher": "aes512"}]), "cipher", "aes512", "aes256")


@pytest.mark.parametrize(("written", "sentence"), [
    ([], "session_keys_passphrases is empty"),
    ([""], "passphrase 1 is empty"),
    (["# {key}"], "passphrase 1 starts with '#'"),
    (["{key}\r"], "passphrase 1 holds a control character"),
    (["exec:/bin/echo {key}"], "passphrase 1 starts with 'exec:'"),
    (["short"], "passphrase 1 has 5 characters"),
], ids=["empty list", "empty", "comment", "CRLF", "exec", "short"])
def test_passphrase_that_httpd_would_misread(written, sentence):
    keys = [word.format(key=journey.new_key()) for word in written]
    refused(journey.playbook("deploy", extra={"session_keys_passphrases": keys}), sentence)


def test_another_file_of_the_site_was_broken_before_we_came():
    journey.on("n1", "echo 'NoSuchDirective on' > /etc/apache2/conf-enabled/other.conf")
    try:
        refused(deploy(), "was broken before this run; nothing was changed", "NoSuchDirective")
        assert journey.on("n1", "cat /etc/apache2/conf-enabled/other.conf") == "NoSuchDirective on"
    finally:
        journey.on("n1", "rm /etc/apache2/conf-enabled/other.conf")


def test_disk_is_full():
    journey.on("n1", "cp -a /etc/apache2 /var/tmp/apache2-copy && mount -t tmpfs -o size=2m,mode=0755 tmpfs /etc/apache2 && "
                     "cp -a /var/tmp/apache2-copy/. /etc/apache2/ && systemctl restart apache2; "
                     "cat /dev/zero > /etc/apache2/fill; df /etc/apache2 | grep -q 100%", check=False)
    try:
        scopes = [{**journey.APP, "max_age": 1800}]
        refused(deploy(session_config_scopes=scopes), "No space left on device", "nothing was changed")
    finally:
        journey.on("n1", "umount -l /etc/apache2; rm -rf /var/tmp/apache2-copy; systemctl restart apache2")


def test_httpd_is_stopped():
    journey.on("n1", "systemctl stop apache2")
    try:
        refused(deploy(), "nothing listens on port 80", "start apache2", "nothing was changed")
    finally:
        journey.on("n1", "systemctl start apache2")


def test_httpd_reloads_but_dies():
    drop_in = "/run/systemd/system/apache2.service.d/dies.conf"
    journey.on("n1", "mkdir -p $(dirname {0}) && cat > {0} && systemctl daemon-reload".format(drop_in),
               stdin="[Service]\nExecReload=\nExecReload=/bin/kill -9 $MAINPID\n")
    try:
        refused(deploy(), "the old state serves again", "the server had died and was started")
    finally:
        journey.on("n1", "rm {0} && systemctl daemon-reload".format(drop_in))


def test_node_is_unreachable_in_the_middle_of_a_batch(tmp_path):
    hook = tmp_path / "hook.yml"
    hook.write_text("- name: Second node goes away\n  ansible.builtin.command: python3 %s/demo/fleet.py stop "
                    "%s/molecule/fleet.json n2\n  delegate_to: localhost\n  become: false\n  vars:\n"
                    "    ansible_connection: local\n    ansible_python_interpreter: '{{ ansible_playbook_python }}'\n"
                    "  when: inventory_hostname == 'n2'\n"
                    % (journey.ROOT, journey.ROOT))
    new = next_keys()
    try:
        run = journey.playbook("deploy", extra={"session_keys_passphrases": new, "session_deploy_before_batch": str(hook),
                                                "session_serial": 1})
    finally:
        journey.fleet_py("start", "n2")
    assert run.status != 0
    assert run.recap["n2"]["unreachable"] == 1, run.output
    assert journey.serves("n1", new), "the first batch was done"
    assert journey.ask("n3", new, 1).accepted is False, "the rest is untouched"
    assert journey.playbook("deploy", "--limit", "n1").changed == 1


def test_two_runs_at_once_on_one_node():
    first, second = [*journey.fleet_keys(), journey.new_key()], [*journey.fleet_keys(), journey.new_key()]
    running = []
    for keys in (first, second):
        command, cleanup = journey.prepared("deploy", "--limit", "n1", extra={"session_keys_passphrases": keys})
        running.append((subprocess.Popen(command, env=journey.environment(), cwd=journey.ROOT, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True), cleanup))
    for process, cleanup in running:
        output, _nothing = process.communicate(timeout=300)
        cleanup()
        assert journey.finished(process.returncode, output).status == 0, output
    assert journey.serves("n1", first) or journey.serves("n1", second), "the last one wins, whole"
    assert journey.playbook("deploy", "--limit", "n1").changed == 1

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users are logged out: whatever the reason, one run of the diagnosis names it first, once, and changes nothing."""

from __future__ import annotations

import json
import re
import secrets
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))
import small_fleet

from plugins.module_utils.cookie import format_payload, seal
from tests import journey, troubles
from tests.troubles import LATER, OTHER, SITE, TROUBLES

FLEET = ("n1", "n2", "n3")
BACKUP = "/run/diagnose-backup"
LOG = "/var/log/apache2/error.log"
TREE = ("find /etc/apache2 /etc/systemd/system /run/apache2 -type f | sort | xargs sha256sum;"
        "stat -c '%n %a %u %y' /etc/apache2/*/*")
SCOPES = [journey.APP]


@pytest.fixture(scope="module", autouse=True)
def fleet():
    """What a deploy left, kept to be put back after each fault."""
    for node in FLEET:
        journey.on(node, f"rm -rf {BACKUP}; cp -a /etc/apache2 {BACKUP}; : >{LOG}; rm -f {LOG}.*; mkdir -p /usr/local/bin")
    journey.on("n2", "which nft || { apt-get -qq update; apt-get -qq install -y nftables; }")
    yield
    for node in FLEET:
        journey.on(node, f"rm -rf {BACKUP}")


@pytest.fixture
def make():
    """Makes faults, and undoes them."""
    made = []

    def fault(trouble):
        for node in trouble.nodes:
            made.append((node, trouble))
            journey.on(node, trouble.fault)

    yield fault
    for node, trouble in made:
        journey.on(node, f"{trouble.repair or 'true'}")
        restore(node)


def restore(node):
    journey.on(node, f"find /etc/apache2 -mindepth 1 -delete; cp -a {BACKUP}/. /etc/apache2/;"
                     "rm -rf /etc/systemd/system/apache2.service.d; systemctl daemon-reload; systemctl reset-failed;"
                     f"systemctl restart apache2; : >{LOG}")


@pytest.fixture
def diagnose(tmp_path):
    """Runs the playbook; gives the run and what diagnosis.json holds."""

    def run(*words, **extra):
        extra = {"session_diagnose_report_dir": str(tmp_path), "session_check_timeout": 4, **extra}
        done = journey.playbook("diagnose", *words, extra=extra)
        data = json.loads((tmp_path / "diagnosis.json").read_text())
        assert done.changed == 0, done.output
        for name in ("diagnosis.json", "diagnosis.html"):
            text = (tmp_path / name).read_text()
            assert not any(key in text for key in (*journey.fleet_keys(), OTHER))
        assert (done.status == 0) is (data["status"] in ("healthy", "warned")), done.output
        return done, data

    return run


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """The fleet behind TLS as well as on port 80; the variables of a run that asks it there."""
    folder = tmp_path_factory.mktemp("tls")
    authority = small_fleet.make_authority(folder)
    site = f"<VirtualHost *:443>\nServerName {SITE}\nSSLEngine On\nSSLCertificateFile /run/site.pem\n</VirtualHost>\n"
    certificate = small_fleet.make_certificate(folder, SITE).read_text()
    for node in FLEET:
        journey.on(node, "cat >/run/site.pem", stdin=certificate)
        journey.on(node, "cat >/etc/apache2/sites-enabled/tls.conf", stdin=site)
        journey.on(node, "a2enmod -q ssl >/dev/null && systemctl restart apache2")
    yield {"session_config_scopes": [{**journey.APP, "scheme": "https", "port": 443, "reach": {"server_name": SITE}}],
           "session_check_port": 20443, "session_check_ca": str(authority)}
    for node in FLEET:
        restore(node)


def show(node):
    """A browser shows a node a cookie that it cannot open."""
    value = seal(format_payload({"user": "anna"}), OTHER, "aes256", secrets.token_bytes(16), secrets.token_bytes(16))
    journey.get(node, "/app/", "httpd-session=" + value)


def told(data):
    return [(cause["code"], cause["nodes"]) for cause in data["causes"]]


# First run, second run, check mode


def test_healthy_fleet_has_nothing_and_nothing_is_touched(diagnose):
    before = {node: journey.on(node, TREE) for node in FLEET}
    done, data = diagnose()
    assert (told(data), data["status"], data["log"]) == ([], "healthy", []), done.output
    assert "HEALTHY: Nothing was found on 3 nodes that would end a session." in done.output
    assert told(diagnose("--check")[1]) == []
    assert {node: journey.on(node, TREE) for node in FLEET} == before


# Every row of the matrix


@pytest.mark.parametrize("trouble", [row for row in TROUBLES if row.scenario == "diagnose"], ids=lambda row: row.id)
def test_the_fault_is_named_first(trouble, make, diagnose, request, tmp_path):
    extra, words = dict(trouble.extra), []
    if extra.pop("tls", False):
        extra.update(request.getfixturevalue("tls"))
    if "unreachable" in extra:
        inventory = tmp_path / "unreachable.yml"
        inventory.write_text("all: {hosts: {%s: {ansible_port: 9}}}\n" % extra.pop("unreachable"))
        words = ["-i", str(inventory)]
    make(trouble)
    if trouble.shows:
        show(trouble.nodes[0])
    done, data = diagnose(*words, **extra)
    assert told(data)[:1] == [(trouble.code, list(trouble.nodes))], json.dumps(data, indent=1)
    # Once: what follows from it is not told again. Other things that the fault brings with it are few.
    assert len(data["causes"]) <= 3, json.dumps(data["causes"], indent=1)
    assert len({cause["code"] for cause in data["causes"]}) == len(data["causes"])
    assert data["causes"][0]["evidence"][0]["text"]
    assert "docs/troubleshooting.md#" + trouble.code in done.output


# What only several findings together show


def test_a_node_that_destroys_sessions_explains_the_losses_of_the_others(make, diagnose):
    trouble = next(row for row in TROUBLES if row.id == "wrong_key")
    make(trouble)
    for node in ("n1", "n3"):
        show(node)
    _done, data = diagnose()
    assert told(data) == [("key_file_differs", ["n2"])]
    follows = {one["code"]: one["nodes"] for one in data["causes"][0]["explains"]}
    assert set(follows["sessions_lost"]) >= {"n1", "n3"}
    assert follows["wrong_key"] == ["n2"]
    assert {row["node"]: row["count"] for row in data["log"] if row["code"] == "AH01842"}.keys() >= {"n1", "n3"}
    for node in ("n1", "n3"):
        journey.on(node, f": >{LOG}")


def test_what_a_check_shows_a_node_on_purpose_is_no_loss(diagnose):
    """As at the end of each rotation: every node is asked whether it refuses the old key."""
    for node in FLEET:
        journey.ask(node, [OTHER])
        assert not re.search(r"AH01842|AH01817|AH01630", journey.on(node, f"cat {LOG}")), "it is not even logged"
    _done, data = diagnose()
    assert (told(data), data["log"]) == ([], [])
    for node in FLEET:
        journey.on(node, f": >{LOG}")


def test_limit_does_not_shrink_the_fleet(diagnose):
    _done, data = diagnose("--limit", "n1,n3,localhost")
    assert told(data) == [("not_examined", ["n2"])]
    assert data["causes"][0]["evidence"][0]["text"] == "this run left it out (--limit)"


def test_logs_that_were_rotated_and_piped_are_read(make, diagnose):
    """A loss in a compressed file, one in the file before, one in that of now; then one that went to syslog by a pipe."""
    for rotated in (f"cp {LOG} {LOG}.2; gzip -f {LOG}.2", f"cp {LOG} {LOG}.1"):
        show("n2")
        journey.on("n2", f"{rotated}; : >{LOG}; sleep 1.1")  # what one client does within a second is one loss
    show("n2")
    assert lost(diagnose()[1], "n2") == 3
    journey.on("n2", f"rm {LOG}.1 {LOG}.2.gz; : >{LOG}")
    make(troubles.Trouble("piped", "", "sessions_lost", f"echo 'ErrorLog \"|/usr/bin/logger -t site-errors\"' >{LATER};"
                          "systemctl restart apache2; sleep 0.5"))
    show("n2")
    assert lost(diagnose()[1], "n2") == 1


def lost(data, node):
    return sum(row["count"] for row in data["log"] if (row["node"], row["code"]) == (node, "AH01842"))


def test_bad_input_is_refused_before_anything_is_asked():
    done = journey.playbook("diagnose", extra={"session_diagnose_hours": 0})
    assert done.status != 0 and "0 is not a number of hours from 1 to 8760" in done.output
    done = journey.playbook("diagnose", extra={"session_config_scopes": [{"name": "app", "path": "app"}]})
    assert done.status != 0


def test_the_old_state_still_serves():
    assert all(journey.serves(node, journey.fleet_keys()) for node in FLEET)

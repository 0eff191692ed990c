# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of a key that two workers distribute, as docs/scale.md says, while the steps of the ring are taken for all nodes."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest
import yaml

from tests import journey
from tests.ring_journey import FLEET, Browser, Operator

DISTRIBUTE = journey.ROOT / "examples" / "runner" / "distribute"
LOST = "exit 1"
"""A worker that cannot be reached."""


class Sliced(Operator):
    """An operator with a folder for ansible-runner, and two workers that have the vault's password by themselves.

    :ivar place: all that the workers ever have, in and out.
    """

    def __init__(self, place) -> None:
        journey.OUTPUTS.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.folder = place / "fleet"
        for name in ("inventory/group_vars", "env"):
            (self.folder / name).mkdir(parents=True)
        super().__init__({"file": str(self.folder / "inventory" / "group_vars" / "session_ring.vault")})
        cache = journey.ROOT / ".cache" / "fleet"
        hosts = {"session_fleet": {
            "hosts": {node: {"address": journey.addresses()[node]} for node in FLEET},
            "vars": {
                "ansible_host": "{{ address }}",
                "ansible_user": "ops",
                "ansible_port": 20022,
                "ansible_ssh_private_key_file": str(cache / "id_ed25519"),
                "ansible_ssh_common_args": "-o UserKnownHostsFile=%s" % (journey.STATE / "known_hosts"),
                "ansible_host_key_checking": True,
                "ansible_python_interpreter": "/usr/bin/python3",
                "session_check_port": journey.PORT,
                "session_serial": ["100%"],
                "session_config_scopes": [journey.APP],
                "session_ring_store": {"file": "{{ inventory_dir }}/group_vars/session_ring.vault"},
            },
        }, "others": {"hosts": {"lb1": {"ansible_host": "127.0.0.1"}}}}  # fmt: skip
        (self.folder / "inventory" / "hosts.yml").write_text(yaml.safe_dump(hosts))
        self.tell_workers()

    def tell_workers(self, **extra: object) -> None:
        """Variables of the workers alone."""
        copy = {"file": "{{ inventory_dir }}/group_vars/session_ring.vault", "read_only": True}
        (self.folder / "env" / "extravars").write_text(yaml.safe_dump({"session_ring_store": copy, **extra}))

    def run(self, name: str, *words: str, **extra: object) -> journey.Run:
        """One run for the whole fleet, on this controller, from the same folder."""
        inventory = str(self.folder / "inventory")
        command = ["ansible-playbook", "-i", inventory, "httpd_fleet.mod_session." + name, *self.words(*words)]
        command += ["-e", json.dumps(extra)] if extra else []
        done = subprocess.run(command, env=journey.environment(), capture_output=True, text=True, timeout=300, check=False)
        self.ring()
        return journey.finished(done.returncode, done.stdout + done.stderr)

    def worker(self, number: int) -> str:
        """A worker with a private data directory of its own; both of its streams are kept."""
        own = self.place / ("worker%d" % number)
        password = shlex.quote("ANSIBLE_VAULT_PASSWORD_FILE=%s" % self.password)
        return "tee %s.in | env %s ansible-runner worker --private-data-dir %s | tee %s.out" % (own, password, own, own)

    def distribute(self, *workers: str) -> journey.Run:
        """Each worker does a deploy to its slice; all that they said."""
        command = [str(DISTRIBUTE), str(self.folder), "httpd_fleet.mod_session.deploy", *workers]
        done = subprocess.run(command, env=journey.environment(), capture_output=True, text=True, timeout=300, check=False)
        said = [one.read_text() for one in sorted(self.folder.with_name("fleet.out").glob("*/said"))]
        return journey.finished(done.returncode, "\n".join([*said, done.stdout + done.stderr]))

    def distributed(self) -> journey.Run:
        """Both workers, and both succeed."""
        run = self.distribute(self.worker(1), self.worker(2))
        assert run.status == 0, run.output
        return run


@pytest.fixture(scope="module")
def operator(tmp_path_factory):
    """An operator of a fleet that has a ring, and nothing distributed yet."""
    operator = Sliced(tmp_path_factory.mktemp("runner"))
    operator.did("ring", session_ring_verb="init")
    return operator


@pytest.fixture(scope="module")
def user(operator):
    """Somebody who logged in when both workers had done their first slice."""
    run = operator.distributed()
    assert run.nodes == set(FLEET)
    operator.did("check")
    return Browser(operator.every_key(), journey.scope())


def test_one_slice_is_not_the_fleet(operator, user):
    operator.did("ring", session_ring_verb="stage")
    run = operator.distribute(operator.worker(1), LOST)
    assert run.status == 1 and "session_fleet[1:2] failed" in run.output and run.nodes == {"n1"}
    # Nor is it the fleet for a step of the ring that sees no more than that slice.
    for words in ((), ("--limit", "n1")):
        run = operator.run("ring", *words, session_ring_verb="promote")
        assert run.status != 0 and "all 3 nodes must accept every key" in run.output
        assert "n2 does not accept" in run.output and "n3 does not accept" in run.output and "n1 does not" not in run.output
    assert operator.run("check").status != 0
    run = operator.run("check", "--limit", "lb1")
    assert run.status != 0 and "the --limit of this run has no host of the group session_fleet" in run.output
    assert operator.states == ["primary", "staged"]


def test_a_worker_without_the_password_changes_nothing(operator, user):
    blind = operator.worker(2).replace("env ANSIBLE_VAULT_PASSWORD_FILE=", "env -u ANSIBLE_VAULT_PASSWORD_FILE NONE=")
    run = operator.distribute(operator.worker(1), blind)
    assert run.status == 1 and "Ansible was given no vault secret" in run.output
    assert run.recap["n1"]["changed"] == run.recap["n2"]["changed"] == run.recap["n3"]["changed"] == 0


def test_all_slices_are_the_fleet(operator, user):
    operator.distributed()
    operator.did("check")
    operator.did("ring", session_ring_verb="promote")
    assert operator.states == ["primary", "secondary"]
    operator.distributed()
    operator.did("check")
    assert all(journey.serves(node, operator.every_key(), journey.scope()) for node in FLEET)
    assert user.alive(operator.every_key())
    assert operator.distributed().changed == 0


def test_what_a_copy_of_the_ring_would_forget_is_refused(operator, user):
    longer = [{**journey.APP, "max_age": 7200}]
    operator.tell_workers(session_config_scopes=longer)
    run = operator.distribute(operator.worker(1), operator.worker(2))
    assert run.status == 1 and "-e session_ring_verb=tell" in run.output and run.changed == 0
    operator.did("ring", session_ring_verb="tell", session_config_scopes=longer)
    assert [age.seconds for age in operator.ring().max_ages] == [3600, 7200]
    assert operator.distributed().changed == 3


def test_no_key_and_no_password_is_left_at_the_workers(operator, user):
    secrets = [*journey.used_keys(), operator.password.read_text().strip()]
    streams = sorted(one.name for one in operator.place.glob("worker*.*"))
    assert streams == ["worker1.in", "worker1.out", "worker2.in", "worker2.out"]
    assert list(operator.place.glob("worker*/artifacts/*/stdout"))
    assert list(operator.place.glob("fleet.out/*/artifacts/job_events/*.json"))
    found = subprocess.run(["grep", "-rlaF", "-f", "-", str(operator.place)], input="\n".join(secrets) + "\n",
                           capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    # The search would find it.
    (operator.place / "left").write_text(operator.every_key()[0])
    assert subprocess.run(["grep", "-rlaFq", "-f", "-", str(operator.place)], input="\n".join(secrets) + "\n",
                          text=True, check=False).returncode == 0  # fmt: skip
    (operator.place / "left").unlink()

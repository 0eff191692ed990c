# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody copies an example and runs the commands of its README: sessions are there; again, and nothing changes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))
import openbao

from tests import journey
from tests import store_journey as store

EXAMPLES = sorted(path.parent for path in (journey.ROOT / "examples").glob("*/inventory"))
HOSTS = {"web1": "n1", "web2": "n2", "web3": "n3", "debian1": "n1", "rocky1": "rh1"}
"""Which node stands for a host of the examples. rh1 is Debian's httpd in Red Hat's layout."""


class User:
    """Copies a folder, and says how this machine reaches the hosts in it."""

    def __init__(self, example, folder):
        self.folder = folder
        shutil.copytree(example, folder, dirs_exist_ok=True)
        self.readme = (folder / "README.md").read_text()
        self.settings = folder / "settings.json"
        cache = journey.ROOT / ".cache" / "fleet"
        reach = {"ansible_user": "ops", "ansible_port": 20022, "ansible_ssh_private_key_file": str(cache / "id_ed25519"),
                 "ansible_ssh_common_args": f"-o UserKnownHostsFile={journey.STATE}/known_hosts -o StrictHostKeyChecking=yes",
                 "ansible_python_interpreter": "/usr/bin/python3", "session_check_port": journey.PORT}
        names = re.findall(r"^ +(\S+)\.example\.com:$", (folder / "inventory/hosts.yml").read_text(), re.M)
        self.nodes = [HOSTS[name] for name in names]
        hosts = {f"{name}.example.com": {**reach, "ansible_host": journey.addresses()[HOSTS[name]],
                                         **({"session_modules_install": False} if name == "rocky1" else {})} for name in names}
        (folder / "reach.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        (folder / "password").write_text(journey.new_key())
        self.environment = {**journey.environment(), "ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "password")}
        self.tell({})

    def tell(self, settings):
        """What the README says to put into a vault, and what differs here from example.com."""
        self.settings.touch(mode=0o600)
        self.settings.write_text(json.dumps(settings))

    def types(self, command):
        """A command of the README, without the question for the password."""
        words = [word for word in shlex.split(command) if word != "--ask-vault-pass"]
        at = words.index("inventory") + 1
        words[at:at] = ["-i", str(self.folder / "reach.json")]
        done = subprocess.run([*words, "-e", f"@{self.settings}"], cwd=self.folder, env=self.environment, capture_output=True,
                              text=True, timeout=600, check=False)
        run = journey.finished(done.returncode, done.stdout + done.stderr)
        assert run.status == 0, run.output
        return run

    def forget(self):
        """Somebody's secrets are not left behind."""
        for path in (self.settings, self.folder / "password"):
            path.unlink(missing_ok=True)

    @property
    def commands(self):
        """All commands of the README that run a playbook."""
        return re.findall(r"^ansible-playbook .*$", self.readme, re.M)


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def user(request, tmp_path):
    """Somebody with servers as the distribution ships them, and with the virtual hosts that they have already."""
    example = request.param
    made = User(example, tmp_path / "mine")
    sites = re.findall(r"virtual_host_file: /etc/apache2/sites-available/(\S+)\.conf",
                       (made.folder / "inventory/group_vars/session_fleet/main.yml").read_text())
    reset = (journey.ROOT / "molecule/default/reset.sh").read_text()
    for node in made.nodes:
        journey.on(node, "bash -s", stdin=reset)
        for site in sites:
            journey.on(node, f"cat >/etc/apache2/sites-available/{site}.conf; a2ensite -q {site}; systemctl reload apache2",
                       stdin=f"<VirtualHost *:80>\nServerName {site}\nDocumentRoot /var/www/html\n</VirtualHost>\n")
    if example.name == "sql-store":
        words = store.passwords()
        made.tell({"vault_session_store_password": words["httpd"], "vault_database_admin_password": words["admin"],
                   "database_host": "db", "database_ca": "/etc/ssl/certs/session-database.crt",
                   "session_store_admin": store.administrator("postgresql")})
    with ExitStack() as stack:
        stack.callback(made.forget)
        if example.name == "openbao":
            server = stack.enter_context(openbao.running())
            made.environment["BAO_TOKEN"] = openbao.ROOT_TOKEN
            made.tell({"bao_address": server.address})
        yield made


def test_the_readmes_commands_work_as_pasted_and_change_nothing_again(user):
    assert len(user.commands) >= 3
    for command in user.commands:
        user.types(command)
    check = user.types(user.commands[-1] if "check" in user.commands[-1] else next(
        command for command in user.commands if ".check" in command))
    assert f"All {len(user.nodes)} nodes agree" in " ".join(check.output.split())
    deploy = next(command for command in user.commands if ".deploy" in command)
    assert user.types(deploy).changed == 0

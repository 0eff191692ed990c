# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring in an encrypted file: read and replaced whole, by one at a time, whoever is killed when."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from dataclasses import replace

import pytest
from ansible import constants as C
from ansible import context
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret, get_file_vault_secret

from plugins.module_utils import ring_verbs as verbs
from plugins.module_utils.ring import saved
from plugins.module_utils.ring_json import to_json
from plugins.plugin_utils import ring_store_file
from plugins.plugin_utils.ring_store import Conflict, StoreError, open_store
from tests.stepwise import kill_at
from tests.together import in_children

from .ring_stories import at, first, secret, staged

OLD, NEW = first(), staged()
NEWER = saved(NEW, verbs.revoke(NEW, at(30, "bob"), secret(9)))


def given(*secrets):
    """A loader that was given these vault secrets, as ``id=word``."""
    loader = DataLoader()
    pairs = [one.split("=") for one in secrets or ["default=word"]]
    loader.set_vault_secrets([(vault_id, VaultSecret(word.encode())) for vault_id, word in pairs])
    return loader


def store_at(path, *secrets, **spec):
    return open_store({"file": str(path), **spec}, given(*secrets))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "session_ring.vault"


@pytest.fixture
def store(path):
    """A store that holds OLD."""
    store = store_at(path)
    store.save(OLD, None)
    return store


def sealed(path):
    return path.read_bytes().split(b"\n")[0].decode()


def opened(path, word="word"):
    """What Ansible itself reads in a file."""
    return VaultLib([("any", VaultSecret(word.encode()))]).decrypt(path.read_bytes()).decode()


def beside(path):
    return sorted(one.name for one in path.parent.iterdir() if one != path)


# What is read and written


def test_a_copy_is_read_and_never_saved(path, store):
    copy = store_at(path, read_only=True)
    ring, token = copy.load()
    assert (ring, token) == store.load() and copy.where == str(path)
    with pytest.raises(StoreError, match=r"only read here.*-e session_ring_verb=tell"):
        copy.save(NEW, token)
    assert store.load() == (ring, token)
    store_at(path, read_only=False).save(NEW, token)
    assert store.load()[0] == NEW


def test_nothing_is_there_yet(path):
    assert store_at(path).load() == (None, None)
    assert not beside(path)


def test_read_back_and_replaced(store, path):
    ring, token = store.load()
    assert ring == OLD and opened(path) == to_json(OLD)
    store.save(NEW, token)
    assert store.load()[0] == NEW and opened(path) == to_json(NEW)
    assert opened(path.with_name("session_ring.vault.previous")) == to_json(OLD)


def test_only_the_generation_before_is_kept(store, path):
    for ring in (NEW, NEWER):
        store.save(ring, store.load()[1])
    assert opened(path.with_name("session_ring.vault.previous")) == to_json(NEW)
    assert beside(path) == [".session_ring.vault.lock", "session_ring.vault.previous"]


def test_every_file_is_for_the_owner_only(store, path):
    os.chmod(path, 0o644)
    mask = os.umask(0o277)
    try:
        store.save(NEW, store.load()[1])
    finally:
        os.umask(mask)
    assert beside(path) == [".session_ring.vault.lock", "session_ring.vault.previous"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}


def test_a_symbolic_link_stays_one(tmp_path, path):
    real = tmp_path / "elsewhere" / "ring"
    real.parent.mkdir()
    path.symlink_to("elsewhere/ring")
    store = store_at(path)
    assert store.load() == (None, None)
    store.save(OLD, None)
    store.save(NEW, store.load()[1])
    assert path.is_symlink() and opened(real) == to_json(NEW) and store.load()[0] == NEW
    assert beside(real) == [".ring.lock", "ring.previous"] and beside(path) == ["elsewhere"]


def test_left_over_files_of_a_killed_run_go(store, path):
    for name in (".session_ring.vault.new", ".session_ring.vault.kept"):
        path.with_name(name).write_text("half")
    store.save(NEW, store.load()[1])
    assert beside(path) == [".session_ring.vault.lock", "session_ring.vault.previous"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another owner")
def test_root_leaves_the_owner_in_place(store, path):
    path.with_name(".session_ring.vault.lock").unlink()
    os.chown(path, 1234, 5678)
    store.save(NEW, store.load()[1])
    assert {os.stat(path.parent / name).st_uid for name in [path.name, *beside(path)]} == {1234}


def test_nobody_takes_a_file_from_its_owner(store, path, monkeypatch):
    before, token = path.read_bytes(), store.load()[1]
    status = os.stat(path)
    other = os.stat_result((*status[:4], status.st_uid + 1, *status[5:]))
    monkeypatch.setattr(ring_store_file.os, "stat", lambda _file: other)

    def refuse(*_arguments):
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(ring_store_file.os, "fchown", refuse)
    with pytest.raises(StoreError, match=r"not saved and is as it was.*belongs to the user with id"):
        store.save(NEW, token)
    assert path.read_bytes() == before and beside(path) == [".session_ring.vault.lock"]


def test_what_is_written_is_on_the_disk_before_it_counts(store, path, monkeypatch):
    calls, token = [], store.load()[1]

    def watched(name):
        real = getattr(os, name)

        def call(*arguments):
            about = os.readlink(f"/proc/self/fd/{arguments[0]}") if name == "fsync" else arguments[1]
            calls.append((name, os.path.basename(about)))
            return real(*arguments)

        monkeypatch.setattr(ring_store_file.os, name, call)

    watched("fsync")
    watched("replace")
    store.save(NEW, token)
    assert calls == [
        ("fsync", ".session_ring.vault.new"),
        ("fsync", ".session_ring.vault.kept"),
        ("replace", "session_ring.vault.previous"),
        ("replace", "session_ring.vault"),
        ("fsync", path.parent.name),
    ]


def test_a_full_disk_changes_nothing(store, path, monkeypatch):
    before, token = path.read_bytes(), store.load()[1]

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ring_store_file.os, "fsync", full)
    with pytest.raises(StoreError, match=r"not saved and is as it was.*No space left"):
        store.save(NEW, token)
    assert path.read_bytes() == before and beside(path) == [".session_ring.vault.lock"]


def test_a_ring_that_could_not_be_read_back_is_not_saved(store):
    token = store.load()[1]
    with pytest.raises(StoreError, match="nothing was saved, for the ring is damaged"):
        store.save(replace(NEW, keys=()), token)
    assert store.load() == (OLD, token)


# Secrets


@pytest.mark.parametrize(
    ("secrets", "spec", "default", "label", "word"),
    [
        (["default=word"], {}, None, "$ANSIBLE_VAULT;1.1;AES256", "word"),
        (["prod=word"], {}, None, "$ANSIBLE_VAULT;1.2;AES256;prod", "word"),
        (["dev=other", "prod=word"], {"vault_id": "prod"}, "dev", "$ANSIBLE_VAULT;1.2;AES256;prod", "word"),
        (["dev=other", "prod=word"], {}, "prod", "$ANSIBLE_VAULT;1.2;AES256;prod", "word"),
    ],
)
def test_a_new_file_is_encrypted_by_ansible_s_rules(path, monkeypatch, secrets, spec, default, label, word):
    monkeypatch.setattr(C, "DEFAULT_VAULT_ENCRYPT_IDENTITY", default)
    store_at(path, *secrets, **spec).save(OLD, None)
    assert sealed(path) == label and opened(path, word) == to_json(OLD)


@pytest.mark.parametrize("label", [None, "prod", "a label that nobody has"])
def test_a_file_keeps_its_secret_and_its_label(path, label):
    path.write_bytes(VaultLib().encrypt(to_json(OLD), VaultSecret(b"word"), label))
    before = sealed(path)
    store = store_at(path, "first=other", "prod=word", "last=third", vault_id="last")
    ring, token = store.load()
    store.save(NEW, token)
    assert ring == OLD and sealed(path) == before and opened(path, "word") == to_json(NEW)


@pytest.mark.parametrize(
    ("name", "program"),
    [("password", None), ("password.sh", "echo word"), ("get-client.sh", '[ "$*" = "--vault-id prod" ] && echo word')],
)
def test_secrets_as_ansible_takes_them(path, tmp_path, name, program):
    file = tmp_path / name
    file.write_text(f"#!/bin/sh\n{program}\n" if program else "word\n")
    file.chmod(0o700 if program else 0o600)
    loader = DataLoader()
    given_secret = get_file_vault_secret(filename=str(file), vault_id="prod", loader=loader)
    given_secret.load()
    loader.set_vault_secrets([("prod", given_secret)])
    open_store({"file": str(path)}, loader).save(OLD, None)
    assert opened(path) == to_json(OLD) and sealed(path).endswith(";prod")


def test_ansible_vault_reads_and_rekeys_the_file(path, tmp_path):
    """The program that operators have, not only its library."""
    (tmp_path / "one").write_text("word")
    (tmp_path / "two").write_text("other")
    store_at(path).save(OLD, None)
    run = [sys.executable, "-m", "ansible.cli.vault"]
    shown = subprocess.run([*run, "view", "--vault-id", tmp_path / "one", path], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == to_json(OLD).strip()
    new = f"new@{tmp_path / 'two'}"
    subprocess.run([*run, "rekey", "--vault-id", tmp_path / "one", "--new-vault-id", new, path], capture_output=True, check=True)
    store = store_at(path, "new=other")
    store.save(NEW, store.load()[1])
    assert sealed(path) == "$ANSIBLE_VAULT;1.2;AES256;new" and opened(path, "other") == to_json(NEW)


# Refusals


def encrypted(text, word=b"word"):
    return VaultLib().encrypt(text, VaultSecret(word))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (to_json(OLD).encode(), "is not encrypted: encrypt it with ansible-vault encrypt"),
        (b"", "is empty"),
        (encrypted(to_json(OLD), b"another"), r"none of the vault secrets .* opens it \(default\)"),
        (encrypted(to_json(OLD))[:-200], "opens it.*or|is damaged"),
        (encrypted(to_json(OLD)).replace(b"\n3", b"\nX", 1), "is damaged: Ansible Vault cannot read its form"),
        (b"$ANSIBLE_VAULT;1.1;AES256\n", "is damaged"),
        (b"$ANSIBLE_VAULT;1.1", "is damaged"),
        (encrypted(to_json(OLD)[:-20]), "the ring is damaged: it is no JSON"),
        (encrypted(b"\xff\xfe"), "is damaged: it is not UTF-8"),
        (encrypted("a: 1\n"), "the ring is damaged"),
    ],
)
def test_what_is_no_ring_is_refused(store, path, content, told):
    store.save(NEW, store.load()[1])
    path.write_bytes(content)
    with pytest.raises(StoreError, match=told) as refused:
        store.load()
    assert str(path) in str(refused.value) and f"{path}.previous" in str(refused.value)
    assert not any(key.passphrase in str(refused.value) for key in OLD.keys)
    assert path.read_bytes() == content


def test_no_secret_was_given(store, path):
    bare = open_store({"file": str(path)}, DataLoader())
    with pytest.raises(StoreError, match="no vault secret: give one by --vault-id"):
        bare.load()
    with pytest.raises(StoreError, match="must be encrypted"):
        open_store({"file": f"{path}.other"}, DataLoader()).save(OLD, None)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, r"several vault secrets \(dev, prod\).*vault_id of session_ring_store"),
        ({"vault_id": "x"}, "no vault secret for .* x"),
    ],
)
def test_which_of_several_secrets_is_not_guessed(path, spec, told):
    with pytest.raises(StoreError, match=told):
        store_at(path, "dev=other", "prod=word", **spec).save(OLD, None)
    assert not path.exists()


def test_a_folder_and_a_pipe_are_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "pipe"):
        with pytest.raises(StoreError, match="is no file"):
            store_at(tmp_path / name).load()


def test_places_that_cannot_be_used(tmp_path, path):
    with pytest.raises(StoreError, match=f"there is no folder {tmp_path}/none"):
        store_at(tmp_path / "none" / "ring").save(OLD, None)
    path.symlink_to(path.name)
    with pytest.raises(StoreError, match="cannot be read: Too many levels"):
        store_at(path).load()


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("/ring", "must be a mapping"),
        ({}, "must name one store, file or kv"),
        ({"file": ""}, "must name one store, file or kv"),
        ({"file": "/ring", "kv": {"path": "ring"}}, "must name one store, file or kv"),
        ({"file": "ring.vault"}, r"no absolute path.*\{\{ inventory_dir \}\}/group_vars/"),
        ({"file": ["/ring"]}, "file must be a text"),
        ({"path": "/ring"}, "has no option path; it has file"),
        ({"file": "/ring", "read_only": "perhaps"}, "read_only must be true or false"),
    ],
)
def test_a_wrong_specification_is_refused(spec, told):
    with pytest.raises(StoreError, match=told):
        open_store(spec, given())


@pytest.mark.parametrize(
    ("place", "read"),
    [
        ("hosts/session_ring.vault", True),
        ("hosts/more/session_ring.vault", True),
        ("hosts/group_vars/session_ring.vault", False),
        ("hosts/group_vars/fleet/session_ring.vault", False),
        ("hosts/.ring/session_ring.vault", False),
        ("hosts2/session_ring.vault", False),
    ],
)
def test_a_place_that_ansible_takes_for_an_inventory(tmp_path, monkeypatch, place, read):
    """Refused just where Ansible itself would read it, which would add a host with a name out of the ring."""
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    (tmp_path / "hosts").mkdir(exist_ok=True)
    (tmp_path / "hosts" / "hosts.yml").write_text("fleet: {hosts: {n1: {}}}\n")
    store = store_at(path)
    store.save(OLD, None)
    store.save(NEW, store.load()[1])
    if read:
        path.with_name("session_ring.vault.previous").unlink()
    inventory = InventoryManager(given(), [str(tmp_path / "hosts")])
    assert ([host.name for host in inventory.get_hosts()] != ["n1"]) == read
    monkeypatch.setattr(context, "CLIARGS", {"inventory": ["n1,", str(tmp_path / "hosts")]})
    if read:
        with pytest.raises(StoreError, match=r"in the inventory .*keep it as \{\{ inventory_dir \}\}/group_vars/"):
            store_at(path)
    else:
        assert store_at(path).load()[0] == NEW


# Several at once


def test_an_older_copy_does_not_win(store, path):
    token = store.load()[1]
    store_at(path).save(NEWER, token)
    content = path.read_bytes()
    with pytest.raises(Conflict, match=r"generation 3 now, the last event is revoke by bob at 2027-.*run the same command again"):
        store.save(NEW, token)
    assert path.read_bytes() == content


@pytest.mark.parametrize("token", [None, "0" * 64])
def test_conflicts_without_a_ring_to_tell_of(store, path, token):
    if token:
        path.unlink()
    else:
        path.write_bytes(b"rubbish")
    with pytest.raises(Conflict, match=r"somebody else changed the ring meanwhile. Nothing was saved"):
        store.save(NEW, token)


def test_a_save_that_hangs_is_not_waited_for_without_end(store, path, monkeypatch):
    monkeypatch.setattr(ring_store_file, "PATIENCE", 0)
    token = store.load()[1]
    with open(path.with_name(".session_ring.vault.lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match=r"somebody else has been saving it.*end it, and run the same command again"):
            store.save(NEW, token)
    store.save(NEW, token)


def test_of_two_at_once_one_wins(path):
    """Whose save is accepted is in the file, and the other one is told."""
    rings = [saved(OLD, verbs.stage(OLD, at(10, who), secret(number))) for number, who in enumerate(("ann", "bob"), 20)]
    for number in range(60):
        path.unlink(missing_ok=True)
        store = store_at(path)
        if number % 2:
            store.save(OLD, None)
        token = store.load()[1]

        def work(index, store=store, token=token):
            try:
                store.save(rings[index], token)
            except Conflict:
                return 1
            return 0

        results = in_children(2, work)
        assert sorted(results) == [0, 1]
        assert store.load()[0] == rings[results.index(0)]


def test_nothing_is_lost_where_many_try_again(store):
    def work(index):
        done = 0
        while done < 8:
            ring, token = store.load()
            told = verbs.tell(ring, [index * 100 + done + 1])
            try:
                store.save(saved(ring, told), token)
            except Conflict:
                continue
            done += 1
        return 0

    assert in_children(4, work) == [0] * 4
    ring = store.load()[0]
    assert ring.generation == 1 + 32
    assert {age.seconds for age in ring.max_ages} == {index * 100 + number for index in range(4) for number in range(1, 9)}


# Killed


def test_killed_between_any_two_system_calls(tmp_path):
    path = tmp_path / "session_ring.vault"
    previous = path.with_name("session_ring.vault.previous")
    store = store_at(path)
    store.save(OLD, None)
    store.save(NEW, store.load()[1])
    new, old = path.read_bytes(), previous.read_bytes()
    token = store.load()[1]
    found, steps = [], 0
    while True:
        steps += 1
        path.write_bytes(new)
        previous.write_bytes(old)
        status = kill_at(steps, lambda: store.save(NEWER, token))
        assert status in (None, 0)
        ring, now = store.load()
        assert ring in (NEW, NEWER)
        assert opened(previous) in (to_json(OLD), to_json(NEW))
        found.append((ring, opened(previous) == to_json(NEW)))
        assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}
        assert not any(b"passphrase" in one.read_bytes() for one in tmp_path.iterdir())
        store.save(saved(ring, ring), now)
        assert beside(path) == [".session_ring.vault.lock", previous.name]
        if status == 0:
            break
    # It was killed before, between and after the two renames, or else this tried nothing.
    assert {(NEW, False), (NEW, True), (NEWER, True)} == set(found) and steps > 40


def test_killed_while_the_first_ring_is_saved(tmp_path):
    path = tmp_path / "session_ring.vault"
    store, steps, found = store_at(path), 0, set()
    while True:
        steps += 1
        path.unlink(missing_ok=True)
        status = kill_at(steps, lambda: store.save(OLD, None))
        ring, token = store.load()
        assert ring in (None, OLD)
        found.add(ring)
        store.save(NEW, token)
        assert store.load()[0] == NEW
        if status is not None:
            break
    assert status == 0 and found == {None, OLD}

#!/usr/bin/env python3
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and remove a local fleet of containers that boot systemd and run sshd, as a JSON file describes it.

    {"fleet": "demo", "ports": {"20022": 22}, "containers": [
        {"name": "node1", "suite": "bookworm", "kind": "node", "address": "127.0.31.11",
         "ports": {"20080": 80}, "capabilities": ["NET_ADMIN"]}]}

suite is bullseye, bookworm or trixie (or rocky9 or alma10, of the kind bare: from an image registry; exit status 3 where
none can be reached), kind is node (with apache2 as the distribution ships it), bare (without), lb (HAProxy), redhat (the
same httpd in the layout of Red Hat's packages), db (PostgreSQL and MariaDB, not started) or field (httpd beside what real sites
have: ModSecurity, fail2ban, HAProxy and others, all off).
address is a loopback address of this machine; ports publish a port of it: {"here": "in the container"}. Containers of a
fleet are in one network and know each other by name. Log in as "ops", who may use sudo, with .cache/fleet/id_ed25519;
the host keys stand in .cache/fleet/<fleet>/known_hosts.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import io
import ipaddress
import json
import re
import shutil
import signal
import socket
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from engine import CACHE, FleetError, as_root, choose_settings, create_network, podman, run, wait_booted
from images import ensure_image, image_name, remove_images
from rpm_images import NoRegistry

USER_KEY = CACHE / "id_ed25519"
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
# Counts up when containers are made in another way, so that older ones are replaced.
WAY_OF_MAKING = 4
VERBS = {
    "up": "start what is missing",
    "down": "remove all of it",
    "status": "print what is there; exit 1 when not all runs",
    "image": "build the images that it needs",
    "stop": "stop containers as machines are shut down",
    "start": "start them again",
}


@dataclass(frozen=True)
class Container:
    """One container of a fleet, as the specification describes it."""

    fleet: str
    name: str
    suite: str
    kind: str
    address: str
    ports: dict[int, int]
    capabilities: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Its name for podman."""
        return f"session-{self.fleet}-{self.name}"

    @property
    def image(self) -> str:
        """The name of its image."""
        return image_name(self.suite, self.kind)

    @property
    def mac_address(self) -> str:
        """Its hardware address: with a new one after a start, its neighbours would not find it for most of a minute."""
        return "02:" + hashlib.sha256(self.id.encode()).digest()[:5].hex(":")

    @property
    def ssh_port(self) -> int:
        """Where this machine reaches its sshd."""
        return next(here for here, inside in self.ports.items() if inside == 22)

    def digest(self) -> str:
        """A hash of all that it is made from: another one means that it must be made anew."""
        key = _key(USER_KEY, "session-fleet").with_suffix(".pub").read_text()
        made_from = [WAY_OF_MAKING, key, self.image, self.address, sorted(self.ports.items()), self.capabilities]
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Fleet:
    """A named list of containers in one network."""

    name: str
    containers: list[Container]

    @property
    def network(self) -> str:
        """Its network's name for podman."""
        return f"session-{self.name}"

    @property
    def directory(self) -> Path:
        """Where its host keys are kept."""
        return CACHE / self.name

    @property
    def known_hosts(self) -> Path:
        """The file that lists its host keys for ssh."""
        return self.directory / "known_hosts"

    def select(self, names: Sequence[str]) -> list[Container]:
        """The containers with these names."""
        unknown = set(names) - {container.name for container in self.containers}
        if unknown:
            raise FleetError(f"The fleet '{self.name}' has no {', '.join(sorted(unknown))}.")
        return [container for container in self.containers if container.name in names]


def load(path: str) -> Fleet:
    """Read a specification."""
    try:
        spec = json.loads(Path(path).read_text(encoding="utf-8"))
        shared = spec.get("ports", {})
        containers = [
            Container(
                spec["fleet"], entry["name"], entry["suite"], entry["kind"], entry["address"],
                {int(here): int(inside) for here, inside in {**shared, **entry.get("ports", {})}.items()},
                entry.get("capabilities", []),
            )
            for entry in spec["containers"]
        ]  # fmt: skip
        for container in containers:
            if not ipaddress.ip_address(container.address).is_loopback:
                raise FleetError(f"{path}: {container.address} is not a loopback address (127.x.y.z).")
            if 22 not in container.ports.values():
                raise FleetError(f"{path}: '{container.name}' publishes no port for ssh (22).")
        return Fleet(spec["fleet"], containers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FleetError(f"{path} does not describe a fleet: {error!r}") from error


def found(fleet: Fleet) -> dict[str, tuple[str, str]]:
    """What podman has of this fleet: container id -> (digest it was made with, state)."""
    listed = podman("ps", "-a", "--filter", f"label=session-fleet={fleet.name}", "--format", "json")
    entries = json.loads(listed or "[]")
    return {one["Names"][0]: (one["Labels"].get("session-digest", ""), one["State"]) for one in entries}


def up(fleet: Fleet) -> None:
    """Bring the whole fleet up. What runs as described is left alone; after a failure what was made is removed."""
    _refuse_other_checkout(fleet)
    there = found(fleet)
    missing = [one for one in fleet.containers if there.get(one.id, ("", ""))[0] != one.digest()]
    stopped = [one for one in fleet.containers if one not in missing and there[one.id][1] != "running"]
    if not missing and not stopped:
        return
    replaced = [one.id for one in missing if one.id in there]
    if replaced:
        podman("rm", "-f", *replaced)
    for one in missing + stopped:
        _refuse_ports_in_use(one)
    for suite, kind in sorted({(one.suite, one.kind) for one in missing}):
        ensure_image(suite, kind)
    choose_settings(fleet.containers[0].image)
    _raise_inotify_limit()
    made: list[str] = []
    new_network = not _has_network(fleet)
    try:
        if new_network:
            create_network(fleet.network, "--label", f"session-fleet={fleet.name}")
        addresses = _inner_addresses(fleet)
        for one in missing:
            made.append(one.id)
            _create(fleet, one, addresses[one.name])
        _write_known_hosts(fleet)
        _in_parallel(lambda one: _start(one, new=one in missing), missing + stopped)
    except BaseException:
        print("Removing what was made so far ...", file=sys.stderr)
        if made:
            podman("rm", "-f", *made, check=False)
        if new_network:
            podman("network", "rm", "-f", fleet.network, check=False)
        raise
    print(f"The fleet '{fleet.name}' is up: {', '.join(one.name for one in fleet.containers)}.")


def down(fleet: Fleet) -> None:
    """Remove the fleet's containers, network and host keys, also those that the specification no longer names."""
    there = found(fleet)
    if there:
        podman("rm", "-f", *there)
    if _has_network(fleet):
        podman("network", "rm", "-f", fleet.network)
    shutil.rmtree(fleet.directory, ignore_errors=True)
    print(f"The fleet '{fleet.name}' is removed.")


def status(fleet: Fleet) -> int:
    """Print the fleet's containers; 0 when all run."""
    there = found(fleet)
    for one in fleet.containers:
        state = there.get(one.id, ("", "absent"))[1]
        print(f"{one.name:12} {state:9} {one.suite:9} {one.kind:5} {one.address}:{','.join(map(str, one.ports))}")
    return 0 if all(there.get(one.id, ("", ""))[1] == "running" for one in fleet.containers) else 1


def stop(containers: list[Container]) -> None:
    """Stop containers as a machine is shut down: services end in order."""
    _in_parallel(lambda one: podman("stop", "-t", "10", one.id), containers)


def start(containers: list[Container]) -> None:
    """Start containers that were stopped, and wait until they are up."""
    _in_parallel(_start, containers)


def _in_parallel(action: Callable[[Container], object], containers: list[Container]) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(action, containers))


def _refuse_other_checkout(fleet: Fleet) -> None:
    listed = podman("ps", "-a", "--filter", f"label=session-fleet={fleet.name}", "--format", "json")
    for entry in json.loads(listed or "[]"):
        owner = entry["Labels"].get("session-checkout", str(CACHE))
        if owner != str(CACHE):
            raise FleetError(
                f"A fleet '{fleet.name}' was already started from another folder, {Path(owner).parents[1]}. Remove it "
                "first: demo/fleet.py down SPEC, here or there (for the demo: make demo-down)."
            )


def _refuse_ports_in_use(container: Container) -> None:
    for port in container.ports:
        with socket.socket() as tried:
            try:
                # As a server binds: a connection that is only closing does not count.
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind((container.address, port))
                tried.listen()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise FleetError(f"Cannot listen on {container.address}:{port}: {error.strerror}.") from error
                raise FleetError(
                    f"{container.address}:{port}, wanted for '{container.name}', is in use by another program. Stop "
                    f"that program (`ss -ltnp 'sport = :{port}'` names it), or give '{container.name}' another address "
                    "or port in the fleet's JSON file and in its inventory."
                ) from error


def _has_network(fleet: Fleet) -> bool:
    return run(as_root(["podman", "network", "exists", fleet.network])).returncode == 0


def _inner_addresses(fleet: Fleet) -> dict[str, str]:
    """A fixed address for each container in the fleet's network, so that it keeps it over a stop and a start."""
    match = re.search(r'"subnet": *"([0-9./]+)"', podman("network", "inspect", fleet.network))
    if not match:
        raise FleetError(f"podman's network {fleet.network} has no subnet.")
    hosts = ipaddress.ip_network(match.group(1))
    return {one.name: str(hosts[10 + number]) for number, one in enumerate(fleet.containers)}


def _raise_inotify_limit() -> None:
    """Systemd in a container needs inotify instances; with the kernel's default of 128 the 25th never boots."""
    if int(INOTIFY.read_text()) < 1024:
        print("Raising fs.inotify.max_user_instances to 8192, until the next reboot.")
        raised = run(as_root(["sysctl", "-q", "-w", "fs.inotify.max_user_instances=8192"]))
        if raised.returncode != 0:
            print("That is not allowed here; about twenty containers will boot at most.", file=sys.stderr)


def _create(fleet: Fleet, one: Container, inner_address: str) -> None:
    """Make a container that does not run yet, and put its host key and the user's key into it."""
    publish = [word for here, inside in one.ports.items() for word in ("-p", f"{one.address}:{here}:{inside}")]
    podman(
        # So that a removal does not wait for its services; podman 3 knows no other way to say so.
        "create", "--systemd=always", "--stop-timeout=0", "--name", one.id, "--hostname", one.name,
        "--label", f"session-fleet={fleet.name}", "--label", f"session-digest={one.digest()}",
        "--label", f"session-checkout={CACHE}",
        "--network", fleet.network, "--ip", inner_address, "--mac-address", one.mac_address,
        "--network-alias", one.name,
        *publish, *(f"--cap-add={name}" for name in one.capabilities), one.image, "/sbin/init",
    )  # fmt: skip
    host_key = _key(fleet.directory / f"{one.name}_host_key", one.name)
    user_key = _key(USER_KEY, "session-fleet").with_suffix(".pub").read_bytes()
    # podman gives everything to the container's root: sshd accepts that, if only "ops" may read it.
    files = {
        # Without it the container's first boot would ask for it; podman 4 and later gives one, older ones do not.
        "etc/machine-id": (0o444, f"{hashlib.sha256(one.id.encode()).hexdigest()[:32]}\n".encode()),
        "etc/ssh/ssh_host_ed25519_key": (0o600, host_key.read_bytes()),
        "etc/ssh/ssh_host_ed25519_key.pub": (0o644, host_key.with_suffix(".pub").read_bytes()),
        "home/ops/.ssh/authorized_keys": (0o644, user_key),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folder = tarfile.TarInfo("home/ops/.ssh")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for path, (mode, content) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    podman("cp", "-", f"{one.id}:/", stdin=archive.getvalue())


def _key(path: Path, comment: str) -> Path:
    """An ssh key pair at this path, made if it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        done = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
        if done.returncode != 0:
            raise FleetError(f"ssh-keygen could not write {path}: {done.stderr.decode().strip()}")
    return path


def _write_known_hosts(fleet: Fleet) -> None:
    lines = []
    for one in fleet.containers:
        public = _key(fleet.directory / f"{one.name}_host_key", one.name).with_suffix(".pub").read_text().split()
        lines.append(f"[{one.address}]:{one.ssh_port} {public[0]} {public[1]}\n")
    fleet.known_hosts.write_text("".join(lines))


def _start(one: Container, new: bool = False) -> None:
    podman("start", one.id)
    state = wait_booted(one.id)
    # A node that comes back may have a service that someone broke on purpose; a new one may not.
    if state != "running" and (new or state != "degraded"):
        units = podman("exec", one.id, "systemctl", "--failed", "--plain", "--no-legend", check=False)
        raise FleetError(f"'{one.name}' did not boot: systemd is '{state}'. {'; '.join(units.splitlines())}".strip())
    _wait_ssh(one)


def _wait_ssh(one: Container, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((one.address, one.ssh_port), timeout=5) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise FleetError(f"'{one.name}' runs, but its sshd does not answer at {one.address}:{one.ssh_port}.")


def main(words: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in VERBS.items():
        command = verbs.add_parser(verb, help=text)
        command.add_argument("spec", metavar="SPEC", help="the JSON file that describes the fleet")
        if verb in ("stop", "start"):
            command.add_argument("names", metavar="NAME", nargs="+")
    verbs.add_parser("remove-images", help="remove every image built here")
    chosen = parser.parse_args(words)
    # An ended terminal or a killed job must not leave half a fleet: let `up` undo what it made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if chosen.verb == "remove-images":
            remove_images()
            return 0
        fleet = load(chosen.spec)
        if chosen.verb == "status":
            return status(fleet)
        CACHE.mkdir(parents=True, exist_ok=True)
        lock = open(CACHE / "lock", "w")  # held until the process ends: one change at a time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if chosen.verb == "image":
            for suite, kind in sorted({(one.suite, one.kind) for one in fleet.containers}):
                print(ensure_image(suite, kind))
        elif chosen.verb in ("stop", "start"):
            (stop if chosen.verb == "stop" else start)(fleet.select(chosen.names))
        else:
            (up if chosen.verb == "up" else down)(fleet)
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 3 if isinstance(error, NoRegistry) else 1
    except KeyboardInterrupt:
        print("fleet: interrupted.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

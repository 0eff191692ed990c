# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door to podman: as root or through sudo, with settings under which containers really start on this machine.

Podman's defaults are right on most machines. Where they are not (limits lower than podman asks for, cgroups that crun
cannot use), the first settings of a short list that boot a container are kept in ``.cache/fleet/containers.conf``.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "fleet"
SETTINGS = CACHE / "containers.conf"
PROBE = "session-fleet-probe"
NEEDS_ROOT = "Containers that boot systemd need root: run this as root, or as a user who may use sudo."


class FleetError(Exception):
    """What went wrong and what to do about it, in one sentence for a person."""


def as_root(command: list[str]) -> list[str]:
    """The command as root runs it: as it is, or through sudo (which keeps CONTAINERS_CONF)."""
    if os.geteuid() == 0:
        return command
    if not shutil.which("sudo"):
        raise FleetError(NEEDS_ROOT)
    return ["sudo", "--preserve-env=CONTAINERS_CONF", *command]


def run(command: list[str], timeout: float = 600, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end and return it, whatever its exit status."""
    environment = dict(os.environ)
    if SETTINGS.exists() and SETTINGS.stat().st_size:
        environment.setdefault("CONTAINERS_CONF", str(SETTINGS))
    try:
        return subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, env=environment, check=False)
    except FileNotFoundError as error:
        raise FleetError(f"There is no '{error.filename}' here: `make deps` installs what is missing.") from error
    except subprocess.TimeoutExpired as error:
        raise FleetError(f"'{' '.join(command[:4])} ...' did not end within {timeout:.0f} seconds.") from error


def last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line that a failed command wrote, without podman's warnings."""
    lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if "level=warning" not in line]
    return (errors or lines or [f"exit status {done.returncode}"])[-1].strip()


def podman(*words: str, check: bool = True, timeout: float = 600, stdin: bytes | None = None) -> str:
    """Run podman; its output. With check, a failure is a FleetError with podman's own last words."""
    done = run(as_root(["podman", *words]), timeout=timeout, stdin=stdin)
    if check and done.returncode != 0:
        refused = [line for line in done.stderr.decode(errors="replace").splitlines() if "sudo" in line]
        if refused and os.geteuid() != 0:
            raise FleetError(f"{NEEDS_ROOT} ({refused[0]})")
        raise FleetError(f"podman {words[0]} failed: {last_words(done)}")
    return done.stdout.decode(errors="replace").strip()


def create_network(name: str, *options: str) -> None:
    """Make a network in which containers know each other by name."""
    made = podman("network", "create", *options, name)
    # Before podman 4 this prints the file that it wrote. Podman 3.4.4 of Ubuntu 22.04 writes a version of the format into
    # it that the network plugins of Ubuntu 22.04 refuse.
    if made.endswith(".conflist"):
        run(as_root(["sed", "-i", 's/"cniVersion": "1.0.0"/"cniVersion": "0.4.0"/', made]))


def wait_booted(container: str, seconds: float = 60) -> str:
    """Wait until systemd in a container has started everything; its state, "" when it never answered."""
    deadline = time.monotonic() + seconds
    state = ""
    while time.monotonic() < deadline:
        # Not --wait: right after the start there is no bus to wait on yet.
        state = podman("exec", container, "systemctl", "is-system-running", check=False, timeout=30)
        if state in ("running", "degraded"):
            return state
        time.sleep(0.2)
    return state


def choose_settings(image: str) -> None:
    """Make sure that containers start: with podman's defaults, else with the first settings that boot this image."""
    if SETTINGS.exists() or "CONTAINERS_CONF" in os.environ:
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    complaint = ""
    for settings in _candidates():
        SETTINGS.write_text(settings)
        try:
            complaint = _try_boot(image)
        except FleetError as error:
            complaint = str(error)
        except BaseException:
            SETTINGS.unlink()
            raise
        if not complaint:
            return
    SETTINGS.unlink()
    raise FleetError(f"No container boots here, neither with podman's defaults nor with crun nor runc. {complaint}")


def _try_boot(image: str) -> str:
    """Boot a throw-away container on a network of its own; what went wrong, "" when nothing."""
    _remove_probe()
    try:
        create_network(PROBE)
        podman(
            "run", "-d", "--systemd=always", "--stop-timeout=0", "--network", PROBE, "--name", PROBE, image, "/sbin/init",
            timeout=120,
        )  # fmt: skip
        state = wait_booted(PROBE, 30)
        return "" if state in ("running", "degraded") else f"systemd stays in state '{state or 'unknown'}'"
    finally:
        _remove_probe()


def _remove_probe() -> None:
    podman("rm", "-f", PROBE, check=False)
    podman("network", "rm", "-f", PROBE, check=False)


def _candidates() -> Iterator[str]:
    """Settings to try in turn; the empty one first: podman's defaults."""
    yield ""
    # Podman lowers its own limit of processes to the kernel's pid_max, and cannot give a container more.
    files = _at_most(resource.RLIMIT_NOFILE, 524288)
    processes = _at_most(resource.RLIMIT_NPROC, 32768)
    limits = (
        '[containers]\nlog_driver = "k8s-file"\n'
        f'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'
    )
    netavark = any(Path(place, "netavark").exists() for place in ("/usr/lib/podman", "/usr/libexec/podman"))
    network = '[network]\nnetwork_backend = "netavark"\n' if netavark else ""
    yield limits + '[engine]\nevents_logger = "file"\n' + network
    for runtime in ("crun", "runc"):
        if runtime == "runc" and not shutil.which("runc", path=os.environ.get("PATH", "") + ":/usr/sbin"):
            run(as_root(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "runc"]))
        yield limits + (
            f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' + network
        )


def _at_most(limit: int, wanted: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)

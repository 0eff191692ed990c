# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images made from the distribution's own packages: no image registry is needed, but for those of rpm_images.py.

An image's tag is the hash of its recipe, so it is built once and again only when the recipe changes. Variables:
FLEET_MIRROR        where packages come from; the default is the host's own mirror on Debian, deb.debian.org elsewhere
FLEET_IMAGE_<SUITE> a ready image instead of the node image of that suite; it must boot systemd and run sshd, with
                    python3, sudo and a user "ops" who may use it without a password
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import rpm_images
from engine import CACHE, FleetError, as_root, last_words, podman, run

SUITES = ("bullseye", "bookworm", "trixie")
# The keys that sign Debian 12 and 13: the host's keyring may be too old to have them, as that of Ubuntu 22.04.
KEYS = Path(__file__).resolve().parent / "debian-archive-keys.asc"
_BASE = (
    "systemd,systemd-sysv,dbus,python3,python3-apt,openssh-server,sudo,iproute2,procps,ca-certificates,libfaketime,strace"
)
# What each kind of container has beyond the base.
KINDS = {
    "node": "apache2,ssl-cert",
    "bare": "ssl-cert",
    "lb": "haproxy,socat",
    "db": "postgresql,mariadb-server,openssl",
    "field": "apache2,ssl-cert,libapache2-mod-security2,modsecurity-crs,libapache2-mod-evasive,libapache2-mod-auth-openidc,"
             "libapache2-mod-auth-gssapi,fail2ban,python3-systemd,python3-pyinotify,iptables,haproxy",
    "redhat": "apache2-bin,media-types,libaprutil1-dbd-pgsql,libaprutil1-dbd-mysql,libaprutil1-dbd-sqlite3,postgresql-client,"
              "mariadb-client,sqlite3",
}
# The bare kind is a node before the first deploy: apache2 is not there, but need not be downloaded each time.
_KEEP_PACKAGES = ("bare",)
_CUSTOMIZE = """
set -e
# Host keys come from fleet.py, so that they are known before the first connection.
rm -f /etc/ssh/ssh_host_*
useradd --create-home --shell /bin/bash ops
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
systemctl -q mask systemd-logind.service getty.target console-getty.service e2scrub_reap.service \
    sys-kernel-config.mount apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
systemctl -q enable ssh.service
if [ -e /usr/sbin/haproxy ]; then
    # Its bind mount needs a capability that a container has not.
    mkdir -p /etc/systemd/system/haproxy.service.d
    printf '[Service]\\nBindReadOnlyPaths=\\n' >/etc/systemd/system/haproxy.service.d/container.conf
fi
if [ -e /usr/sbin/mariadbd ]; then
    # Who needs a database starts it.
    systemctl -q disable postgresql.service mariadb.service
fi
if [ -e /usr/bin/fail2ban-server ]; then
    # Each site says what it has of these.
    systemctl -q disable fail2ban.service haproxy.service
    a2dismod -q security2 evasive auth_openidc auth_gssapi
fi
if [ "$KEEP_PACKAGES" = 1 ]; then
    apt-get install -qq --download-only --no-install-recommends -y apache2 >/dev/null
fi
: >/etc/machine-id
"""
# What is done to a kind after that.
_MORE = {"redhat": Path(__file__).resolve().parent / "redhat_layout.sh"}


def image_name(suite: str, kind: str) -> str:
    """The image for a suite and a kind: the ready one that a variable names, or ours."""
    if suite in rpm_images.SUITES and kind == "bare":
        return rpm_images.image_name(suite)
    if suite not in SUITES or kind not in KINDS:
        raise FleetError(
            f"No image for suite '{suite}' and kind '{kind}': suites are {SUITES}, kinds {tuple(KINDS)}; "
            f"and of the kind 'bare' {tuple(rpm_images.SUITES)}."
        )
    ready = os.environ.get(f"FLEET_IMAGE_{suite.upper()}", "")
    if ready and kind == "node":
        return ready
    recipe = "|".join((suite, _BASE, KINDS[kind], str(kind in _KEEP_PACKAGES), _customize(kind)))
    return f"localhost/session-fleet-{kind}-{suite}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _customize(kind: str) -> str:
    """The shell script that makes a kind of container of a Debian system."""
    return _CUSTOMIZE + (_MORE[kind].read_text(encoding="utf-8") if kind in _MORE else "")


def present(image: str) -> bool:
    """Whether podman has the image."""
    return run(as_root(["podman", "image", "exists", image])).returncode == 0


def ensure_image(suite: str, kind: str) -> str:
    """Build (or pull, where it is a ready one) the image if it is not there; its name."""
    image = image_name(suite, kind)
    if present(image):
        return image
    if not image.startswith("localhost/session-fleet-"):
        print(f"Pulling {image} ...", flush=True)
        podman("pull", "-q", image, timeout=1800)
        return image
    print(f"Building the image {image} ...", flush=True)
    if suite in rpm_images.SUITES:
        rpm_images.build(suite)
        return image
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"{kind}-{suite}.{os.getpid()}.tar"
    try:
        _bootstrap(suite, kind, str(archive))
        podman("import", "-q", "--change", "CMD /sbin/init", str(archive), image)
    finally:
        archive.unlink(missing_ok=True)
    for line in podman("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        if line.split(":")[0] == image.split(":")[0] and line != image:
            podman("rmi", line, check=False)  # made by an older recipe; stays when a container still uses it
    return image


def remove_images() -> None:
    """Remove every image that was built here."""
    for line in podman("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        if line.startswith("localhost/session-fleet-"):
            podman("rmi", "-f", line)


def _bootstrap(suite: str, kind: str, archive: str) -> None:
    keep = kind in _KEEP_PACKAGES
    command = [
        "mmdebstrap", "--mode=root", "--variant=minbase",
        f"--include={_BASE},{KINDS[kind]}",
        '--customize-hook=chroot "$1" env KEEP_PACKAGES=%d sh -c "$FLEET_CUSTOMIZE"' % keep,
        *(["--skip=cleanup/apt"] if keep else []),
        *_apt_options(),
        suite, "-", "-",
    ]  # fmt: skip
    with open(archive, "wb") as output:
        try:
            done = subprocess.run(
                as_root(["env", f"FLEET_CUSTOMIZE={_customize(kind)}", *command]),
                input=_sources(suite).encode(), stdout=output, stderr=subprocess.PIPE, check=False, timeout=1800,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise FleetError("There is no mmdebstrap here: `make deps` installs what is missing.") from error
        except subprocess.TimeoutExpired as error:
            raise FleetError(f"The {suite} image took over half an hour; is the package mirror slow?") from error
    if done.returncode != 0:
        (CACHE / "image.log").write_bytes(done.stderr)
        # apt says what failed in one line and why in the next.
        found = re.search(r"^(?:Err|E):.*(?:\n  .*)?", done.stderr.decode(errors="replace"), re.MULTILINE)
        reason = " ".join(found.group(0).split()) if found else last_words(done)
        raise FleetError(
            f"The {suite} image could not be built from {_mirrors()[0]}: {reason} "
            "(all of it: .cache/fleet/image.log). FLEET_MIRROR=http://... names another Debian mirror."
        )


def _is_debian() -> bool:
    try:
        with open("/etc/os-release", encoding="utf-8") as release:
            return re.search(r'^ID="?debian"?$', release.read(), re.MULTILINE) is not None
    except OSError:
        return False


def _mirrors() -> tuple[str, str]:
    """The mirror of Debian and that of its security updates; on Debian those that the host itself uses."""
    main, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    if _is_debian() and shutil.which("apt-get"):
        listed = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"])
        for line in listed.stdout.decode().splitlines():
            uri, _, codename = line.partition(" ")
            if codename.endswith("-security"):
                security = uri
            elif uri.rstrip("/").endswith("/debian"):
                main = uri
    own = os.environ.get("FLEET_MIRROR")
    if own:
        return own, re.sub(r"/debian/?$", "/debian-security", own)
    return main.rstrip("/"), security.rstrip("/")


def _sources(suite: str) -> str:
    """What apt reads, here and later in the container; with the keys in it, which no file of the host then has to have."""
    main, security = _mirrors()
    places = {main: f"{suite} {suite}-updates"}
    # Where both are one, it is a mirror whose address tells nothing about where its security updates are.
    places.setdefault(security, f"{suite}-security")
    keys = "".join(f" {line or '.'}\n" for line in KEYS.read_text(encoding="ascii").splitlines())
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By:\n{keys}" for uri, suites in places.items()
    )


def _apt_options() -> list[str]:
    """What the host's apt needs to reach its mirror (proxies, certificates, snapshots): the images need it as well."""
    listed = run(["apt-config", "dump", "Acquire"]).stdout.decode() if shutil.which("apt-config") else ""
    wanted = re.findall(r'^(Acquire::(?:https?::.*|Check-Valid-Until|Check-Date) ".+";)$', listed, re.MULTILINE)
    return [f"--aptopt={option[:-1]}" for option in wanted]

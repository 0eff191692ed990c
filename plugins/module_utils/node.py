# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to a node: files, commands, the service, HTTP to its own address, locks and time. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import gzip
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from .http_client import ask, load_identity
from .layout import DEBIAN, Layout
from .probe import Answer
from .reach import PLAIN, Reach, request
from .transaction import Entry

LARGEST = 1 << 26
"""Bytes of the largest file that is taken for configuration or keys: 64 MiB."""


def open_regular(path: str, follow: bool = True) -> int:
    """A descriptor of a regular file, to read from; never waits for the other end of a FIFO, and opens no device.

    :param follow: whether a symbolic link may lead to it.
    :raises OSError: there is none, or it is something else.
    """
    found = os.stat(path) if follow else os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", path)
    # Something else may stand there by now.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return handle


def read_text(path: str, most: int) -> str:
    """The first ``most`` bytes of a regular file, links followed, as text; empty where it cannot be read."""
    try:
        with os.fdopen(open_regular(path), "rb") as handle:
            return handle.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


class LockTimeout(Exception):
    """Another run holds the lock of this node."""


class Node:
    """The machine this runs on.

    :param service: name of httpd's systemd unit.
    """

    def __init__(self, service: str) -> None:
        self.service = service

    # -- files: the methods of transaction.Door ---------------------------------------------------------------------

    def entry(self, path: str) -> Optional[Entry]:
        """What stands at a path, not following links; None for nothing. A file beyond :data:`LARGEST` is no file of ours."""
        try:
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                return Entry("link", link=os.readlink(path))
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
                return Entry("other")
            with os.fdopen(open_regular(path, follow=False), "rb") as handle:
                found = os.fstat(handle.fileno())
                content = handle.read(LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Entry("file", stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid), content)

    def directory_mode(self, path: str) -> Optional[int]:
        """Permission bits of a directory that is root's; None where there is none."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        return stat.S_IMODE(found.st_mode) if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 else -1

    def make_directory(self, path: str, mode: int) -> None:
        """Create a directory, or set the mode and owner of the one that is there."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode)
        os.chown(path, 0, 0)
        os.chmod(path, mode)

    def remove_directory(self, path: str) -> None:
        """Remove a directory if it is there and empty."""
        with contextlib.suppress(OSError):
            os.rmdir(path)

    def write(self, path: str, content: bytes, mode: int, owner: Tuple[int, int]) -> None:
        """Write a file anew and flush it to the disk; never visible with a wider mode than given."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(handle, view):]
            os.fchown(handle, *owner)
            os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.symlink(target, path)

    def hard_link(self, source: str, path: str) -> None:
        """Make a hard link, not following symbolic links."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.link(source, path, follow_symlinks=False)

    def rename(self, source: str, path: str) -> None:
        """Move ``source`` to ``path``, replacing what is there, and flush the directory to the disk."""
        os.rename(source, path)
        self._sync_directory(path)

    def remove(self, path: str) -> None:
        """Remove a file or link if it is there, and flush the directory to the disk."""
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        self._sync_directory(path)

    @staticmethod
    def _sync_directory(path: str) -> None:
        handle = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def real_path(self, path: str) -> str:
        """The path with all symbolic links followed."""
        return os.path.realpath(path)

    def is_file(self, path: str) -> bool:
        """Whether a path leads to a regular file, links followed."""
        return os.path.isfile(path)

    def modified(self, path: str) -> Optional[float]:
        """When a file was written last, seconds since the epoch, links followed; None for nothing."""
        try:
            return os.stat(path).st_mtime
        except OSError:
            return None

    def htaccess_files(self, directory: str, most: int = 20000, seconds: float = 5.0) -> Iterator[Tuple[str, str]]:
        """The .htaccess files below a directory, with their text: regular ones, as httpd takes no other.

        Links to directories are not followed, so that no loop is entered.

        :param most: directories that are looked into at most.
        :param seconds: how long at most.
        """
        end = time.monotonic() + seconds
        waiting = [directory]
        while waiting and most > 0 and time.monotonic() < end:
            folder, most = waiting.pop(), most - 1
            text = read_text(os.path.join(folder, ".htaccess"), 1 << 16)
            if text:
                yield os.path.join(folder, ".htaccess"), text
            below: List[str] = []
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for count, entry in enumerate(entries):
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
                    if count % 1000 == 999 and time.monotonic() > end:
                        return
            waiting += sorted(below, reverse=True)

    def find(self, pattern: str) -> List[str]:
        """Files that fit a pattern of the shell."""
        return sorted(glob.glob(pattern))

    def tail(self, path: str, size: int) -> str:
        """The last bytes of a file as text; empty where it cannot be read."""
        try:
            with os.fdopen(open_regular(path), "rb") as handle:
                handle.seek(max(0, os.fstat(handle.fileno()).st_size - size))
                return handle.read(size).decode("utf-8", "replace")
        except OSError:
            return ""

    def free(self, path: str) -> Optional[Tuple[int, int]]:
        """Bytes and files that root may still write where a path lies; None where it is not there.

        A file system that does not count its files (btrfs) has one left at least.
        """
        try:
            found = os.statvfs(path)
        except OSError:
            return None
        return found.f_bfree * found.f_frsize, found.f_ffree if found.f_files else 1

    def entropy_ready(self) -> bool:
        """Whether the kernel gives random bytes without waiting."""
        try:
            return len(os.getrandom(32, os.GRND_NONBLOCK)) == 32
        except BlockingIOError:
            return False

    def changelog(self, layout: Layout) -> str:
        """Text of the httpd package's changelog, as far as it is on the node."""
        if layout is not DEBIAN:
            return self.run(["rpm", "-q", "--changelog", layout.packages[0]])[1]
        text = ""
        for name in ("apache2-bin", "apache2"):
            with contextlib.suppress(OSError, EOFError):
                with os.fdopen(open_regular("/usr/share/doc/%s/changelog.Debian.gz" % name), "rb") as packed:
                    with gzip.open(packed, "rt", errors="replace") as handle:
                        text += handle.read(1 << 22)
        return text

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it, if it is there."""
        shutil.rmtree(path, ignore_errors=True)

    # -- processes --------------------------------------------------------------------------------------------------

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Tuple[int, str]:
        """Run a command to its end: exit status and both outputs as text. A missing command is status 127."""
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(list(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                                  stdin=subprocess.DEVNULL, timeout=timeout, check=False)
        except FileNotFoundError:
            return 127, "%s: no such command" % argv[0]
        except subprocess.TimeoutExpired:
            return 124, "%s: no answer within %d s" % (" ".join(argv), timeout)
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()

    def start(self, argv: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Start a program and leave it running."""
        return subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True)

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """End a program that :meth:`start` started."""
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop_stale(self, argument: str) -> int:
        """End all programs that were started with this argument, children too, and wait until they are gone; how many there were.

        They are found by their command line, not by a file: a run may have been killed before its server wrote one.
        """
        found = self._with_argument(argument)
        end = self.now() + 5
        while self._with_argument(argument):
            late = self.now() >= end
            for pid in self._with_argument(argument):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            if self.now() >= end + 5:
                break
            self.sleep(0.05)
        return len(found)

    @staticmethod
    def _with_argument(argument: str) -> List[int]:
        wanted = argument.encode("utf-8")
        found = []
        for name in glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError), open(name, "rb") as handle:
                if wanted in handle.read(1 << 16).split(b"\0"):
                    found.append(int(name.split("/")[2]))
        return found

    # -- the service ------------------------------------------------------------------------------------------------

    def service_active(self) -> bool:
        """Whether httpd is running."""
        return self.run(["systemctl", "is-active", "--quiet", self.service])[0] == 0

    def service_program(self, binary: str) -> str:
        """The program that the service runs, links followed; ``binary`` where it does not run.

        A binary may be a script that runs the program proper.
        """
        pid = self.run(["systemctl", "show", "--property=MainPID", "--value", self.service])[1]
        if pid.isdigit() and pid != "0":
            with contextlib.suppress(OSError):
                return os.readlink("/proc/%s/exe" % pid).split(" (")[0]  # (deleted): an upgrade waits for a restart
        return self.real_path(binary)

    def service_reload(self) -> Tuple[int, str]:
        """Have httpd read its configuration anew, without dropping a request."""
        return self.run(["systemctl", "reload", self.service])

    def service_restart(self) -> Tuple[int, str]:
        """Stop and start httpd."""
        self.run(["systemctl", "reset-failed", self.service])
        return self.run(["systemctl", "restart", self.service])

    # -- network, to this machine only ------------------------------------------------------------------------------

    def free_port(self) -> int:
        """A TCP port of the loopback interface that is free now."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def listeners(self) -> Dict[int, List[str]]:
        """Listening TCP ports, each with the addresses it listens on (``0.0.0.0`` and ``::`` mean all)."""
        found: Dict[int, List[str]] = {}
        for name, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
            entry_lines: List[str] = []
            with contextlib.suppress(OSError), open(name, encoding="ascii") as handle:
                entry_lines = handle.read().splitlines()[1:]
            for line in entry_lines:
                words = line.split()
                if words[3] != "0A":
                    continue
                address, port = words[1].split(":")
                packed = b"".join(bytes.fromhex(address[i:i + 8])[::-1] for i in range(0, len(address), 8))
                found.setdefault(int(port, 16), []).append(socket.inet_ntop(family, packed))
        return found

    def holders(self) -> Dict[int, List[str]]:
        """Listening TCP ports, each with the programs that hold it, such as ``/usr/sbin/nginx (process 81)``.

        A program that the kernel does not show (another user's, another container's) is left out.
        """
        ports: Dict[str, int] = {}
        for name in ("/proc/net/tcp", "/proc/net/tcp6"):
            with contextlib.suppress(OSError), open(name, encoding="ascii") as handle:
                for words in map(str.split, handle.read().splitlines()[1:]):
                    if words[3] == "0A":
                        ports["socket:[%s]" % words[9]] = int(words[1].rsplit(":", 1)[1], 16)
        found: Dict[int, Dict[str, None]] = {}
        for link in glob.glob("/proc/[0-9]*/fd/[0-9]*"):
            with contextlib.suppress(OSError):
                port = ports.get(os.readlink(link))
                if port is not None:
                    pid = link.split("/")[2]
                    program = os.readlink("/proc/%s/exe" % pid)
                    # Children hold their parent's sockets too: the first process of each program is enough.
                    if not any(one.startswith(program + " (") for one in found.get(port, {})):
                        found.setdefault(port, {})["%s (process %s)" % (program, pid)] = None
        return {port: list(programs) for port, programs in found.items()}

    def get(self, address: str, port: int, tls: bool, host: str, path: str, cookie: str, reach: Reach = PLAIN) -> Answer:
        """One GET request, with this Cookie header and what ``reach`` adds; the body is not read.

        Certificates are not verified: it is this machine's own server that is asked.

        :raises NoAnswer: (an OSError) no connection, no answer within 10 seconds in all, or no HTTP.
        """
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if reach.client_certificate:
                load_identity(context, reach.client_certificate, reach.client_key)
        text = request(path, host, cookie, reach.headers, close=True)
        name = host.partition(":")[0]
        return ask(address, port, text, 10, lambda: time.time_ns() // 1000, context, name, reach.proxy_protocol)[0]

    # -- time and turns ---------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def version_of(self, binary: str) -> Tuple[int, ...]:
        """httpd's version, such as ``(2, 4, 62)``; empty where the program does not answer."""
        status, text = self.run([binary, "-v"])
        if status or "Apache/" not in text:
            return ()
        return tuple(int(part) for part in text.split("Apache/", 1)[1].split()[0].split(".") if part.isdigit())

    @contextlib.contextmanager
    def lock(self, path: str, seconds: float) -> Iterator[None]:
        """Hold a lock that ends with the process, however it ends.

        :param seconds: how long to wait for another run.
        :raises LockTimeout: the other run still holds it.
        """
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            end = self.now() + seconds
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self.now() >= end:
                        raise LockTimeout(path) from None
                    self.sleep(0.1)
            yield
        finally:
            os.close(handle)

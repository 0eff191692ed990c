# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child process that is killed at an exact system call: what a power switch or SIGKILL does, at every moment there is."""

from __future__ import annotations

import ctypes
import os
import signal
import traceback

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200
_MARK_SYSCALLS = 1
_STOPPED_BY_SYSCALL = signal.SIGTRAP | 0x80

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, process, data=0):
    if _libc.ptrace(request, process, None, data) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace: {os.strerror(code)}")


def kill_at(step, work):
    """Run ``work()`` in a child and kill it when it has been at the border of a system call ``step`` times.

    Each call counts twice: before the kernel does it, and after.

    :return: the child's exit status: None if it was killed, 0 if the work was done before that.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    stopped = os.waitpid(child, 0)[1]
    if not os.WIFSTOPPED(stopped):
        raise AssertionError("the child could not be traced")
    _ptrace(_SETOPTIONS, child, _MARK_SYSCALLS)
    seen, deliver = 0, 0
    while True:
        _ptrace(_SYSCALL, child, deliver)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            return os.WEXITSTATUS(status)
        if os.WIFSIGNALED(status):
            raise AssertionError(f"the child died of signal {os.WTERMSIG(status)}")
        deliver = os.WSTOPSIG(status)
        if deliver == _STOPPED_BY_SYSCALL:
            seen, deliver = seen + 1, 0
            if seen == step:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return None

# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes that do something at the same moment."""

from __future__ import annotations

import os
import traceback


def in_children(number, work):
    """Run ``work(index)`` in processes that begin together; what each returned (a small number)."""
    reader, writer = os.pipe()
    children = []
    for index in range(number):
        child = os.fork()
        if child == 0:
            status = 99
            try:
                os.close(writer)
                os.read(reader, 1)
                status = work(index)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    os.close(reader)
    os.close(writer)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

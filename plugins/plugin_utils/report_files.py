# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the files of a report, each whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping


def write(directory: str, files: Mapping[str, str]) -> list[str]:
    """Write texts under their names into a directory, which is made where it is missing; their paths.

    :raises OSError: a file could not be written; those before it were.
    """
    os.makedirs(directory, exist_ok=True)
    return [_replace(os.path.join(directory, name), text) for name, text in files.items()]


def _replace(path: str, text: str) -> str:
    """Write a file so that a reader sees the old or the new one, never half of one."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path

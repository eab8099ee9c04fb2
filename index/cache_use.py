"""Large files of the cache folder that nobody uses any more: forms and weights of older versions.

What is used is marked so by its time of change, once a day at most; what was not used for a long
time goes when something new is kept. Everything there can be made again.
"""

import os
import shutil
import time
from pathlib import Path

UNUSED_DAYS = 90
_DAY = 24 * 60 * 60  # seconds


def mark_used(path: Path) -> None:
    """Remember that a file or folder was used today; where it cannot be written, do nothing."""
    try:
        if time.time() - path.stat().st_mtime > _DAY:
            os.utime(path)
    except OSError:
        return


def forget_unused(folder: Path) -> None:
    """Remove what lies in a folder and was not used for `UNUSED_DAYS`; what resists stays."""
    oldest = time.time() - UNUSED_DAYS * _DAY
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        try:
            if entry.lstat().st_mtime >= oldest:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        except OSError:
            continue

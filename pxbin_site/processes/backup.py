"""A copy of the SQLite database while the gateway runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


class BackupFailed(Exception):  # noqa: N818  (it says what happened)
    """No backup was made; the message gives the reason."""


def back_up(source: Path, target: Path) -> int:
    """Copy a SQLite database, which others may write to meanwhile, to a new file; returns its size in bytes.

    The copy has the state of one moment, is checked, and gets its name only when it is complete. Raises :class:`BackupFailed`.
    """
    if target.exists():
        raise BackupFailed(f"{target} exists already")
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.touch(0o600)
        address = f"{source.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as original, closing(sqlite3.connect(draft)) as copy:
            original.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without -wal and -shm beside it
            (result,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise BackupFailed(f"{source} is damaged: {result}")
        draft.rename(target)
        return target.stat().st_size
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"{target} cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)

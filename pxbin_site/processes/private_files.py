"""Files of the gateway are readable and writable by their owner only, also in a data directory that others may enter."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from billing.request_log.journal import SPOOL_DIRECTORY
from pxbin_site.conf import secrets_file
from pxbin_site.conf.config import Config
from pxbin_site.conf.databases import SQLITE_FILE

logger = logging.getLogger(__name__)

UMASK = 0o077
"""What this process and its children create has mode 0600, a directory 0700."""


def restrict(config: Config) -> None:
    """Set the umask of this process, and take the rights of group and others from files that exist.

    SQLite gives its `-wal` and `-shm` files the mode of the database. The data directory itself keeps its mode, because it may hold files
    of other programs. A file of another owner keeps its mode, with a warning.
    """
    os.umask(UMASK)
    for path in _own_paths(config.data_dir):
        try:
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & UMASK and not path.is_symlink():
                path.chmod(mode & ~UMASK)
        except FileNotFoundError:
            continue  # removed meanwhile by another process
        except OSError as error:
            logger.warning("The mode of %s cannot be restricted to its owner: %s", path, error.strerror)


def _own_paths(data_dir: Path) -> Iterator[Path]:
    yield from data_dir.glob(f"{SQLITE_FILE}*")
    yield from data_dir.glob("*.lock")
    yield data_dir / secrets_file.FILE_NAME
    yield data_dir / SPOOL_DIRECTORY
    yield from (data_dir / SPOOL_DIRECTORY).rglob("*")

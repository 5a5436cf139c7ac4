"""What `serve` and `setup` do before anything else: secrets, migrations, the admin user and the first keys."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, OutputWrapper
from django.db import DatabaseError

from pxbin_site.conf.config import Config
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.processes import bootstrap, config_import
from pxbin_site.processes.bootstrap import Created
from pxbin_site.processes.config_import import ConfigFile
from upstreams.secrets import store, vault

WRONG_KEY_HINT = (
    "Put the secrets.json with which they were encrypted back into {directory}, or set PXBIN_ENCRYPTION_KEY to their key. "
    "If it is lost, `manage.py rotate_encryption_key --forget` removes them, and a start makes a new one."
)


class Prepared(msgspec.Struct):
    """The result of :func:`prepare`. `migrated`: a line for the operator, if a database that was in use has changed."""

    migrated: list[str]
    created: Created
    imported: list[str] = []
    """Lines about the file of `serve --config`."""

    def lines(self) -> list[str]:
        """Lines for the operator, to be shown once: they contain secrets in plain text."""
        return [*self.migrated, *self.created.lines(), *self.imported]


def prepare(
    config: Config,
    *,
    announce: Callable[[int], object],
    output: OutputWrapper | None = None,
    before_migrations: Callable[[], object] = lambda: None,
    file: ConfigFile | None = None,
) -> Prepared:
    """Set up the database and what is missing in it. Raises CommandError with what is wrong and how to mend it.

    `announce` and `output` are those of :func:`bootstrap.migrate`; `before_migrations` is called when the secrets are stored. `file`: the
    configuration whose rows are imported at the end.
    """
    try:
        with bootstrap.exclusive_setup(config):
            bootstrap.store_secrets(config)
            before_migrations()
            migrated = bootstrap.migrate(announce, output=output)
            bootstrap.require_shared_counts()
            store.check_credentials()
            created = bootstrap.set_up(config)
            return Prepared(migrated, created, [] if file is None else config_import.import_once(file))
    except ConfigFileError as error:
        raise CommandError(str(error)) from error
    except vault.WrongEncryptionKey as error:
        raise CommandError(f"{error}\n{WRONG_KEY_HINT.format(directory=config.data_dir)}") from error
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    except DatabaseError as error:
        raise CommandError(f"The database cannot be used: {' '.join(str(error).split())}") from error

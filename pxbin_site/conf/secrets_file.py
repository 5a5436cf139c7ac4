"""Secrets that are not set: generated once and stored in `secrets.json` in the data directory, readable by its owner only."""

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from pathlib import Path

import msgspec

from pxbin_site.conf.config import Config, ConfigurationError

FILE_NAME = "secrets.json"
NAMES = ("secret_key", "encryption_key")


def complete(config: Config) -> Config:
    """Fill the empty secrets of a configuration from the file; without a file, with new ones that :func:`store` can write."""
    missing = [name for name in NAMES if not getattr(config, name)]
    path = config.data_dir / FILE_NAME
    generated = {name: secrets.token_urlsafe(48) for name in NAMES} if missing and not path.exists() else {}
    stored = generated or (_read(path) if missing else {})
    filled = msgspec.structs.replace(config, new_secrets=generated, **{name: stored[name] for name in missing})
    return msgspec.structs.replace(filled, seal_key=_derive(filled.secret_key, "reasoning carrier"))


def expect_no_file(config: Config) -> None:
    """Raise ConfigurationError if another process has written the file since this one found none."""
    path = config.data_dir / FILE_NAME
    if path.exists():
        raise ConfigurationError([f"{path}: another gateway has just been set up here; start this one again"])


def store(config: Config) -> None:
    """Write the new secrets to the file. Raises ConfigurationError if another process has already written others."""
    path = config.data_dir / FILE_NAME
    _write_new(path, config.new_secrets)
    if _read(path) != config.new_secrets:
        expect_no_file(config)


def _derive(secret: str, purpose: str) -> bytes:
    """A 32-byte key for one purpose."""
    return hmac.digest(secret.encode(), f"pxbin {purpose}".encode(), hashlib.sha256)


def _read(path: Path) -> dict[str, str]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {name: stored[name] for name in NAMES}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError([f"{path}: the secrets cannot be read ({type(error).__name__}); restore the file"]) from error


def _write_new(path: Path, values: dict[str, str]) -> None:
    """Create the file, or leave an existing one as it is."""
    content = json.dumps(values, indent=2) + "\n"
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")  # created with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its secrets are used
    finally:
        Path(draft).unlink()

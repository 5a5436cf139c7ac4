"""The secrets that nobody has set: made once, kept in `secrets.json` in the data directory, readable by the owner alone."""

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
    """Fill the empty secrets of a configuration from the file; without a file, with new ones that :func:`keep` may write."""
    missing = [name for name in NAMES if not getattr(config, name)]
    path = config.data_dir / FILE_NAME
    made = {name: secrets.token_urlsafe(48) for name in NAMES} if missing and not path.exists() else {}
    kept = made or (_read(path) if missing else {})
    filled = msgspec.structs.replace(config, new_secrets=made, **{name: kept[name] for name in missing})
    return msgspec.structs.replace(filled, seal_key=_derive(filled.secret_key, "reasoning carrier"))


def expect_none(config: Config) -> None:
    """Raise ConfigurationError where another process has written the file since ours has not found one."""
    path = config.data_dir / FILE_NAME
    if path.exists():
        raise ConfigurationError([f"{path}: another gateway has just been set up here; start this one again"])


def keep(config: Config) -> None:
    """Write new secrets into the file. Raises ConfigurationError where another process has been first, with others."""
    path = config.data_dir / FILE_NAME
    _make(path, config.new_secrets)
    if _read(path) != config.new_secrets:
        expect_none(config)


def _derive(secret: str, purpose: str) -> bytes:
    """A 32-byte key of its own for each purpose, so that no secret is used twice."""
    return hmac.digest(secret.encode(), f"pxbin {purpose}".encode(), hashlib.sha256)


def _read(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: kept[name] for name in NAMES}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError([f"{path}: the secrets cannot be read ({type(error).__name__}); restore the file"]) from error


def _make(path: Path, made: dict[str, str]) -> None:
    """Of several processes that write at once, the first one's file stays."""
    content = json.dumps(made, indent=2) + "\n"
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # Another process was first: its secrets count.
    finally:
        Path(draft).unlink()

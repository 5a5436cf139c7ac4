"""The secrets that nobody has set: made once, kept in `secrets.json` in the data directory, readable by the owner alone."""

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from pathlib import Path

import msgspec

from pxbin_site.config import Config, ConfigurationError, env_name

FILE_NAME = "secrets.json"
NAMES = ("secret_key", "encryption_key")


def complete(config: Config) -> Config:
    """Fill the empty secrets of a configuration from the file, making the file first if there is none."""
    missing = [name for name in NAMES if not getattr(config, name)]
    kept = _read_or_make(config.data_dir / FILE_NAME) if missing else {}
    filled = msgspec.structs.replace(config, **{name: kept[name] for name in missing})
    return msgspec.structs.replace(filled, seal_key=_derive(filled.secret_key, "reasoning carrier"))


def _derive(secret: str, purpose: str) -> bytes:
    """A 32-byte key of its own for each purpose, so that no secret is used twice."""
    return hmac.digest(secret.encode(), f"pxbin {purpose}".encode(), hashlib.sha256)


def _read_or_make(path: Path) -> dict[str, str]:
    try:
        if not path.exists():
            _make(path)
    except OSError as error:
        raise ConfigurationError([f"{env_name('data_dir')}: {path.parent} cannot be written to ({error.strerror})"]) from error
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: kept[name] for name in NAMES}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError([f"{path}: the secrets cannot be read ({type(error).__name__}); restore the file"]) from error


def _make(path: Path) -> None:
    """Write new secrets. Of several processes that start at once, the first one's file stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = json.dumps({name: secrets.token_urlsafe(48) for name in NAMES}, indent=2) + "\n"
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

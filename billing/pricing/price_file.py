"""The price file that the settings name: read from a path, or fetched and kept in the data directory."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from pathlib import Path

from django.conf import settings

from billing.pricing.fetch import FetchFailed, fetch_price_file
from billing.pricing.litellm import litellm_source
from billing.pricing.sources import ListedPrice, Place, PriceSource

log = logging.getLogger(__name__)

FETCHED = "prices-{}.json"
"""The name of the fetched file in the data directory, with a hash of its address."""
_ADDRESSES = ("http://", "https://")
_loaded: dict[Path, tuple[float, PriceSource | None]] = {}
"""The source made of each file, with the file's time of modification in seconds."""
_MISSING = (-1.0, None)


def is_remote() -> bool:
    """Whether the settings name an address, from which the file has to be fetched."""
    return settings.PXBIN.price_url.startswith(_ADDRESSES)


def refresh(*, max_age_seconds: float = 0.0) -> None:
    """Fetch the file of an address and keep it, unless the one that is kept is younger than `max_age_seconds`.

    Raises :class:`FetchFailed`, also for a file that is none of prices: the old one stays.
    """
    if not is_remote() or _age_seconds() < max_age_seconds:
        return
    url = settings.PXBIN.price_url
    content = fetch_price_file(url)
    try:
        litellm_source(content, version=url)
    except ValueError as error:
        raise FetchFailed(f"Failed to fetch pricing: {error}") from error
    path = _path()
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(path)


def look_up_price_file(name: str, place: Place) -> ListedPrice | None:
    """The price of a model in the file; `None` if no file is set, or if it was not fetched yet or cannot be read (this is logged)."""
    if not settings.PXBIN.price_url:
        return None
    path = _path()
    try:
        modified = path.stat().st_mtime
    except OSError:
        if not is_remote() and _loaded.get(path) != _MISSING:
            log.warning("The price file %s cannot be read", path)
            _loaded[path] = _MISSING
        return None
    if path not in _loaded or _loaded[path][0] != modified:
        _loaded[path] = (modified, _load(path))
    source = _loaded[path][1]
    return None if source is None else source(name, place)


def _age_seconds() -> float:
    """The age of the file that was fetched last; infinite if there is none."""
    try:
        return time.time() - _path().stat().st_mtime
    except OSError:
        return math.inf


def _load(path: Path) -> PriceSource | None:
    try:
        return litellm_source(path.read_bytes(), version=settings.PXBIN.price_url[:64])
    except (OSError, ValueError) as error:
        log.warning("The price file %s cannot be read: %s", path, error)
        return None


def _path() -> Path:
    url = settings.PXBIN.price_url
    if not is_remote():
        return Path(url)
    return settings.PXBIN.data_dir / FETCHED.format(hashlib.sha256(url.encode()).hexdigest()[:12])

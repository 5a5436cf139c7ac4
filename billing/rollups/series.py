"""The dimensions of rollups, and the ids of their combinations. Pure.

An id is a hash of the dimensions, so that writers on several machines agree without asking the database. It leaves out empty
dimensions: a dimension that is added later does not change the ids of the series without it.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from billing.log_columns import LogColumns

ALL = "all"
"""The scope of the series that count all requests, by status, outcome and kind of error."""
MARGINS = ("key", "model", "upstream", "owner")
"""The dimensions with series of their own: the scopes of these series."""
_encode = msgspec.json.Encoder().encode


class Dimensions(NamedTuple):
    """What a request is counted by. The names are columns of `RollupSeries`; ids are texts of 32 digits, or `None`.

    `scope`: empty for a combination of all dimensions; else see :func:`margins_of`.
    """

    api_key_id: str | None
    model: str
    upstream_id: str | None
    dialect: str
    owner: str
    status_code: int
    outcome: str
    error_type: str
    tags: str
    scope: str = ""


class Series(NamedTuple):
    """The columns of `RollupSeries`: the id, the dimensions, and the names that explain ids."""

    id: int
    dimensions: Dimensions
    key_prefix: str
    key_name: str
    upstream_name: str


def dimensions_of(entry: LogColumns, tags: str) -> Dimensions:
    """The dimensions of a request; `tags`: the value of this one."""
    return Dimensions(
        entry.api_key_id and entry.api_key_id.replace("-", ""),
        entry.counted_model,
        entry.upstream_id and entry.upstream_id.replace("-", ""),
        entry.dialect,
        entry.owner,
        entry.status_code,
        entry.outcome,
        entry.error_type,
        tags,
    )


def margins_of(dimensions: Dimensions) -> list[Dimensions]:
    """The series of all requests and of one key, model, upstream and owner, in which a combination is counted once more each."""
    none = Dimensions(None, "", None, "", "", dimensions.status_code, dimensions.outcome, dimensions.error_type, "", ALL)
    return [
        none,
        none._replace(api_key_id=dimensions.api_key_id, scope="key"),
        none._replace(model=dimensions.model, scope="model"),
        none._replace(upstream_id=dimensions.upstream_id, scope="upstream"),
        none._replace(owner=dimensions.owner, scope="owner"),
    ]


def series_id(dimensions: Dimensions) -> int:
    """63 bits that identify a combination. Among a million combinations, two agree with a probability of 1 in 18 million."""
    return _hash(_encode({name: value for name, value in dimensions._asdict().items() if value}))


def histogram_id(seconds: int, start: int, dimension: str, value: str) -> int:
    """The same for a row of histograms."""
    return _hash(_encode((seconds, start, dimension, value)))


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1

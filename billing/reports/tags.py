"""Reports by tag: requests with several tags count for each of them."""

from __future__ import annotations

import json
from typing import NamedTuple

from billing.models import RollupSeries
from billing.reports import query
from billing.reports.query import Selection
from billing.reports.totals import Totals, add
from billing.rollups.known_names import OTHER


class Tag(NamedTuple):
    """One tag. The key is empty for requests without tags and for those whose tags were beyond the limit of a day (`(other)`)."""

    key: str
    value: str


def by_tag(selection: Selection, key: str | None = None) -> list[tuple[Tag, Totals]]:
    """Totals by tag, the dearest first; with `key`, by the values of this tag, where the value `""` are requests without it."""
    parts: dict[Tag, list[Totals]] = {}
    for (text,), totals in query.sum_by(selection, "tags").items():
        for tag in tags_of(text, key):
            parts.setdefault(tag, []).append(totals)
    sums = {tag: add(totals) for tag, totals in parts.items()}
    return sorted(sums.items(), key=lambda item: (-item[1].cost, -item[1].requests, item[0]))


def tags_of(text: str, key: str | None = None) -> list[Tag]:
    """The tags of a value of the dimension `tags`; with `key`, only that one."""
    if text in ("", OTHER):
        return [Tag(key or "", text)]
    tags: dict[str, str] = json.loads(text)
    return [Tag(key, tags.get(key, ""))] if key is not None else [Tag(name, value) for name, value in tags.items()]


def texts_with(tag: Tag) -> list[str]:
    """The values of the dimension `tags` that contain a tag."""
    texts = RollupSeries.objects.exclude(tags__in=("", OTHER)).values_list("tags", flat=True).distinct()
    return [text for text in texts if json.loads(text).get(tag.key) == tag.value]

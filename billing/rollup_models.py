"""Tables of the sums of the log (`billing.rollups`): sums by dimensions, histograms, names, and the state of the whole."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from django.db import models

MEASURES: Final[Mapping[str, str]] = {
    "requests": "Requests of clients.",
    "attempts": "Calls of upstreams.",
    "priced": "Requests that cost something.",
    "free": "Requests with usage that cost nothing.",
    "unpriced": "Requests with usage of unknown cost.",
    "estimated": "Requests whose usage pxbin estimated.",
    "input_tokens": "Input tokens that were neither read from nor written to a cache.",
    "cache_read_tokens": "Input tokens read from a cache.",
    "cache_write_5m_tokens": "Input tokens written to a cache for 5 minutes.",
    "cache_write_1h_tokens": "Input tokens written to a cache for 1 hour.",
    "output_tokens": "Output tokens, including reasoning.",
    "reasoning_tokens": "Reasoning tokens, which are part of the output tokens.",
    "input_audio_tokens": "Audio tokens, which are part of the input tokens.",
    "output_audio_tokens": "Audio tokens, which are part of the output tokens.",
    "input_image_tokens": "Image tokens, which are part of the input tokens.",
    "output_image_tokens": "Image tokens, which are part of the output tokens.",
    "server_tool_calls": "Calls of tools that ran at the provider.",
    "cost_micro": "Whole micro-dollars of the cost.",
    "cost_rest": "What is left of the cost, in pico-dollars.",
    "saved_micro": "Whole micro-dollars that the cache saved, less what writing it cost.",
    "saved_rest": "What is left of that, in pico-dollars.",
    "latency_ms": "The sum of the latencies.",
    "overhead_us": "The sum of the overheads.",
    "ttft_ms": "The sum of the times to the first token.",
    "ttft_count": "Requests with a time to the first token.",
}
"""What a rollup sums up, each in a column of this name.

Amounts of money take two columns, because a sum of pico-dollars does not fit into 64 bits: the amount is
`micro * 1,000,000 + rest` pico-dollars, and neither column overflows within 9 trillion requests or dollars.
"""


class RollupSeries(models.Model):
    """One combination of dimensions that has occurred, or one value of one dimension: a report by one dimension reads few rows.

    The id is a hash of the dimensions (`billing.rollups.series`).

    The names are those of the first request; reports show the present name of a key or an upstream that still exists.
    """

    id = models.BigIntegerField(primary_key=True)
    api_key_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200, blank=True, help_text="The log's `counted_model`.")
    upstream_id = models.UUIDField(null=True)
    dialect = models.CharField(max_length=32, blank=True)
    owner = models.CharField(max_length=200, blank=True)
    status_code = models.IntegerField()
    outcome = models.CharField(max_length=16)
    error_type = models.CharField(max_length=64, blank=True)
    tags = models.CharField(max_length=1000, blank=True, help_text="The tags as JSON, sorted by key, or `(other)`.")
    scope = models.CharField(
        max_length=16, blank=True, help_text="Empty: one combination of all dimensions. Else the one dimension besides status and error."
    )
    key_prefix = models.CharField(max_length=8, blank=True)
    key_name = models.CharField(max_length=200, blank=True)
    upstream_name = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = "rollup series", "rollup series"

    def __str__(self) -> str:
        return f"{self.key_name} {self.model} {self.upstream_name} {self.status_code}"


if TYPE_CHECKING:

    class Measures(models.Model):
        """The measures: attributes that no class declares are `Any`."""

        class Meta:
            abstract = True

        def __getattr__(self, name: str) -> Any: ...

else:
    _members = {name: models.BigIntegerField(default=0, help_text=text) for name, text in MEASURES.items()}
    _members |= {"__module__": __name__, "Meta": type("Meta", (), {"abstract": True})}
    Measures = cast(
        "type[models.Model]", types.new_class("Measures", (models.Model,), exec_body=lambda namespace: namespace.update(_members))
    )


class Rollup(Measures):
    """The sums of one series over one bucket of time. `seconds`: the bucket's length; `start`: Unix seconds, a multiple of it."""

    pk = models.CompositePrimaryKey("seconds", "start", "series_id")
    seconds = models.IntegerField()
    start = models.BigIntegerField()
    series_id = models.BigIntegerField()

    class Meta:
        verbose_name = "rollup"

    def __str__(self) -> str:
        return f"{self.seconds} s from {self.start}, series {self.series_id}"


class RollupHistogram(models.Model):
    """How latencies, overheads and times to the first token of a bucket are distributed, of one value of one dimension.

    `dimension`: empty for all requests, else `key`, `model`, `upstream` or `owner`. The three texts are histograms as
    `billing.rollups.histogram` writes them. The id is a hash of the other columns that identify the row.
    """

    id = models.BigIntegerField(primary_key=True)
    seconds = models.IntegerField()
    start = models.BigIntegerField()
    dimension = models.CharField(max_length=16, blank=True)
    value = models.CharField(max_length=200, blank=True)
    latency_ms = models.TextField()
    overhead_us = models.TextField()
    ttft_ms = models.TextField()

    class Meta:
        verbose_name = "rollup histogram"
        indexes = (models.Index(fields=("dimension", "seconds", "start"), name="histogram_by_time"),)

    def __str__(self) -> str:
        return f"{self.dimension or 'all'} {self.value}, {self.seconds} s from {self.start}"


class RollupModel(models.Model):
    """A name of a model that clients have called with success, and so a value of the dimension `model`."""

    name = models.CharField(max_length=200, primary_key=True)
    first_seen = models.DateField()

    class Meta:
        indexes = (models.Index(fields=("first_seen",), name="rollup_model_by_day"),)

    def __str__(self) -> str:
        return str(self.name)


class RollupTags(models.Model):
    """The tags of a request as JSON, sorted by key: a value of the dimension `tags`."""

    name = models.CharField(max_length=1000, primary_key=True)
    first_seen = models.DateField()

    class Meta:
        verbose_name, verbose_name_plural = "rollup tags", "rollup tags"
        indexes = (models.Index(fields=("first_seen",), name="rollup_tags_by_day"),)

    def __str__(self) -> str:
        return str(self.name)


class RollupState(models.Model):
    """One row. `is_built`: whether rows that are older than the rollups have been summed up. `pruned_before`: Unix seconds; rows of
    earlier requests have been deleted from the log, and only rollups have their sums.
    """  # noqa: D205

    id = models.IntegerField(primary_key=True, default=1)
    is_built = models.BooleanField(default=True)
    pruned_before = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return "built" if self.is_built else "to be built"

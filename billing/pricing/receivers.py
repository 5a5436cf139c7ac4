"""Signal receivers: a new model or a saved route gets its price from the bundled data, whether admin, API or a command wrote it."""

from __future__ import annotations

import functools
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save

from upstreams.models import Model, Route


def connect() -> None:
    """Connect the signals; called when the app is ready."""
    post_save.connect(_model_saved, sender=Model, dispatch_uid="billing.prices.model")
    post_save.connect(_route_saved, sender=Route, dispatch_uid="billing.prices.route")


def _model_saved(*, instance: Model, created: bool, raw: bool, **_: Any) -> None:
    if created and not raw:
        _sync_after_commit(instance.pk)


def _route_saved(*, instance: Route, raw: bool, **_: Any) -> None:
    if not raw:
        _sync_after_commit(instance.model_id)


def _sync_after_commit(model_id: Any) -> None:
    # robust: the model is saved already. An error is logged, and the next synchronisation looks the price up again.
    transaction.on_commit(functools.partial(_sync, model_id), robust=True)


def _sync(model_id: Any) -> None:
    from billing.pricing import sync

    model = Model.objects.filter(pk=model_id).first()
    if model is not None:
        sync.sync_model(model)

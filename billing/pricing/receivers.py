"""A model or route that was made, by whichever door, gets the price that the bundled data know for it."""

from __future__ import annotations

import functools
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save

from upstreams.models import Model, Route


def connect() -> None:
    """Begin to listen; called when the app is ready."""
    post_save.connect(_model_saved, sender=Model, dispatch_uid="billing.prices.model")
    post_save.connect(_route_saved, sender=Route, dispatch_uid="billing.prices.route")


def _model_saved(*, instance: Model, created: bool, raw: bool, **_: Any) -> None:
    if created and not raw:
        _look_up_later(instance.pk)


def _route_saved(*, instance: Route, raw: bool, **_: Any) -> None:
    if not raw:
        _look_up_later(instance.model_id)


def _look_up_later(model_id: Any) -> None:
    # robust: the model is made; a price that cannot be looked up is logged, and the next synchronisation tries again.
    transaction.on_commit(functools.partial(_look_up, model_id), robust=True)


def _look_up(model_id: Any) -> None:
    from billing.pricing import sync

    model = Model.objects.filter(pk=model_id).first()
    if model is not None:
        sync.attach(model)

"""Signals of this app, for apps above it."""

from django.dispatch import Signal

routes_listed = Signal()
"""Sent with ``model_ids`` after routes were created from an upstream's list, or what they hold of it has changed."""

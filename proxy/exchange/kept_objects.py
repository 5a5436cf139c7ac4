"""What the upstream of one translated attempt keeps under an id: the response itself, and the containers and files of its tools."""

from __future__ import annotations

from proxy.exchange.request_context import RequestContext
from proxy.exchange.stream_pipeline import StreamPipeline
from proxy.translation.canonical import Response
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.object_api import MadeObject
from proxy.translation.usage import Usage


class KeptObjects:
    """See the module. Only within one dialect: another one has no place for the ids.

    ``is_forwarded``: the client gets the upstream's body, with its ids.
    """

    def __init__(self, context: RequestContext, source: Dialect) -> None:
        """``source``: the dialect of the upstream."""
        self.is_forwarded = False
        self._api = context.dialect.client.objects if source is context.dialect else None
        self._context = context
        self._response: Response | None = None
        self._is_unbilled = False

    def usage_of(self, response: Response) -> Usage | None:
        """Note a whole response; its usage, which is zero if it comes only when the client fetches the response by its id."""
        self._response = response
        is_empty = response.usage is None and not response.parts
        self._is_unbilled = is_empty and self._api is not None and self._api.runs_later(self._context.envelope.fields)
        return Usage() if self._is_unbilled else response.usage

    def client_id(self, pipeline: StreamPipeline | None) -> str:
        """The id of the response as the client gets it; empty before the response begins, and in dialects without ids."""
        if pipeline is not None:
            response_id, is_forwarded = pipeline.response_id, pipeline.is_forwarding
        elif self._response is not None:
            response_id, is_forwarded = self._response.id, self.is_forwarded
        else:
            return ""
        if is_forwarded:
            return response_id
        objects = self._context.dialect.client.objects
        return "" if objects is None else objects.own_id(self._context.identity)

    def made_objects(self, pipeline: StreamPipeline | None) -> list[MadeObject]:
        """What the upstream has reported so far, in the whole response or in the stream that ``pipeline`` translates."""
        if self._api is None:
            return []
        if pipeline is not None:
            response_id, is_forwarded, made = pipeline.response_id, pipeline.is_forwarding, pipeline.made
        elif self._response is not None:
            response_id, is_forwarded, made = self._response.id, self.is_forwarded, self._api.made_by(self._response)
        else:
            return []
        client_id = response_id if is_forwarded else self._api.own_id(self._context.identity)
        return [*self._api.kept_response(self._context.envelope.fields, client_id, response_id, is_unbilled=self._is_unbilled), *made]

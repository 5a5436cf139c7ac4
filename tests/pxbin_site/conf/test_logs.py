"""The lines of the gateway's own log."""

import json
import logging

from pxbin_site.conf.logs import JsonFormatter


def line(**extra):
    record = logging.getLogger("pxbin.test").makeRecord(
        "pxbin.test", logging.WARNING, __file__, 1, "%s is away", ("it",), None, extra=extra
    )
    record.created = 1_790_000_000.25
    return json.loads(JsonFormatter().format(record))


def test_a_line_is_a_json_object_with_the_request_id_if_there_is_one():
    expected = {"time": "2026-09-21T14:13:20.250+00:00", "level": "warning", "logger": "pxbin.test", "message": "it is away"}
    assert (line(), line(request_id="r-1")) == (expected, expected | {"request_id": "r-1"})

"""A resource of the management API: what follows from one declaration of a field."""

import json
from datetime import UTC, datetime

import pytest
from ninja import Schema

from accounts.common.api_envelope import ApiError
from accounts.common.api_resource import Resource, columns_of, page_envelope, shows
from accounts.common.api_schema import Clearable, Id, Int32, Moment, Paging, RequestBody
from accounts.common.api_validation import save_validated
from accounts.models import ApiKey, ManagementKey
from upstreams.models import Route, Upstream

pytestmark = pytest.mark.django_db


class Fields(RequestBody):
    name: str | None = None
    expires_at: Clearable[Moment] = None
    rate_limit: Clearable[Int32] = None
    metadata: Clearable[dict[str, int]] = None
    unrelated: str | None = None


@shows(Fields, ApiKey)
class KeyItem(Schema):
    """A key."""

    key_prefix: str


class Keys(Resource[ApiKey, Fields]):
    table = ApiKey
    schema = KeyItem
    title = "Key"
    order = ("name",)


class RouteFields(RequestBody):
    upstream_id: Id | None = None


class Routes(Resource[Route, RouteFields]):
    table = Route


def saved(**columns) -> ApiKey:
    row = ApiKey(key_hash=f"{ApiKey.objects.count():064x}", key_prefix="pxb_0000", **columns)
    row.save()
    return row


def test_a_response_shows_each_settable_column_once_without_limits_and_null_where_the_column_can_be():
    properties = KeyItem.model_json_schema()["properties"]
    assert list(properties) == ["id", "name", "expires_at", "rate_limit", "metadata", "key_prefix", "created_at", "updated_at"]
    assert properties["name"] == {"title": "Name", "type": "string"}
    assert properties["expires_at"]["anyOf"] == [{"format": "date-time", "type": "string"}, {"type": "null"}]
    assert properties["rate_limit"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert properties["metadata"] == {"additionalProperties": {"type": "integer"}, "title": "Metadata", "type": "object"}


def test_only_what_a_body_gives_is_written_and_null_clears_only_what_is_clearable():
    body = Fields(name=None, expires_at=None, rate_limit=None, metadata=None, unrelated="x")
    assert Keys().column_values(body) == {"expires_at": None, "rate_limit": None, "metadata": {}}
    assert Keys().column_values(Fields()) == {}
    columns = Keys().column_values(Fields(name="n", expires_at="2030-01-31T12:00:00+02:00", rate_limit=5))
    assert columns == {"name": "n", "expires_at": datetime(2030, 1, 31, 10, tzinfo=UTC), "rate_limit": 5}


def test_an_id_of_another_table_has_to_exist_and_to_be_one():
    upstream = Upstream.objects.create(name="u", base_url="http://x")
    assert Routes().column_values(RouteFields(upstream_id=str(upstream.pk))) == {"upstream_id": upstream.pk}
    with pytest.raises(ApiError) as caught:
        Routes().column_values(RouteFields(upstream_id="00000000-0000-0000-0000-000000000007"))
    assert (caught.value.status, caught.value.message) == (404, "Upstream not found")
    with pytest.raises(ApiError) as caught:
        Routes().column_values(RouteFields(upstream_id=""))
    assert (caught.value.status, caught.value.message) == (400, "Invalid ID format")


def test_a_shown_row_is_json():
    row = saved(name="n", expires_at=datetime(2030, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC))
    item = Keys().show(row)
    assert item["expires_at"] == "2030-01-31T12:00:00.5Z"
    assert json.loads(json.dumps(item))["id"] == str(row.pk)


def test_a_failure_after_the_row_was_saved_rolls_it_back():
    class Failing(Keys):
        def after_save(self, row, body):
            raise ApiError("invalid_request", "no")

    with pytest.raises(ApiError):
        Failing().write(ApiKey(key_hash="0" * 64, key_prefix="pxb_0000"), Fields(name="n"))
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("page", "per_page", "expected"),
    [
        (None, None, (["0", "1", "2"], 1, 50)),
        ("2", "2", (["2"], 2, 2)),
        ("9", "2", ([], 9, 2)),
        ("0", "-1", (["0", "1", "2"], 1, 50)),
        ("x", "99999", (["0", "1", "2"], 1, 1000)),
        ("", "", (["0", "1", "2"], 1, 50)),
    ],
)
def test_pages_are_bounded_and_count_all_rows(page, per_page, expected):
    for number in range(3):
        saved(name=str(number))
    envelope = page_envelope(ApiKey.objects.order_by("name"), Paging(page=page, per_page=per_page), show=lambda row: {"name": row.name})
    names, number, size = expected
    assert envelope == {"data": [{"name": name} for name in names], "meta": {"total": 3, "page": number, "per_page": size}}


def test_a_duplicate_is_a_conflict_and_a_bad_value_names_its_field():
    saved()
    with pytest.raises(ApiError) as duplicate:
        save_validated(ApiKey(key_hash="0" * 64, key_prefix="pxb_0000"))
    assert (duplicate.value.kind, duplicate.value.status) == ("conflict", 409)
    with pytest.raises(ApiError) as invalid:
        save_validated(ManagementKey(key_hash="1" * 64, key_prefix="pxm_0000", permissions=["admin"]))
    assert (invalid.value.kind, invalid.value.message) == ("invalid_request", 'permissions: Permissions are a list of "read" and "write".')


def test_a_foreign_key_is_the_column_of_its_id():
    assert {"model_id", "upstream_id"} < set(columns_of(Route))

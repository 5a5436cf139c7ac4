import msgspec
import pytest

from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.routing import remote_objects
from upstreams.routing.remote_objects import Holder, RemoteObject, RemoteObjects, holder_of

MINE = RemoteObject(id="resp_1", api_key_id="me", upstream_id="b", credential_id="b1", until=2000.0)
OTHERS = msgspec.structs.replace(MINE, api_key_id="other", upstream_id="a", credential_id="a1")


class Store:
    """A store with these objects, and the ids that it was asked for."""

    def __init__(self, *objects):
        self.objects = objects
        self.asked = []

    async def __call__(self, object_id):
        self.asked.append(object_id)
        return [remote_object for remote_object in self.objects if remote_object.id == object_id]


@pytest.fixture
def objects(clock):
    return RemoteObjects(clock)


async def test_what_is_in_memory_is_not_looked_up(objects):
    objects.stores = [store := Store(MINE)]
    objects.add(MINE)
    assert (await objects.find("resp_1", "me"), store.asked) == (MINE, [])


async def test_what_is_not_in_memory_is_looked_up_once(objects):
    objects.stores = [store := Store(MINE)]
    assert [await objects.find("resp_1", "me") for _ in range(2)] == [MINE, MINE]
    assert store.asked == ["resp_1"]


async def test_the_next_store_is_asked_only_for_what_the_one_before_does_not_know(objects):
    objects.stores = [first, second] = [Store(MINE), Store(msgspec.structs.replace(MINE, id="resp_2"))]
    assert [(await objects.find(object_id, "me")).id for object_id in ("resp_1", "resp_2")] == ["resp_1", "resp_2"]
    assert (first.asked, second.asked) == (["resp_1", "resp_2"], ["resp_2"])
    assert await objects.find("resp_3", "me") is None


async def test_another_key_finds_whose_it_is_in_memory_and_in_a_store(objects):
    objects.add(OTHERS)
    assert await objects.find("resp_1", "me") == OTHERS
    objects.stores = [Store(msgspec.structs.replace(OTHERS, id="resp_2"))]
    assert (await objects.find("resp_2", "me")).api_key_id == "other"


async def test_each_key_has_its_own_object_of_an_id_that_two_servers_gave(objects):
    objects.add(OTHERS)
    objects.add(MINE)
    assert [await objects.find("resp_1", key) for key in ("me", "other")] == [MINE, OTHERS]
    objects.stores = [Store(msgspec.structs.replace(MINE, id="resp_2"))]
    objects.add(msgspec.structs.replace(OTHERS, id="resp_2"))
    assert (await objects.find("resp_2", "me")).api_key_id == "me"


async def test_objects_are_forgotten_in_time(objects, clock):
    objects.add(MINE)
    objects.stores = [store := Store(msgspec.structs.replace(MINE, id="resp_2"))]
    clock.now = MINE.until
    assert [await objects.find(object_id, "me") for object_id in ("resp_1", "resp_2")] == [None, None]
    assert store.asked == ["resp_1", "resp_2"]


async def test_the_least_recently_used_are_removed_from_memory(objects, monkeypatch):
    monkeypatch.setattr(remote_objects, "MAX_OBJECTS", 2)
    for object_id in ("r1", "r2"):
        objects.add(msgspec.structs.replace(MINE, id=object_id))
    await objects.find("r1", "me")
    objects.add(msgspec.structs.replace(MINE, id="r3"))
    assert [await objects.find(object_id, "me") is not None for object_id in ("r1", "r2", "r3")] == [True, False, True]


def test_content_is_worth_a_search_once_a_file_was_made(objects):
    objects.add(MINE)
    assert objects.knows_nested is False
    objects.add(msgspec.structs.replace(MINE, id="file-1", is_nested=True))
    assert objects.knows_nested is True


def upstream(upstream_id, base_url, *credentials):
    return UpstreamEntry(id=upstream_id, name=upstream_id, base_url=base_url, dialect="openai_responses", credentials=credentials)


def test_the_holder_is_the_upstream_with_the_credential_or_the_same_account_at_another_upstream():
    one, two = CredentialEntry(id="b1", secret="sk-1"), CredentialEntry(id="b2", secret="sk-2")
    same, bare = CredentialEntry(id="c1", secret="sk-1"), CredentialEntry(id="d1", secret="sk-1")
    b, c, d = upstream("b", "https://x/v1", one, two), upstream("c", "https://x/v1/", same), upstream("d", "https://y/v1", bare)
    holder = holder_of(MINE, {"b": b})
    assert holder == Holder("b", "b1", ("https://x/v1", "sk-1"))
    assert "sk-1" not in repr(holder)
    assert [holder.is_at(*place) for place in ((b, one), (b, two), (c, same), (d, bare), (b, None))] == [True, False, True, False, False]
    gone = holder_of(MINE, {})
    assert (gone, gone.is_at(b, one), gone.is_at(c, same)) == (Holder("b", "b1"), True, False)


def test_an_upstream_without_credentials_holds_what_it_made():
    local = upstream("b", "http://x")
    assert holder_of(msgspec.structs.replace(MINE, credential_id=""), {"b": local}).is_at(local, None) is True

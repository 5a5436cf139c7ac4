"""Places of requests in Django's threads."""

import asyncio

import pytest
from asgiref.sync import markcoroutinefunction
from django.core import signing
from django.http import HttpResponse

from pxbin_site.login import device
from pxbin_site.login.places import LimitedPlaces, Places


class View:
    """A view whose requests stay inside until they are released."""

    def __init__(self):
        self.inside, self.most, self.release = 0, 0, asyncio.Event()

    async def __call__(self, _request=None):
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.release.wait()
        self.inside -= 1
        return HttpResponse("ok")


async def test_no_more_requests_than_places_are_served_at_a_time_and_the_others_have_their_turn():
    view, places = View(), Places(3)
    tasks = [asyncio.create_task(places.serve(view)) for _ in range(20)]
    await asyncio.sleep(0)
    view.release.set()
    assert [response.status_code for response in await asyncio.gather(*tasks)] == [200] * 20
    assert (view.most, view.inside) == (3, 0)


async def test_too_many_are_refused(monkeypatch):
    monkeypatch.setattr("pxbin_site.login.places.MAX_WAITING", 2)
    view, places = View(), Places(1)
    tasks = [asyncio.create_task(places.serve(view)) for _ in range(4)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    view.release.set()
    assert [response.status_code for response in await asyncio.gather(*tasks)] == [200, 200, 200, 503]


async def test_a_client_that_leaves_gives_its_place_back():
    view, places = View(), Places(1)
    served, waiting = [asyncio.create_task(places.serve(view)) for _ in range(2)]
    await asyncio.sleep(0)
    served.cancel()
    waiting.cancel()
    await asyncio.wait([served, waiting])
    view.release.set()
    assert (await places.serve(view)).status_code == 200


@pytest.mark.parametrize(
    ("path", "places"), [("/admin/login/", 3), ("/admin", 3), ("/static/a.css", 8), ("/health", 8), ("/api/v1/keys", 8)]
)
async def test_unknown_browsers_fill_no_places_of_others(rf, path, places):
    view = View()
    markcoroutinefunction(view)
    middleware = LimitedPlaces(view)
    tasks = [asyncio.create_task(middleware(rf.get(path))) for _ in range(20)]
    known_browser = rf.get("/admin/")
    known_browser.COOKIES[device.COOKIE] = signing.dumps(("id", "admin"), salt=device._SALT)
    tasks.append(asyncio.create_task(middleware(known_browser)))
    await asyncio.sleep(0)
    assert view.inside == places + 1
    view.release.set()
    await asyncio.gather(*tasks)


def test_a_synchronous_client_passes(rf):
    assert LimitedPlaces(lambda _: HttpResponse("ok"))(rf.get("/admin/")).content == b"ok"

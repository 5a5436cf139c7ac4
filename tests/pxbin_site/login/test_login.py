"""Logins to the admin: who is slowed down by wrong passwords, and who is not."""

import re
import threading

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.test import Client

from pxbin_site.conf.login_limits import ADDRESS_FAILURES, COOL_OFF_SECONDS, USER_FAILURES
from pxbin_site.login import device, guard, hashing
from pxbin_site.login.throttle import address_of
from tests.support.settings import with_config
from tests.support.waiting import eventually

pytestmark = pytest.mark.django_db
ATTACKER, ADMIN, ELSEWHERE = "192.0.2.1", "198.51.100.7", "203.0.113.9"
PASSWORD = "the right password"


@pytest.fixture(autouse=True)
def _no_counters():
    caches["login"].clear()
    yield
    caches["login"].clear()


@pytest.fixture
def admin():
    return User.objects.create_superuser("admin", password=PASSWORD)


def log_in(browser: Client, address: str, password: str, username: str = "admin"):
    return browser.post("/admin/login/", {"username": username, "password": password}, REMOTE_ADDR=address)


def statuses(browser: Client, address: str, number: int, username: str = "admin"):
    return [log_in(browser, address, "wrong", username).status_code for _ in range(number)]


def test_wrong_passwords_are_refused_after_a_few_even_if_the_next_one_is_right(admin):
    browser = Client()
    assert statuses(browser, ATTACKER, USER_FAILURES + 1) == [200] * (USER_FAILURES - 1) + [429, 429]
    refused = log_in(browser, ATTACKER, PASSWORD)
    assert (refused.status_code, refused["Retry-After"]) == (429, str(COOL_OFF_SECONDS))
    assert b"Too many wrong passwords" in refused.content


def test_an_attacker_does_not_lock_the_admin_out_at_another_address(admin):
    statuses(Client(), ATTACKER, USER_FAILURES + 1)
    assert log_in(Client(), ADMIN, PASSWORD).status_code == 302


def test_a_browser_that_has_logged_in_before_is_not_locked_out_at_the_attackers_own_address(admin):
    browser = Client()
    assert log_in(browser, ATTACKER, PASSWORD).status_code == 302
    browser.cookies.pop("sessionid")
    statuses(Client(), ATTACKER, ADDRESS_FAILURES + 1)
    assert log_in(Client(), ATTACKER, PASSWORD).status_code == 429
    assert log_in(browser, ATTACKER, PASSWORD).status_code == 302


def test_a_browser_that_has_logged_in_before_has_no_more_guesses_than_others(admin):
    browser = Client()
    log_in(browser, ADMIN, PASSWORD)
    browser.cookies.pop("sessionid")
    addresses = [f"192.0.2.{number}" for number in range(USER_FAILURES + 1)]
    assert [log_in(browser, address, "wrong").status_code for address in addresses][-2:] == [429, 429]


def test_the_cookie_of_one_user_does_not_open_guesses_for_another(admin):
    User.objects.create_user("clerk", password="clerk's", is_staff=True)
    browser = Client()
    assert log_in(browser, ATTACKER, "clerk's", "clerk").status_code == 302
    browser.cookies.pop("sessionid")
    statuses(Client(), ATTACKER, USER_FAILURES)
    assert log_in(browser, ATTACKER, PASSWORD).status_code == 429


def test_a_forged_cookie_is_none(admin):
    browser = Client()
    browser.cookies[device.COOKIE] = "WyJhIiwiYWRtaW4iXQ:1x:signature"
    statuses(browser, ATTACKER, USER_FAILURES)
    assert log_in(browser, ATTACKER, PASSWORD).status_code == 429


def test_the_cookie_is_for_the_admin_pages_alone(admin):
    browser = Client()
    cookie = log_in(browser, ADMIN, PASSWORD).cookies[device.COOKIE]
    flags = [cookie[name] for name in ("path", "httponly", "samesite", "secure", "max-age")]
    assert flags == ["/admin/", True, "Strict", "", device.SECONDS]
    assert "admin" not in cookie.value


def test_one_address_has_a_bound_for_all_names_together(admin):
    browser = Client()
    for number in range(ADDRESS_FAILURES):
        log_in(browser, ATTACKER, "wrong", f"user{number}")
    assert log_in(browser, ATTACKER, PASSWORD).status_code == 429
    assert log_in(Client(), ELSEWHERE, PASSWORD).status_code == 302


def test_a_login_resets_the_count(admin):
    browser = Client()
    statuses(browser, ADMIN, USER_FAILURES - 1)
    log_in(browser, ADMIN, PASSWORD)
    browser.cookies.clear()
    assert statuses(browser, ADMIN, USER_FAILURES - 1) == [200] * (USER_FAILURES - 1)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_addresses_of_one_client_are_one(rf, address, expected):
    assert address_of(rf.get("/", REMOTE_ADDR=address)) == expected


def test_behind_a_trusted_proxy_its_clients_are_counted_apart(admin):
    def behind_proxy(browser, client, password):
        form = {"username": "admin", "password": password}
        return browser.post("/admin/login/", form, REMOTE_ADDR="127.0.0.1", headers={"x-forwarded-for": client}).status_code

    with with_config(trusted_proxies=("127.0.0.1/32",)):
        assert [behind_proxy(Client(), ATTACKER, "wrong") for _ in range(USER_FAILURES)][-1] == 429
        assert behind_proxy(Client(), ADMIN, PASSWORD) == 302
    assert [behind_proxy(Client(), f"192.0.2.{number}", "wrong") for number in range(USER_FAILURES)][-1] == 429


def test_a_full_hash_queue_refuses_before_the_form_is_read(admin, monkeypatch):
    queue = hashing.HashQueue(waiting=0, patience=60)
    monkeypatch.setattr(hashing, "UNKNOWN_BROWSERS", queue)
    with queue.slot():
        refused = log_in(Client(), ADMIN, PASSWORD)
    assert (refused.status_code, refused["Retry-After"]) == (503, str(guard.BUSY_SECONDS))
    assert log_in(Client(), ADMIN, PASSWORD).status_code == 302


def test_unknown_browsers_do_not_keep_a_browser_waiting_that_has_logged_in_before(admin, monkeypatch, settings):
    settings.PASSWORD_HASHERS = ["pxbin_site.login.hashing.Argon2Hasher"]
    admin.set_password(PASSWORD)
    admin.save()
    browser = Client()
    assert log_in(browser, ADMIN, PASSWORD).status_code == 302
    browser.cookies.pop("sessionid")
    queue = hashing.HashQueue(waiting=0, patience=60)
    monkeypatch.setattr(hashing, "UNKNOWN_BROWSERS", queue)
    with queue.slot():
        assert log_in(Client(), ADMIN, PASSWORD).status_code == 503
        assert log_in(browser, ADMIN, PASSWORD).status_code == 302


def test_a_hash_queue_that_fills_while_the_form_is_read_refuses_too(admin, monkeypatch, settings):
    settings.PASSWORD_HASHERS = ["pxbin_site.login.hashing.Argon2Hasher"]
    queue, release = hashing.HashQueue(waiting=1, patience=0.01), threading.Event()
    monkeypatch.setattr(hashing, "UNKNOWN_BROWSERS", queue)

    def compute():
        with queue.slot():
            release.wait(60)

    thread = threading.Thread(target=compute)
    thread.start()
    eventually(queue._slot.locked)
    refused = log_in(Client(), ADMIN, PASSWORD)
    release.set()
    thread.join()
    assert (refused.status_code, refused["Retry-After"]) == (503, str(guard.BUSY_SECONDS))


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        ("/admin/login/", str(guard.LARGEST_BODY + 1), 413),
        ("/admin/login/", "-1", 413),
        ("/admin/login/", "", 411),
        ("/admin/accounts/apikey/add/", str(guard.LARGEST_BODY + 1), 413),
        ("/admin/login/", str(guard.LARGEST_BODY), 200),
    ],
)
def test_the_login_form_of_an_unknown_client_has_a_size_limit(path, length, status):
    body = b"username=admin&password=".ljust(guard.LARGEST_BODY, b"x")
    response = Client().post(path, body, content_type="application/x-www-form-urlencoded", CONTENT_LENGTH=length)
    assert response.status_code == status


def test_a_session_ends_after_its_hours_and_a_login_makes_a_new_one(admin, settings):
    browser = Client()
    browser.get("/admin/login/")
    cookie = log_in(browser, ADMIN, PASSWORD).cookies["sessionid"]
    assert [cookie[name] for name in ("httponly", "samesite", "max-age")] == [True, "Lax", 12 * 3600]
    first = cookie.value
    browser.post("/admin/logout/")
    assert browser.get("/admin/").status_code == 302
    assert log_in(browser, ADMIN, PASSWORD).cookies["sessionid"].value != first


def test_wrong_passwords_are_logged_without_the_name_that_was_typed(admin, caplog):
    log_in(Client(), ATTACKER, "wrong", "a password in the wrong field")
    assert re.search(r"New login failure by .*192\.0\.2\.1", caplog.text)
    assert ("wrong field" in caplog.text, "wrong" in caplog.text) == (False, False)

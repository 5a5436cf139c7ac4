"""Alerts: raised once for a subject and period, delivered to receivers on loopback, tried again while that fails."""

import json
import socketserver
import threading
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.common.uuid7 import new_id
from accounts.models import Budget
from billing.alert_models import AlertChannel, AlertDelivery, AlertKind
from billing.alerts import checks, delivery
from billing.alerts.raising import Alert, raise_alert
from billing.models import RequestLog
from billing.request_log.journal import SPOOL_DIRECTORY
from billing.rollups import rebuild
from tests.support.settings import with_config
from upstreams.models import Upstream
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

ALERT = Alert(AlertKind.ERROR_RATE, "all requests", "2026-12-01T16", "30 % of the requests fail", "30 of 100.")


@pytest.fixture
def receiver():
    """A server that notes what is posted and answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"noted")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.posted, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}/hook/s3cret"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def channel(url="http://127.0.0.1:9/", *, transport="webhook", **fields):
    row = AlertChannel(name="ops", transport=transport, **fields)
    if transport != "email":
        delivery.set_url(row, url)
    row.full_clean()
    row.save()
    return row


def logged(number, **fields):
    usual = {"timestamp": timezone.now(), "status_code": 200, "latency_ms": 1, "overhead_us": 1}
    RequestLog.objects.bulk_create([RequestLog(id=new_id(), **{**usual, **fields}) for _ in range(number)])


def raised():
    return list(AlertDelivery.objects.order_by("kind", "subject").values_list("kind", "subject", "title"))


def test_an_alert_is_told_once_for_its_subject_and_period():
    channel()
    assert [raise_alert(alert) for alert in (ALERT, ALERT, ALERT._replace(period="2026-12-01T17"))] == [1, 0, 1]


def test_only_active_channels_of_the_kind_get_it():
    channel(kinds=["budget"])
    channel(is_active=False)
    assert raise_alert(ALERT) == 0


@pytest.mark.parametrize(("transport", "is_slack"), [("webhook", False), ("slack", True)])
def test_a_webhook_gets_it_and_its_answer_is_noted(receiver, transport, is_slack):
    channel(receiver.url, transport=transport)
    raise_alert(ALERT)
    assert delivery.deliver_due() == 1
    row = AlertDelivery.objects.get()
    (posted,) = receiver.posted
    assert posted == (
        {"text": "*30 % of the requests fail*\n30 of 100."}
        if is_slack
        else {
            "id": str(row.pk),
            "kind": "error_rate",
            "subject": "all requests",
            "period": "2026-12-01T16",
            "title": "30 % of the requests fail",
            "text": "30 of 100.",
            "created_at": posted["created_at"],
        }
    )
    assert (row.state, row.tries, row.response) == ("sent", 1, "200 noted")
    assert delivery.deliver_due() == 0


def test_a_failed_delivery_is_tried_again_later_and_ends(receiver):
    receiver.status = 500
    channel(receiver.url)
    raise_alert(ALERT)
    now = timezone.now()
    for number in range(1, 6):
        assert delivery.deliver_due(now) == 0
        assert delivery.deliver_due(now) == 0  # not before its time
        row = AlertDelivery.objects.get()
        assert (row.tries, row.response) == (number, "500 noted")
        now += timedelta(hours=3)
    assert (row.state, len(receiver.posted)) == ("failed", 5)
    assert delivery.deliver_due(now) == 0


def test_it_arrives_once_the_receiver_is_back(receiver):
    receiver.status = 503
    channel(receiver.url)
    raise_alert(ALERT)
    delivery.deliver_due()
    receiver.status = 204
    assert delivery.deliver_due(timezone.now() + timedelta(minutes=2)) == 1
    assert AlertDelivery.objects.get().state == "sent"


def test_addresses_are_stored_encrypted_and_renewed():
    row = channel("http://127.0.0.1:9/s3cret")
    assert "s3cret" not in str(AlertChannel.objects.values().get())
    with with_config(encryption_key="another-passphrase-1", encryption_keys_old=(_current_key(),)):
        assert (store.rotate(), delivery.renew_secrets()) == (1, 0)
        row.refresh_from_db()
        assert store.decrypt(row.url_encrypted) == "http://127.0.0.1:9/s3cret"


def _current_key():
    from django.conf import settings

    return settings.PXBIN.encryption_key


def test_metadata_services_are_not_called():
    row = channel("http://169.254.169.254/latest")
    assert (delivery.send_test(row).state, AlertDelivery.objects.get().state) == ("failed", "failed")


def test_mail_is_sent_over_smtp():
    received = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 test\r\n")
            in_data = False
            for line in self.rfile:
                received.append(line.decode().rstrip())
                if in_data:
                    if line == b".\r\n":
                        in_data = False
                        self.wfile.write(b"250 ok\r\n")
                elif line.upper().startswith(b"DATA"):
                    in_data = True
                    self.wfile.write(b"354 go\r\n")
                elif line.upper().startswith(b"QUIT"):
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        row = channel(transport="email", recipients="a@example.org, b@example.org")
        with with_config(email_url=f"smtp://127.0.0.1:{server.server_address[1]}", email_from="pxbin@example.org"):
            result = delivery.send_test(row)
        server.shutdown()
        thread.join()
    assert (result.state, result.response) == ("sent", "Sent to 2 addresses")
    assert [line.partition(" size=")[0].upper() for line in received if line.upper().startswith(("MAIL", "RCPT"))] == [
        "MAIL FROM:<PXBIN@EXAMPLE.ORG>", "RCPT TO:<A@EXAMPLE.ORG>", "RCPT TO:<B@EXAMPLE.ORG>",
    ]  # fmt: skip
    assert "Subject: Test of ops" in received


def test_mail_without_a_server_says_so():
    row = channel(transport="email", recipients="a@example.org")
    assert delivery.send_test(row).response == "PXBIN_EMAIL_URL is not set"


def test_many_failures_are_told():
    channel(error_percent=30)
    logged(20, outcome="finished")
    assert checks.check_all() == 0
    logged(9, outcome="failed", status_code=502)
    assert checks.check_all() == 1
    assert raised() == [("error_rate", "all requests", "31 % of the requests fail")]


def test_a_few_requests_are_no_rate():
    channel()
    logged(19, outcome="failed", status_code=502)
    assert checks.check_all() == 0


def test_a_failed_health_check_a_missing_price_and_an_expiring_key_are_told():
    channel()
    Upstream.objects.create(
        name="one", base_url="http://127.0.0.1:9/v1", dialect="openai_chat", test_error="no answer", tested_at=timezone.now()
    )
    logged(1, outcome="finished", attempts=1, remote_model="m", upstream_name="one", cost=None)
    end = timezone.now() + timedelta(days=3)
    _, key = keys.issue("llm", name="laptop", expires_at=end)
    keys.issue("llm", name="later", expires_at=end + timedelta(days=30))
    checks.check_all()
    assert raised() == [
        ("key_expiring", str(key.pk), f"Key laptop expires on {end:%Y-%m-%d}"),
        ("unpriced_model", "m at one", "No price for m at one"),
        ("upstream_down", "one", "Upstream one is down"),
    ]
    assert checks.check_all() == 0


def test_a_journal_that_is_not_written_is_told(tmp_path, monkeypatch):
    spool = tmp_path / SPOOL_DIRECTORY
    spool.mkdir()
    (spool / f"{'a' * 32}.sealed").write_bytes(b"")
    channel()
    with with_config(data_dir=tmp_path):
        assert checks.check_all() == 0
        monkeypatch.setattr(checks, "BACKLOG_SECONDS", -1)
        assert checks.check_all() == 1


def test_a_budget_tells_its_highest_threshold_once_in_a_period():
    channel(kinds=["budget"], budget_thresholds=[50, 80, 100])
    _, key = keys.issue("llm", name="laptop")
    budget = Budget.objects.create(scope="key", key=key, amount_usd=Decimal(10), period="total", mode="soft")
    told = []
    for cost in ("4.99", "0.01", "1", "3", "1.5", "1"):
        logged(1, api_key_id=key.pk, cost=Decimal(cost), outcome="finished")
        rebuild.rebuild()
        told.append(checks.check_all())
    assert told == [0, 1, 0, 1, 1, 0]
    assert sorted(AlertDelivery.objects.values_list("subject", "title")) == [
        (f"{budget.pk} {percent} %", f"Budget of {budget}: {percent} % reached") for percent in (100, 50, 80)
    ]


@pytest.fixture
def script():
    token, _ = keys.issue("management", name="tests", permissions=["read", "write"])

    def send(method, path="", body=None):
        answer = Client().generic(
            method, f"/api/v1/alerts{path}", json.dumps(body or {}), content_type="application/json", headers={"x-api-key": token}
        )
        return answer.status_code, answer.json()

    return send


def test_channels_are_managed_tested_and_their_deliveries_listed_by_the_api(script, receiver):
    status, body = script("POST", "", {"name": "ops", "transport": "webhook", "url": receiver.url, "kinds": ["budget"]})
    made = body["data"]
    assert (status, made["has_url"], made["kinds"], made["budget_thresholds"]) == (201, True, ["budget"], [50, 80, 100])
    assert "s3cret" not in json.dumps(body)
    status, body = script("POST", f"/{made['id']}/test")
    assert (status, body["data"]["state"], body["data"]["response"]) == (200, "sent", "200 noted")
    assert script("PATCH", f"/{made['id']}", {"is_active": False, "error_percent": 5})[0] == 200
    shown = script("GET", f"/{made['id']}")[1]["data"]
    assert (shown["is_active"], shown["error_percent"], shown["has_url"]) == (False, 5, True)
    (sent,) = script("GET", "/deliveries")[1]["data"]
    assert (sent["channel"], sent["kind"], sent["title"]) == ("ops", "test", "Test of ops")
    assert script("DELETE", f"/{made['id']}")[0] == 200
    assert script("GET")[1]["meta"]["total"] == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"transport": "webhook"}, "url"), ({"transport": "webhook", "url": "ftp://x"}, "url"), ({"transport": "email"}, "recipients"),
        ({"transport": "email", "recipients": "nobody"}, "recipients"), ({"transport": "pigeon"}, "transport"), ({}, "transport"),
        ({"transport": "email", "recipients": "a@b.org", "kinds": ["weather"]}, "kinds"),
        ({"transport": "email", "recipients": "a@b.org", "budget_thresholds": [0]}, "budget_thresholds"),
    ],
)  # fmt: skip
def test_bad_fields_of_a_channel_are_named(script, fields, field):
    status, body = script("POST", "", {"name": "ops", **fields})
    assert (status, body["error"]["type"], field in body["error"]["message"]) == (400, "invalid_request", True)
    assert not AlertChannel.objects.exists()


def test_a_channel_is_made_and_tested_in_the_admin(admin_client, receiver):
    form = {
        "name": "ops", "transport": "slack", "recipients": "", "url": receiver.url, "is_active": "on", "kinds": ["budget", "error_rate"],
        "budget_thresholds": "[90]", "error_percent": "10", "days_before_expiry": "3",
    }  # fmt: skip
    assert admin_client.post("/admin/billing/alertchannel/add/", form).status_code == 302
    row = AlertChannel.objects.get()
    assert (row.kinds, row.budget_thresholds, "s3cret" in row.url_encrypted) == (["budget", "error_rate"], [90], False)
    page = admin_client.get(f"/admin/billing/alertchannel/{row.pk}/change/").content.decode()
    assert "s3cret" not in page
    admin_client.post("/admin/billing/alertchannel/", {"action": "send_test", "_selected_action": str(row.pk)})
    assert [posted["text"].splitlines()[0] for posted in receiver.posted] == ["*Test of ops*"]
    assert "200 noted" in admin_client.get("/admin/billing/alertdelivery/").content.decode()

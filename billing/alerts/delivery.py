"""Deliver alerts by e-mail, webhook or Slack's incoming webhooks; try again while it fails, and note what came back."""

from __future__ import annotations

import smtplib
from datetime import datetime, timedelta
from typing import Any

import environ
import httpx
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils import timezone

from accounts.common.api_envelope import timestamp
from billing.alert_models import AlertChannel, AlertDelivery, AlertKind
from billing.alerts.raising import Alert, new_delivery
from upstreams.http.outgoing_proxy import proxy_for
from upstreams.http.pool import tls_context
from upstreams.http.ssrf_guard import check_host, guarded_transport
from upstreams.secrets import store, vault

PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
"""Before each further try; after the last one an alert has failed."""
SEND_SECONDS = 10.0
MOST_AT_ONCE = 20
"""Deliveries in one run: each may take as long as a time limit, in the process that also writes the log."""
DELIVERY_DAYS = 90


class NotDelivered(Exception):  # noqa: N818  (it says what happened)
    """A try failed; the message says why, without the address, which may be secret."""


def set_url(channel: AlertChannel, url: str) -> None:
    """Set the address of a channel, encrypted: whoever knows it may post. Does not save the row. Raises ValueError."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"url: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("url: must begin with https:// or http:// and a host")
    channel.url_encrypted = store.encrypt(url)


def deliver_due(now: datetime | None = None) -> int:
    """Try every delivery that is due; return how many were sent. Old ones are deleted."""
    now = now or timezone.now()
    AlertDelivery.objects.filter(created_at__lt=now - timedelta(days=DELIVERY_DAYS)).delete()
    due = AlertDelivery.objects.filter(state=AlertDelivery.State.PENDING, next_try_at__lte=now).select_related("channel")
    return sum(deliver(delivery, now) for delivery in due.order_by("next_try_at")[:MOST_AT_ONCE])


def deliver(delivery: AlertDelivery, now: datetime | None = None) -> bool:
    """Try one delivery and note the result; whether it was sent."""
    now = now or timezone.now()
    delivery.tries += 1
    try:
        delivery.response = _send(delivery)[:500]
    except NotDelivered as problem:
        delivery.response = str(problem)[:500]
        is_last = delivery.tries > len(PAUSES)
        delivery.state = AlertDelivery.State.FAILED if is_last else AlertDelivery.State.PENDING
        delivery.next_try_at = now if is_last else now + PAUSES[delivery.tries - 1]
    else:
        delivery.state, delivery.sent_at = AlertDelivery.State.SENT, now
    delivery.save()
    return delivery.state == AlertDelivery.State.SENT


def send_test(channel: AlertChannel) -> AlertDelivery:
    """Send a test to a channel at once, and note it; a failed test is not tried again."""
    now = timezone.now()
    alert = Alert(AlertKind.TEST, "test", timestamp(now) or "", f"Test of {channel.name}", "Alerts of this gateway arrive here.")
    delivery = new_delivery(alert, channel)
    delivery.save(force_insert=True)
    if not deliver(delivery, now):
        delivery.state = AlertDelivery.State.FAILED
        delivery.save()
    return delivery


def renew_secrets() -> int:
    """Encrypt the addresses of channels with the first passphrase of the ring; return how many changed."""
    ring, changed = store.ring(), 0
    for pk, ciphertext in AlertChannel.objects.exclude(url_encrypted="").values_list("pk", "url_encrypted"):
        if not ring.is_current(ciphertext):
            renewed = ring.encrypt(ring.decrypt(ciphertext))
            changed += AlertChannel.objects.filter(pk=pk, url_encrypted=ciphertext).update(url_encrypted=renewed)
    return changed


def _send(delivery: AlertDelivery) -> str:
    """What the receiver answered. Raises :class:`NotDelivered`."""
    channel = delivery.channel
    if channel.transport == AlertChannel.Transport.EMAIL:
        return _send_mail(delivery, channel.addresses())
    body: dict[str, Any] = {"text": f"*{delivery.title}*\n{delivery.text}"}
    if channel.transport == AlertChannel.Transport.WEBHOOK:
        body = {
            "id": str(delivery.pk),
            "kind": delivery.kind,
            "subject": delivery.subject,
            "period": delivery.period,
            "title": delivery.title,
            "text": delivery.text,
            "created_at": timestamp(delivery.created_at),
        }
    return _post(channel, body)


def _post(channel: AlertChannel, body: dict[str, Any]) -> str:
    try:
        url = store.decrypt(channel.url_encrypted)
    except vault.VaultError as error:
        raise NotDelivered("The address cannot be decrypted: enter it again") from error
    try:
        with _client_for(url) as client:
            response = client.post(url, json=body)
    except (httpx.HTTPError, OSError) as error:
        raise NotDelivered(f"No answer: {type(error).__name__}") from error
    answer = f"{response.status_code} {response.text[:200]}".strip()
    if not response.is_success:
        raise NotDelivered(answer)
    return answer


def _client_for(url: str) -> httpx.Client:
    """A client for one call; raises ``OSError`` for link-local and metadata addresses."""
    proxy = proxy_for(url)
    if proxy is None:
        transport = guarded_transport(tls_context())
    else:
        check_host(httpx.URL(url).host)
        transport = httpx.HTTPTransport(verify=tls_context(), proxy=proxy)
    return httpx.Client(transport=transport, timeout=SEND_SECONDS, trust_env=False)


def _send_mail(delivery: AlertDelivery, addresses: list[str]) -> str:
    config = settings.PXBIN
    if not config.email_url:
        raise NotDelivered("PXBIN_EMAIL_URL is not set")
    parts = environ.Env.email_url_config(config.email_url)
    connection = get_connection(
        parts["EMAIL_BACKEND"],
        host=parts.get("EMAIL_HOST"),
        port=parts.get("EMAIL_PORT") or 25,
        username=parts.get("EMAIL_HOST_USER") or "",
        password=parts.get("EMAIL_HOST_PASSWORD") or "",
        use_tls=parts.get("EMAIL_USE_TLS", False),
        use_ssl=parts.get("EMAIL_USE_SSL", False),
        timeout=SEND_SECONDS,
    )
    try:
        EmailMessage(delivery.title.replace("\n", " "), delivery.text, config.email_from, addresses, connection=connection).send()
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"No e-mail was sent: {type(error).__name__}") from error
    return f"Sent to {len(addresses)} address{'' if len(addresses) == 1 else 'es'}"

"""Forms and helpers that the tests of the pages below /admin/upstreams/ share."""

from django.contrib.messages import get_messages

from upstreams.models import Upstream, UpstreamCredential
from upstreams.secrets import store

SECRET = "sk-upstream-secret"


UPSTREAM = {
    "name": "provider",
    "dialect": "openai_chat",
    "base_url": "https://api.example.test/v1",
    "is_active": "on",
    "priority": "0",
    "extra_headers": "",
    "connect_timeout_seconds": "10",
    "first_byte_timeout_seconds": "300",
    "idle_timeout_seconds": "120",
    "max_retries": "0",
    "retry_base_delay_ms": "1000",
    "cooldown_seconds": "60",
    "quirks": "{}",
    "takes_images": "on",
    "takes_tools": "on",
    "takes_audio": "on",
}


def rows(prefix, *forms, initial=0):
    fields = {f"{prefix}-TOTAL_FORMS": str(len(forms)), f"{prefix}-INITIAL_FORMS": str(initial)}
    for index, form in enumerate(forms):
        fields |= {f"{prefix}-{index}-{name}": value for name, value in form.items()}
    return fields


def errors(response):
    problems = dict(response.context["adminform"].form.errors)
    for formset in response.context["inline_admin_formsets"]:
        for form in formset.formset.forms:
            problems |= form.errors
    return problems


def messages_of(response):
    """The messages of this response; those of earlier ones are stored for the next page."""
    return [str(message) for message in get_messages(response.wsgi_request)._queued_messages]


def add(name="u", base_url="http://127.0.0.1:1", **fields):
    upstream = Upstream.objects.create(name=name, base_url=base_url, **fields)
    credential = UpstreamCredential(upstream=upstream, name="main")
    store.set_secret(credential, SECRET)
    credential.save()
    return upstream


def import_path(row):
    return f"/admin/upstreams/upstream/{row.pk}/import-models/"

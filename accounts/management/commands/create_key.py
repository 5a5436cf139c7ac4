"""`manage.py create_key NAME`: make a key and print it, once."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from accounts import keys

LIMITS = ("rate_limit", "token_limit", "concurrency_limit")


class Command(BaseCommand):
    """Make a key for a client or for a script."""

    help = "Make a key and print it. It is printed once and stored as a hash only."

    def add_arguments(self, parser: CommandParser) -> None:
        """What the key may do."""
        parser.add_argument("name", help="who or what will use the key")
        parser.add_argument("--management", action="store_true", help="a pxm_ key for the management API instead of a pxb_ key")
        parser.add_argument("--read-only", action="store_true", help="with --management: may read but not write")
        parser.add_argument("--rate-limit", type=int, help="requests per minute")
        parser.add_argument("--token-limit", type=int, help="tokens per minute")
        parser.add_argument("--concurrency-limit", type=int, help="requests at once")
        parser.add_argument("--model", action="append", dest="models", help="a model that the key may use, * allowed; repeatable")
        parser.add_argument("--expires-at", help="from then on the key is refused, for example 2027-01-31T00:00:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and print it."""
        fields: dict[str, Any] = {"name": options["name"], "expires_at": _moment(options["expires_at"])}
        if options["management"]:
            fields["permissions"] = ["read"] if options["read_only"] else ["read", "write"]
        else:
            fields |= {limit: options[limit] for limit in LIMITS} | {"allowed_models": options["models"]}
        try:
            plaintext, _ = keys.issue("management" if options["management"] else "llm", **fields)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(plaintext)


def _moment(text: str | None) -> Any:
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"{text} is not a date and time such as 2027-01-31T00:00:00Z")
    return make_aware(moment) if is_naive(moment) else moment

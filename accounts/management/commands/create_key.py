"""`manage.py create_key NAME`: create a key and print it."""

from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from pydantic import ValidationError as PydanticError

from accounts import keys
from accounts.api.keys import NewKey, issue_client_key, issued_key
from accounts.common.api_envelope import ApiError
from accounts.common.commands import GatewayCommand
from accounts.common.key_kinds import KeyKind
from accounts.models import BudgetMode, Period

CLIENT_KEY_OPTIONS = {
    "--rate-limit": "rate_limit",
    "--tokens-per-minute": "tokens_per_minute",
    "--max-concurrency": "max_concurrency",
    "--token-limit": "token_limit",
    "--concurrency-limit": "concurrency_limit",
    "--budget-usd": "budget_usd",
    "--budget-period": "budget_period",
    "--budget-mode": "budget_mode",
    "--pool": "pools",
    "--model": "allowed_models",
    "--owner": "owner",
}
"""Options that apply only to client keys, and the fields that they set."""


class Command(GatewayCommand):
    """Create a client key or a management key."""

    help = "Create a key and print it. Only its hash is stored, so it cannot be printed again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", type=_name, help="who or what will use the key")
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument(
            "--type", choices=list(KeyKind), default=KeyKind.LLM, help="llm (default): a pxb_ key for clients; management: pxm_"
        )
        kind.add_argument("--management", action="store_const", dest="type", const=KeyKind.MANAGEMENT, help="the same as --type management")
        parser.add_argument("--read-only", action="store_true", help="with --type management: a key that can read but not write")
        parser.add_argument("--rate-limit", type=_limit, help="requests per minute")
        parser.add_argument("--tokens-per-minute", type=_limit, help="input and output together")
        parser.add_argument("--max-concurrency", type=_limit, help="concurrent requests")
        parser.add_argument("--token-limit", type=_limit, help="the older name of --tokens-per-minute")
        parser.add_argument("--concurrency-limit", type=_limit, help="the older name of --max-concurrency")
        parser.add_argument("--budget-usd", metavar="AMOUNT", help="the most that its requests may cost in a period, in USD")
        parser.add_argument("--budget-period", choices=list(Period.values), help="in UTC; default: total")
        parser.add_argument("--budget-mode", choices=list(BudgetMode.values), help="default: hard")
        parser.add_argument("--pool", action="append", dest="pools", metavar="POOL", help="a pool whose budgets the key shares; repeatable")
        parser.add_argument("--owner", type=_name, help="the user or team to whom the key belongs; created when it is first named")
        parser.add_argument(
            "--model",
            action="append",
            dest="allowed_models",
            metavar="MODEL",
            help="a model or pattern that the key may use; repeatable; default: all models",
        )
        parser.add_argument(
            "--expires-at", type=_future_moment, help="time from which on the key is refused, for example 2027-01-31T00:00:00Z"
        )
        self.add_json_option(parser, "the key with its id, as the management API returns it,")

    def handle(self, *args: Any, **options: Any) -> None:
        fields = {"name": options["name"], "expires_at": options["expires_at"]}
        kind = KeyKind(options["type"])
        if kind is KeyKind.MANAGEMENT:
            if unsuitable := [option for option, field in CLIENT_KEY_OPTIONS.items() if options[field] is not None]:
                raise CommandError(f"{', '.join(unsuitable)}: only for client keys, not for management keys")
            fields["permissions"] = ["read"] if options["read_only"] else ["read", "write"]
        elif options["read_only"]:
            raise CommandError("--read-only: only for management keys, with --type management")
        try:
            plaintext, row = keys.issue(kind, **fields) if kind is KeyKind.MANAGEMENT else self._client_key(options)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        if options["json"]:
            self.write_json({"type": kind, **issued_key(plaintext, row)})
        else:
            self.stdout.write(plaintext)

    def _client_key(self, options: dict[str, Any]) -> tuple[str, Any]:
        """A client key as the management API makes it, with the defaults for what is not stated."""
        stated = {field: options[field] for field in ("name", *CLIENT_KEY_OPTIONS.values()) if options[field] is not None}
        if options["expires_at"] is not None:
            stated["expires_at"] = options["expires_at"].isoformat()
        try:
            return issue_client_key(NewKey(**stated))
        except ApiError as error:
            raise CommandError(error.message) from error
        except PydanticError as error:
            raise CommandError("; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())) from error


def _name(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("must not be empty")
    return text.strip()


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentTypeError(f"must be a whole number, 1 or more, not {text!r}")
    return int(text)


def _future_moment(text: str) -> datetime:
    """A time in the future; without a zone it is UTC."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise ArgumentTypeError(f"must be a date and time such as 2027-01-31T00:00:00Z, not {text!r}")
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    if moment <= timezone.now():
        raise ArgumentTypeError(f"must be in the future, not {text!r}")
    return moment

"""`manage.py add_upstream NAME --base-url URL --api-key env:NAME`: create an upstream."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from pydantic import ValidationError

from accounts.common.api_envelope import ApiError
from accounts.common.commands import GatewayCommand
from proxy.translation.dialects.lookup import FORMATS
from upstreams.api.upstream_schema import NewUpstream
from upstreams.api.upstreams import upstreams
from upstreams.management import secret_argument
from upstreams.models import Upstream
from upstreams.presets import PRESETS

FIELDS = ("base_url", "format", "preset", "region", "access_key_id", "priority")
"""Options that are fields of the management API."""


class Command(GatewayCommand):
    """Creates an upstream, as `POST /api/v1/upstreams` does."""

    help = "Create an upstream. A preset fills in the fields that are not given; test_upstream tests it, discover_models lists its models."

    def add_arguments(self, parser: CommandParser) -> None:
        """The fields of the upstream that are needed most often; the others are set in the admin or by the management API."""
        parser.add_argument("name", metavar="NAME", help="its name, which must be new")
        parser.add_argument("--base-url", metavar="URL", help="for example https://api.openai.com/v1; not needed with most presets")
        secret_argument.add_api_key_options(parser)
        parser.add_argument("--format", choices=list(FORMATS), help="its API format; default: openai, or that of the preset")
        parser.add_argument("--preset", choices=list(PRESETS), metavar="PRESET", help=f"one of {', '.join(PRESETS)}")
        parser.add_argument("--region", help="AWS region (Bedrock only)")
        parser.add_argument("--access-key-id", metavar="ID", help="of AWS credentials; the api key is then the secret access key")
        parser.add_argument("--priority", type=int, metavar="N", help="a lower number is preferred; default: 0")
        self.add_json_option(parser, "the upstream, as the management API returns it,")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create it and print what it is. Raises CommandError for a name that is taken and for bad values."""
        fields = {name: options[name] for name in FIELDS if options[name] is not None}
        if not fields.keys() & {"base_url", "preset", "region"}:
            hint = f" or --preset {options['name']}" if options["name"] in PRESETS else " or --preset"
            raise CommandError(f"--base-url{hint} is required")
        template = PRESETS[options["preset"]].base_url if options["preset"] else ""
        if "{" in template and not fields.keys() & {"base_url", "region"}:
            raise CommandError(f"--base-url is required with this preset: {template}")
        if (secret := secret_argument.api_key_of(options)) is not None:
            fields["api_key"] = secret
        row = Upstream()
        try:
            upstreams.write(row, NewUpstream(name=options["name"], **fields))
        except ValidationError as error:
            messages = "; ".join(f"--{str(part['loc'][0]).replace('_', '-')}: {part['msg']}" for part in error.errors())
            raise CommandError(messages) from None
        except ApiError as error:
            raise CommandError(error.message) from None
        if options["json"]:
            self.write_json(upstreams.show(row))
            return
        self.stdout.write(f"upstream {row.name} was created: {row.base_url}")
        self.stdout.write(f"`manage.py test_upstream {row.name}` tests it")
        self.stdout.write(f"`manage.py discover_models {row.name} --import` imports its models")

"""The columns of the log follow from the structs of its entries."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from billing.column_models import model_field
from billing.columns import Column, Kind, PicoDollars, Timestamp, Uuid, column, columns_of
from billing.log_columns import ATTEMPT_COLUMNS, LOG_COLUMNS, LogColumns
from billing.models import RequestAttempt, RequestLog
from billing.request_log.entry import Meter

ROOT = Path(__file__).parents[3]


class State(StrEnum):
    ON = "on"
    OFF = "off"


def facts(name: str, kind: Kind, **fields: Any) -> Column:
    usual = {"nullable": False, "description": "", "max_length": None, "from_client": False, "api_names": (name,)}
    usual |= {"choices": (), "label": None, "default": msgspec.NODEFAULT}
    return Column(name=name, kind=kind, **{**usual, **fields})


def test_a_column_is_described_by_the_annotation_of_its_field():
    class Example(msgspec.Struct):
        id: Uuid
        owner: Annotated[Uuid | None, column("Whose it is.", api=("owner_id",))]
        at: Annotated[Timestamp, column("When.")]
        state: Annotated[State, column(max_length=3)]
        name: Annotated[str, column(max_length=9, from_client=True, api=())]
        size: int | None
        busy: bool
        notes: dict[str, Any] | None
        price: PicoDollars

    assert columns_of(Example) == (
        facts("id", Kind.UUID),
        facts("owner", Kind.UUID, nullable=True, description="Whose it is.", api_names=("owner_id",)),
        facts("at", Kind.TIMESTAMP, description="When."),
        facts("state", Kind.TEXT, max_length=3, choices=(("on", "on"), ("off", "off"))),
        facts("name", Kind.TEXT, max_length=9, from_client=True, api_names=()),
        facts("size", Kind.INTEGER, nullable=True),
        facts("busy", Kind.BOOLEAN),
        facts("notes", Kind.JSON, nullable=True),
        facts("price", Kind.MONEY),
    )


def test_a_model_field_has_what_the_annotation_of_its_column_says():
    class Example(msgspec.Struct):
        id: Uuid
        at: Timestamp
        state: Annotated[State, column(max_length=3, labels={"on": "On"}, required=True)] = State.ON
        name: Annotated[str, column(max_length=9, label="full name")] = ""
        notes: str = ""
        size: Annotated[int, column(required=True)] = 0
        count: int = 0
        busy: bool = False
        owner: Uuid | None = None
        price: PicoDollars | None = None
        extra: dict[str, Any] | None = None

    deconstructed = {}
    for example in columns_of(Example):
        _, path, arguments, options = model_field(example).deconstruct()
        assert arguments == []
        deconstructed[example.name] = (path, options)
    assert deconstructed == {
        "id": ("django.db.models.UUIDField", {"primary_key": True, "default": uuid.uuid4, "editable": False}),
        "at": ("django.db.models.DateTimeField", {}),
        "state": ("django.db.models.CharField", {"max_length": 3, "choices": [("on", "On"), ("off", "off")]}),
        "name": ("django.db.models.CharField", {"max_length": 9, "verbose_name": "full name", "blank": True}),
        "notes": ("django.db.models.TextField", {"blank": True}),
        "size": ("django.db.models.IntegerField", {}),
        "count": ("django.db.models.IntegerField", {"default": 0}),
        "busy": ("django.db.models.BooleanField", {"default": False}),
        "owner": ("django.db.models.UUIDField", {"null": True}),
        "price": ("billing.fields.MoneyField", {"null": True}),
        "extra": ("django.db.models.JSONField", {"null": True}),
    }


@pytest.mark.parametrize(
    ("model", "columns", "model_only"),
    [(RequestLog, LOG_COLUMNS, {"created_at"}), (RequestAttempt, ATTEMPT_COLUMNS, {"id", "log_id", "number"})],
    ids=["log", "attempt"],
)
def test_the_model_has_the_columns_of_the_struct(model, columns, model_only):
    assert {field.attname for field in model._meta.concrete_fields} == {column.name for column in columns} | model_only


def test_texts_from_clients_have_a_length():
    assert [column.name for column in LOG_COLUMNS if column.from_client and not column.max_length] == []


def test_a_meter_has_every_column():
    assert set(LogColumns.__struct_fields__) <= set(Meter.__struct_fields__)


SCRIPT = Path(__file__).with_name("wider_log.py")
APPS = ("accounts", "billing", "proxy", "pxbin_site", "upstreams", "templates", "manage.py")


@pytest.mark.slow
def test_a_field_of_the_struct_and_a_migration_are_all_that_a_new_log_column_needs(tmp_path):
    """A copy of the code, a line more in each struct, `makemigrations`: model, journal, writer, reader and API have the columns."""
    for name in APPS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    structs = tmp_path / "billing" / "log_columns.py"
    source = structs.read_text()
    for anchor, line in FURTHER_FIELDS.items():
        assert source.count(anchor) == 1
        source = source.replace(anchor, f"{line}\n{anchor}")
    structs.write_text(source)
    environment = {"PATH": os.environ["PATH"], "PXBIN_DATA_DIR": str(tmp_path), "PXBIN_ENV_FILE": "/dev/null"}

    def run(*arguments: str) -> str:
        process = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        return process.stdout

    run("manage.py", "makemigrations", "billing", "--name", "wider")
    run("manage.py", "migrate", "--verbosity", "0")
    shutil.copy(SCRIPT, tmp_path / SCRIPT.name)
    assert json.loads(run(SCRIPT.name)) == {
        "written": 1,
        "columns": ["eu", ["a", "b"]],
        "items": ["eu", ["a", "b"]],
        "openapi": {"description": "Where the request was answered.", "title": "Region", "type": "string"},
        "quarantined": False,
    }


FURTHER_FIELDS = {
    "    request_metadata: Annotated[": '    region: Annotated[str, column("Where the request was answered.", max_length=20)] = ""',
    "    route_id: Uuid | None = None": "    tags: list[str] | None = None",
}
"""Lines that are added to the structs, by the line that they precede."""

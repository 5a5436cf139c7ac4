"""Writes what a configuration file declares, in one transaction: all of it or nothing.

A dry run does the same and takes it back at the end, so that it finds every error that the import would find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from accounts.models import IssuedKey, Owner, Pool
from billing.models import Price
from pxbin_site.config_files import sections
from pxbin_site.config_files.configuration import Configuration, Row
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.config_files.report import Change, Report
from pxbin_site.config_files.secret_references import Secret
from pxbin_site.config_files.sections import SECTIONS, Section
from upstreams.models import UpstreamCredential
from upstreams.secrets import store, vault
from upstreams.validators import header_value

MASK = "********"
SECRET = "secret"  # noqa: S105  (the name of a field)
NAMED: dict[Any, str] = {Owner: "owners", Pool: "pools"}
"""The sections of rows that are made when another row first names them."""
Identity = tuple[Any, ...]


def apply(configuration: Configuration, *, prune: bool = False, dry_run: bool = False) -> Report:
    """Write the rows of ``configuration``. ``prune``: end rows of its sections that it does not list.

    Raises :class:`ConfigFileError` with every invalid row; then nothing was written.
    """
    with transaction.atomic():
        report = _Application(configuration).run(prune=prune)
        if dry_run:
            transaction.set_rollback(True)
    report.is_written = not dry_run
    return report


class _ConsequenceError(Exception):
    """A row refers to one that is invalid itself; only that one is reported."""


class _Application:
    """One import."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.report = Report(configuration=configuration)
        self._stored: dict[str, dict[Identity, list[models.Model]]] = {}
        self._labels: dict[type[models.Model], dict[str, models.Model | None]] = defaultdict(dict)
        self._listed: dict[str, set[Any]] = defaultdict(set)
        """Primary keys of the rows that the file has."""
        self._invalid: set[tuple[type[models.Model], str]] = set()
        """The tables and names of rows that cannot be written."""

    def run(self, *, prune: bool) -> Report:
        problems: list[str] = []
        for section in SECTIONS.values():
            self._load(section)
            for row in self.configuration.rows:
                if row.section == section.name:
                    problems += self._problems_of(section, row)
        if problems:
            raise ConfigFileError(*problems)
        if prune:
            for section in reversed(SECTIONS.values()):
                if section.name in self.configuration.sections:
                    self._prune(section)
        return self.report

    def _load(self, section: Section) -> None:
        stored: defaultdict[Identity, list[models.Model]] = defaultdict(list)
        for row in sections.rows_of(section.name):
            stored[self._identity(section, row)].append(row)
            self._name(row)
        self._stored[section.name] = stored

    def _identity(self, section: Section, row: models.Model) -> Identity:
        fields = sections.columns(section.name)
        return tuple(getattr(row, fields[name].attname) for name in section.identity)

    def _problems_of(self, section: Section, row: Row) -> list[str]:
        problems: list[str] = []
        try:
            self._write(section, row)
        except _ConsequenceError:
            return []
        except ValidationError as error:
            problems = [f"{row.place}: {message}" for message in _messages(section, error)]
        except IntegrityError:
            problems = [f"{row.place}: this {section.noun} exists already"]
        if problems:
            prefix, name = row.values.get("path_prefix"), str(row.values.get("name"))
            self._invalid.add((section.table, f"{prefix}/{name}" if prefix else name))
        return problems

    def _write(self, section: Section, declared: Row) -> None:
        candidate, values = self._candidate(section, declared)
        identity = self._identity(section, candidate)
        stored = self._stored[section.name][identity]
        row = next((row for row in stored if row.pk not in self._listed[section.name]), None)
        if section.table is Price and row is None:
            row = next(iter(stored), None)
        secret = declared.values.get(SECRET)
        if isinstance(secret, Secret) and not secret.text and row is None:
            self.report.warnings.append(f"{declared.place}: {secret.reference or 'the secret'} is empty, so the credential is not made")
            return
        row = self._create(section, candidate, declared) if row is None else self._update(section, row, values, declared)
        self._listed[section.name].add(row.pk)
        self._name(row)

    def _name(self, row: models.Model) -> None:
        """Note how other rows of the file may refer to a row: keys by their hashes, or by names that only one has."""
        names = self._labels[type(row)]
        names[sections.reference(row)] = row
        if isinstance(row, IssuedKey) and row.name:
            is_used = row.name in names and names[row.name] != row
            names[row.name] = None if is_used else row

    def _candidate(self, section: Section, declared: Row) -> tuple[models.Model, dict[str, Any]]:
        """The row as it would be new, and its declared columns as the table would store them: without blanks, for example."""
        values = self._column_values(section, declared)
        candidate = section.table(**values)
        fields = section.table._meta.concrete_fields  # noqa: SLF001  (documented)
        candidate.clean_fields(exclude={field.name for field in fields if field.attname not in values or field.is_relation})
        return candidate, {name: getattr(candidate, name) for name in values}

    def _column_values(self, section: Section, declared: Row) -> dict[str, Any]:
        """The declared columns, by their attributes of a row; those of a complete file with the defaults of the others."""
        fields = sections.columns(section.name)
        values: dict[str, Any] = {}
        for name, field in fields.items():
            if name in declared.values:
                values[field.attname] = self._value(field, name, declared.values[name])
            elif self.configuration.is_complete and not sections.has_own_default(field) and name not in section.unlisted:
                values[field.attname] = None if field.is_relation else sections.default(field)
        if section.table is Price:
            values.setdefault("source", Price.Source.MANUAL)
        return values

    def _value(self, field: models.Field[Any, Any], name: str, value: Any) -> Any:
        if not field.is_relation:
            try:
                return sections.column_value(field, value)
            except ValidationError as error:
                raise ValidationError({name: error}) from None
        if value is None:
            return None
        return self._referred(field.related_model, name, value).pk

    def _referred(self, table: Any, name: str, value: Any) -> models.Model:
        """The row that a value refers to. Owners and pools are made when a row first names them."""
        if table in NAMED:
            named: models.Model = table.named(str(value))
            self._listed[NAMED[table]].add(named.pk)
            return named
        row = self._labels[table].get(str(value))
        if row is None and (table, str(value)) in self._invalid:
            raise _ConsequenceError
        if row is None:
            raise ValidationError({name: f"there is no {name} {value}"})
        return row

    def _many(self, section: Section, declared: Row) -> dict[str, list[Any]]:
        """The rows of each declared field that has several; of a complete file also of the others, as none."""
        many: dict[str, list[Any]] = {}
        for name, field in sections.many_columns(section.name).items():
            values = declared.values.get(name, [] if self.configuration.is_complete else None)
            if values is None:
                continue
            if not isinstance(values, list):
                raise ValidationError({name: "Enter a list of names."})
            many[name] = [self._referred(field.related_model, name, value) for value in values]
        return many

    def _create(self, section: Section, row: models.Model, declared: Row) -> models.Model:
        _set_secret(row, declared)
        own_id = declared.values.get("id")
        if own_id is not None and not section.table._default_manager.filter(pk=own_id).exists():  # noqa: SLF001  (documented)
            row.pk = own_id
        _save(row)
        fields = sections.columns(section.name)
        file_values = {name: sections.file_value(fields[name], row) for name in declared.values if name in fields}
        file_values |= {name: after for name, (_, after) in self._set_many(section, row, declared).items()}
        shown = {name: (None, value) for name, value in file_values.items() if value not in (None, {}, [])}
        self._note("create", section, row, _masked(shown, declared), declared.place)
        return row

    def _update(self, section: Section, row: models.Model, values: dict[str, Any], declared: Row) -> models.Model:
        differing = {
            name: field
            for name, field in sections.columns(section.name).items()
            if field.attname in values and getattr(row, field.attname) != values[field.attname]
        }
        has_new_secret = _differs_in_secret(row, declared)
        many = self._set_many(section, row, declared)
        if (not differing and not has_new_secret and not many) or (section.table is Price and _is_same_price(row, values, differing)):
            return row
        before = {name: sections.file_value(field, row) for name, field in differing.items()}
        if section.table is Price:
            self._listed[section.name].add(row.pk)
            row = _replaced_price(row, values)
        for field in differing.values():
            setattr(row, field.attname, values[field.attname])
        if has_new_secret:
            _set_secret(row, declared)
        _save(row)
        after = {name: (before[name], sections.file_value(field, row)) for name, field in differing.items()} | many
        self._note("update", section, row, _masked(after, declared if has_new_secret else None), declared.place)
        return row

    def _set_many(self, section: Section, row: models.Model, declared: Row) -> dict[str, tuple[Any, Any]]:
        """Set the fields with several rows; returns those that differed, before and after."""
        changed = {}
        for name, others in self._many(section, declared).items():
            manager = getattr(row, name)
            before, after = (sorted(sections.reference(other) for other in rows) for rows in (manager.all(), others))
            if before != after:
                manager.set(others)
                changed[name] = (before, after)
        return changed

    def _note(self, action: Any, section: Section, row: models.Model, fields: dict[str, Any], place: str = "") -> None:
        self.report.changes.append(Change(action=action, kind=section.noun, name=sections.label(row), fields=fields, place=place))

    def _prune(self, section: Section) -> None:
        for row in self._unlisted(section):
            if section.ending == "revoke":
                if not row.is_active:
                    continue
                row.is_active = False
                row.save()
            elif section.ending == "retire":
                type(row).objects.filter(pk=row.pk).update(is_active=False, valid_until=timezone.now())
            else:
                name = sections.label(row)
                row.delete()
                self.report.changes.append(Change(action="delete", kind=section.noun, name=name))
                continue
            self._note("delete", section, row, {})

    def _unlisted(self, section: Section) -> Iterable[Any]:
        return [
            row for rows in self._stored[section.name].values() for row in rows if row.pk not in self._listed[section.name] and _exists(row)
        ]


def _exists(row: models.Model) -> bool:
    return type(row)._default_manager.filter(pk=row.pk).exists()  # noqa: SLF001  (documented)


def _save(row: models.Model) -> None:
    row.full_clean()
    with transaction.atomic():
        row.save()


def _is_same_price(row: Any, values: dict[str, Any], differing: Iterable[str]) -> bool:
    """Whether a price differs only in a beginning that has passed in both."""
    return list(differing) == ["valid_from"] and max(row.valid_from, values["valid_from"]) <= timezone.now()


def _replaced_price(row: Any, values: dict[str, Any]) -> Price:
    """A new price for the one that is in force: log rows refer to the old row, which therefore stays."""
    now = timezone.now()
    begin = values.get("valid_from") or now
    Price.objects.filter(pk=row.pk).update(is_active=False, valid_until=begin if begin > row.valid_from else None)
    fields = {field.attname: getattr(row, field.attname) for field in sections.columns("prices").values()}
    return Price(**fields | {"valid_from": begin})


def _differs_in_secret(row: models.Model, declared: Row) -> bool:
    secret = declared.values.get(SECRET)
    if not isinstance(row, UpstreamCredential) or not isinstance(secret, Secret) or not secret.text:
        return False
    try:
        is_other = not row.secret_encrypted or store.decrypt(row.secret_encrypted) != secret.text
        return is_other or row.secret_reference != secret.reference
    except vault.VaultError:
        return True


def _set_secret(row: models.Model, declared: Row) -> None:
    secret = declared.values.get(SECRET)
    if isinstance(row, UpstreamCredential) and isinstance(secret, Secret) and secret.text:
        for line in secret.text.splitlines():  # the second one is a session token
            header_value(line)
        store.set_secret(row, secret.text, reference=secret.reference)


def _masked(fields: dict[str, tuple[Any, Any]], declared: Row | None) -> dict[str, tuple[Any, Any]]:
    """The fields of a change; hashes are shortened, and a secret shows only that it is set."""
    shown = {
        name: tuple(f"{value[:8]}…" if name == "key_hash" and value else value for value in pair)
        for name, pair in fields.items()
    }  # fmt: skip
    if declared is not None and isinstance(declared.values.get(SECRET), Secret):
        shown[SECRET] = (None, MASK)
    return shown  # type: ignore[return-value]


def _messages(section: Section, error: ValidationError) -> list[str]:
    if not hasattr(error, "error_dict"):
        return error.messages
    names = {field.name: name for name, field in sections.columns(section.name).items()}
    return [
        message if field == NON_FIELD_ERRORS else f"{names.get(field, field)}: {message}"
        for field, messages in error.message_dict.items()
        for message in messages
    ]

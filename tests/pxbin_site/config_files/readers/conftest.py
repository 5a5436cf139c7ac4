"""What a reader makes of a file, as plain values."""

import json

import pytest
import yaml

from pxbin_site.config_files import importing
from pxbin_site.config_files.configuration import Options
from pxbin_site.config_files.documents import ConfigFileError, parse
from pxbin_site.config_files.secret_references import Secret


class Read:
    """The configuration of a file by section; credentials with their secrets as texts."""

    def __init__(self, configuration):
        self.configuration = configuration
        self.warnings = configuration.warnings
        self.not_taken = configuration.not_taken

    def __getitem__(self, section):
        rows = [row.values for row in self.configuration.rows if row.section == section]
        return [{name: value.text if isinstance(value, Secret) else value for name, value in row.items()} for row in rows]

    def pick(self, section, *names):
        return [tuple(row.get(name) for name in names) for row in self[section]]


@pytest.fixture
def read():
    def read_content(content, name="config.json", format_name="auto", **options):
        text = yaml.safe_dump(content, sort_keys=False) if name.endswith(".yaml") else json.dumps(content, indent=1)
        document = parse(content if isinstance(content, str) else text, name)
        return Read(importing.read_document(document, Options(**options), format_name=format_name))

    return read_content


@pytest.fixture
def problems(read):
    def read_problems(*args, **options):
        with pytest.raises(ConfigFileError) as refused:
            read(*args, **options)
        return refused.value.problems

    return read_problems

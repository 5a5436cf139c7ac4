"""docs/translation.md says what the code does."""

from tests.support.feature_table import FEATURES, FILE, LETTERS, cell, table


def test_the_document_is_what_the_code_does():
    assert FILE.read_text() == table(), "run python -m tests.support.feature_table"


def test_within_one_dialect_everything_is_carried():
    found = {cell(feature, dialect, dialect) for feature in FEATURES for dialect in LETTERS}
    assert found == {"carried", "-"}


def test_every_feature_has_words_in_some_dialect():
    assert [feature.title for feature in FEATURES if all(cell(feature, dialect, dialect) == "-" for dialect in LETTERS)] == []

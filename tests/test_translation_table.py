"""The table in docs/translation.md is the one that the code produces."""

from tests.support.feature_table import FEATURES, FILE, LETTERS, cell, table


def test_the_feature_table_in_the_docs_is_current():
    assert FILE.read_text() == table(), "run python -m tests.support.feature_table"


def test_within_one_dialect_everything_is_carried():
    cells = {cell(feature, dialect, dialect) for feature in FEATURES for dialect in LETTERS}
    assert cells == {"carried", "-"}


def test_some_dialect_can_express_every_feature():
    assert [feature.title for feature in FEATURES if all(cell(feature, dialect, dialect) == "-" for dialect in LETTERS)] == []

"""The table in docs/translation.md is the one that the code produces."""

import pytest

from tests.support import sdk_matrix
from tests.support.feature_table import FEATURES, FILE, LETTERS, cell, document

SDK_CLIENTS = [client.dialect for client in sdk_matrix.CLIENTS]


@pytest.mark.slow
def test_the_document_is_what_the_code_does_with_the_installed_types():
    assert FILE.read_text() == document(), "decide about the new fields, then run make translation-table"


@pytest.mark.slow
@pytest.mark.parametrize("dialect", SDK_CLIENTS)
def test_no_element_is_lost_without_a_trace(dialect):
    verdicts_by_name = sdk_matrix.judged_once(dialect)
    lost = {
        (name, target, verdict)
        for name, verdicts in verdicts_by_name.items()
        for target, kinds in verdicts.items()
        for verdict in kinds - sdk_matrix.VERDICTS
    }
    assert lost == set()


@pytest.mark.slow
@pytest.mark.parametrize("dialect", SDK_CLIENTS)
def test_no_element_of_a_body_that_is_encoded_anew_is_lost_without_a_trace(dialect):
    assert sdk_matrix.lost_within(dialect) == set()


def test_within_one_dialect_everything_is_carried():
    cells = {cell(feature, dialect, dialect) for feature in FEATURES for dialect in LETTERS}
    assert cells == {"carried", "-"}


def test_some_dialect_can_express_every_feature():
    assert [feature.title for feature in FEATURES if all(cell(feature, dialect, dialect) == "-" for dialect in LETTERS)] == []

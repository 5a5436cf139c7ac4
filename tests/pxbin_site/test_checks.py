"""Warnings about settings."""

import pytest

from pxbin_site.checks import check_settings
from tests.support.settings import with_config


@pytest.mark.parametrize(("secret", "ids"), [("", []), ("x" * 15, ["pxbin.W005"]), ("x" * 16, [])])
def test_a_bootstrap_key_that_can_be_guessed_is_reported(secret, ids):
    with with_config(management_bootstrap_key=secret):
        warnings = check_settings()
    assert [warning.id for warning in warnings if warning.id == "pxbin.W005"] == ids
    assert not any("xxx" in str(warning) for warning in warnings)

"""Money is exact in every database."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db.models import F, Max, Min, Sum
from hypothesis import given
from hypothesis import strategies as st

from billing.fields import MoneyField
from billing.models import Price, RequestLog
from billing.money import from_pico, to_pico
from billing.request_log import writer
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries


@pytest.mark.parametrize(
    ("amount", "pico"),
    [
        ("0", 0),
        ("1", 10**12),
        ("0.1", 10**11),
        ("0.000000000001", 1),
        ("0.0000000000005", 0),
        ("0.0000000000015", 2),
        ("0.0000000000025", 2),
        ("0.00000000000250000000000000000000001", 3),
        ("9223372.036854775807", 2**63 - 1),
    ],
)
def test_an_amount_rounds_once_half_to_even(amount, pico):
    assert to_pico(Decimal(amount)) == pico


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_amounts_survive_the_conversion(pico):
    assert to_pico(from_pico(pico)) == pico


@pytest.mark.parametrize(("pico", "text"), [(0, "0"), (10**13, "10"), (5 * 10**11, "0.5"), (123, "1.23E-10"), (12 * 10**15, "12000")])
def test_an_amount_has_no_trailing_zeros(pico, text):
    assert str(from_pico(pico)) == text


def test_sums_of_a_thousand_rows_are_exact(database, spool):
    write_entries(spool, *(entry(cost=10**11) for _ in range(1000)), entry(cost=None), entry(cost=1))
    writer.drain_spool(spool)
    totals = RequestLog.objects.aggregate(sum=Sum("cost"), least=Min("cost"), most=Max("cost"))
    assert totals == {"sum": Decimal("100.000000000001"), "least": Decimal("1E-12"), "most": Decimal("0.1")}
    assert RequestLog.objects.filter(cost__gt=Decimal("0.05")).count() == 1000
    assert RequestLog.objects.filter(cost=Decimal("0.000000000001")).count() == 1
    assert RequestLog.objects.filter(cost__isnull=True).count() == 1
    assert [type(row["total"]) for row in RequestLog.objects.values("model").annotate(total=Sum("cost"))] == [Decimal]


def test_a_price_is_stored_exactly(database):
    price = Price.objects.create(name="m", input=Decimal("0.0725"), output="0.1", cache_read=0)
    price.refresh_from_db()
    assert (price.input, price.output, price.cache_read, price.cache_write_5m) == (Decimal("0.0725"), Decimal("0.1"), Decimal(0), None)
    assert Price.objects.filter(input=Decimal("0.0725"), output__lt=F("input")).count() == 0


@pytest.mark.parametrize("nonsense", ["x", "nan", "inf", float("inf"), [1]])
def test_a_value_that_is_not_an_amount_is_refused(nonsense):
    with pytest.raises(ValidationError, match="is not an amount of money"):
        MoneyField().to_python(nonsense)

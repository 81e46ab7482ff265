"""Numbers as the report writes them."""

import pytest

from nasjax.own_model import summary


@pytest.mark.parametrize(
    ("value", "text"), [(12345.0, "12,345"), (0.123456, "0.1235"), (-2.0, "-2"), (1234.5, "1234"), (3e-7, "0.0000003")]
)
def test_numbers(value, text):
    assert summary._number(value) == text

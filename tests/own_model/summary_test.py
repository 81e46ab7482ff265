"""Numbers as the report writes them."""

import jax
import pytest

from nasjax.own_model import summary


@pytest.mark.parametrize(
    ("value", "text"), [(12345.0, "12,345"), (0.123456, "0.1235"), (-2.0, "-2"), (1234.5, "1234"), (3e-7, "0.0000003")]
)
def test_numbers(value, text):
    assert summary._number(value) == text


def test_keys_are_told_as_one_writes_them():
    assert summary.key_text(None) == "jax.random.key(0)" and summary.key_text(jax.random.key(5)) == "jax.random.key(5)"
    folded = jax.random.fold_in(jax.random.key(5), 1)
    text = summary.key_text(folded)
    made = eval(text)  # what it says gives the same numbers
    assert text.startswith("jax.random.wrap_key_data(")
    assert jax.random.bits(made) == jax.random.bits(folded)
    assert summary.key_text(jax.random.PRNGKey(3)) == "array [0, 3]"

"""Texts that nobody meant: valid ones with slips, and nonsense."""

from hypothesis import strategies as st

ODD = "\u00b2\u0661\uff11\u2212\u00e9\u65e5\U0001f600\u200b\x00\n\t\\'\"{}[]()|~+:;,=#%-._ 0123456789eEnN"
NONSENSE = st.one_of(
    st.text(max_size=60),
    st.text(ODD, max_size=60),
    st.sampled_from(["", " ", "[]", "{}", "()", "null", "NaN", "-1", "1e400", "9" * 400, "[" * 3000, "(" * 3000, "\x00",
                     "{" * 50, "None", "true", "'", "[[[]]]", '{"a": 1}', "lambda: 1", "1" * 5000, "-" * 2000]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=3),
                            st.tuples(inner, inner)),
    max_leaves=12,
)  # fmt: skip


@st.composite
def slips(draw, texts, *, most=3):
    """A text with characters deleted, inserted, doubled, swapped, or a part of it twice, nested or cut."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, most))):
        if not text:
            break
        at = draw(st.integers(0, len(text) - 1))
        to = draw(st.integers(at, min(len(text), at + 12)))
        kind = draw(st.integers(0, 8))
        if kind == 0:
            text = text[:at] + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + draw(st.sampled_from(ODD)) + text[at:]
        elif kind == 2:
            text = text[:at] + draw(st.sampled_from(ODD)) + text[at + 1 :]
        elif kind == 3:
            text = text[: at + 1] + text[at:]
        elif kind == 4:
            text = text[:at] + text[at + 1 : at + 2] + text[at] + text[at + 2 :]
        elif kind == 5:
            text = text[:to] + text[at:]
        elif kind == 6:
            text = text[:at] + text[to:]
        elif kind == 7:
            text = draw(st.sampled_from(["[%s]", "(%s)", '"%s"', "{%s}", " %s ", "%s;%s"])).replace("%s", text)
        else:
            text = text[:at]
    return text

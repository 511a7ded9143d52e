"""Lesson 17: cleaning rules do what they say, count it, and are done after once."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt_lib.cleaning import (
    CLEANING_RULES,
    DEFAULT_RULES,
    clean_text,
    substitution,
)
from gpt_lib.data import load_text

EXAMPLES = {  # rule -> (before, after, number of changes)
    "line-ends": ("a\r\nb\rc\x0cd\u2028e\n", "a\nb\nc\nd\ne\n", 4),
    "unicode": ("cafe\u0301 é A\u030a", "café é Å", 2),
    "controls": ("\ufeffa\x00b\u200bc\u202ed\te\n", "abcd\te\n", 4),
    "websites": (
        "see https://a.org/b?c=1, (www.b.de), wWw.d.e or HTTP://C.COM. Not wwwx, http.",
        "see (website), ((website)), (website) or (website). Not wwwx, http.",
        4,
    ),
    "e-mails": (
        "a.b+c@d-e.co.uk, x@y and @name or me@home.",
        "(e-mail), x@y and @name or me@home.",
        1,
    ),
    "phones": (
        "030 1234 567, +49 30 1234567, (030) 123-4567; 1200 steps, 3.50, 2024-05-01,"
        " 1990 2000 2010, 10 000 000, 05 05 2024, score 03 12 15",
        "(phone), (phone), (phone); 1200 steps, 3.50, 2024-05-01,"
        " 1990 2000 2010, 10 000 000, 05 05 2024, score 03 12 15",
        3,
    ),
    "dates": (
        "1.5.2024\nRain\n# 2 May 2024:\n2024-05-03\n",
        "2024-05-01\nRain\n2024-05-02\n2024-05-03\n",
        2,
    ),
    "quotes": ('a\n"\n  ”\nb "c"\n\'', 'a\nb "c"\n', 3),
    "spaces": ("a  \n\t\nb \u3000", "a\n\nb \u3000", 2),
    "blank-lines": ("a\n\n\n\nb\n\nc", "a\n\nb\n\nc", 1),
    "lower-case": ("ÀB ΟΔΟΣ ǅ ﬁ İ", "ÀB ΟΔΟΣ ǅ ﬁ İ".lower(), 8),
}


@pytest.mark.parametrize("rule", CLEANING_RULES)
def test_a_rule_does_what_it_says_and_counts(rule):
    before, after, count = EXAMPLES[rule]
    assert clean_text(before, [rule]) == (after, {rule: count})


# What rules look for, in pieces that make new things to find when they are joined.
PIECES = st.sampled_from(
    [
        "http://", "www.", "a.b", "@", "c.de", "+49", "030", " ", "-", "123", "4567",
        "\n", "\r", "\t", '"', "“", "1.5.2024", "2 May 2024", "e", "\u0301", "\ufeff",
        "\u200b", "\x00", "\x0c", "É", "שלום", "🙂", "(", ")", ".", ",", "İ", "\u2028",
        " " * 70,
    ]
)  # fmt: skip
MESSY_TEXTS = st.one_of(
    st.lists(PIECES, max_size=25).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
)


@settings(deadline=None, max_examples=1000)
@given(MESSY_TEXTS)
def test_a_clean_text_stays_as_it_is(text):
    for rules in (DEFAULT_RULES, tuple(CLEANING_RULES)):
        cleaned, _ = clean_text(text, rules)
        again, changes = clean_text(cleaned, rules)
        assert again == cleaned
        assert not any(count for name, count in changes.items() if name != "lower-case")


@settings(deadline=None)
@given(MESSY_TEXTS)
def test_lower_case_is_pythons_and_unicode_is_nfc(text):
    assert clean_text(text, ["lower-case"])[0] == text.lower()
    assert clean_text(text, ["unicode"])[0] == unicodedata.normalize("NFC", text)


def test_rules_are_applied_in_their_own_order():
    text = "a \n \n\n\nB"
    names = ["lower-case", "blank-lines", "spaces"]
    assert clean_text(text, names)[0] == "a\n\nb"
    assert list(clean_text(text, names)[1]) == ["lower-case", "spaces", "blank-lines"]
    assert clean_text(text, []) == (text, {})


def test_many_spaces_within_a_line_take_no_time():
    text = "a" + " " * 400_000 + "x"
    start = time.process_time()
    assert clean_text(text, ["spaces"])[0] == text
    assert time.process_time() - start < 5  # 40 s, when each space was tried anew


def test_a_rule_that_would_never_end_is_refused():
    with pytest.raises(ValueError, match="'!' finds '!!': it would never end"):
        substitution("shouts more", "!", "!!")


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="no cleaning rule 'x': there are line-ends"):
        clean_text("a", ["spaces", "x"])


def test_a_real_text_keeps_its_words():
    text = load_text("sotu")
    cleaned, changes = clean_text(text)
    assert changes["phones"] < 20
    assert changes["websites"] + changes["e-mails"] < 60
    assert len(cleaned) > 0.99 * len(text)

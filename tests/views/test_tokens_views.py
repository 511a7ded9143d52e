"""Tokens as boxes: merges to undo, and one text in columns."""

import pytest

from gpt_lib import views
from gpt_lib.views.tokens.merge_explorer_data import (
    MAX_SHOWN_BYTES,
    apply_merges,
    merge_explorer_data,
)
from gpt_lib.views.tokens.token_columns_data import disputed_cuts, token_columns_data
from tests.views.page_data import bundle

LABELS = ["a", "b", " ", "ab", "abab"]
MERGES = [[0, 1], [3, 3]]


def cut(text):
    if "c" in text:
        raise ValueError("there is a c")
    return [[LABELS.index(letter) for letter in word] for word in text.split()]


def explorer(text="ab abab"):
    return views.merge_explorer(cut, MERGES, LABELS, text, "Merges")


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, [0, 1, 0, 1, 0]), (1, [3, 3, 0]), (2, [4, 0])],
)
def test_merges_are_applied_in_their_order(count, expected):
    assert apply_merges([0, 1, 0, 1, 0], MERGES[:count], 3) == expected


def test_the_lowest_rank_is_merged_before_the_leftmost():
    assert apply_merges([0, 1, 2], [[1, 2], [0, 1]], 3) == [0, 3]


def test_the_fallback_says_how_many_tokens_each_number_of_merges_leaves():
    description = bundle(explorer())["text/plain"]
    assert description == (
        "Merges. The same text has after 0 merges 6 tokens, after 0 merges 6 tokens,"
        " after 1 merge 3 tokens, after 2 merges 2 tokens."
    )


def test_typing_another_text_sends_its_chunks():
    page = explorer().widget
    assert page.chunks == [[0, 1], [0, 1, 0, 1]]
    page.text = "b ab"
    assert page.chunks == [[1], [0, 1]]
    page.text = "b <c>"
    assert page.status == "there is a c"
    assert page.chunks == [[1], [0, 1]]  # what could be cut stays
    page.text = "b"
    assert (page.status, page.chunks) == ("", [[1]])


def test_a_long_text_is_shown_in_part():
    chunks = [[0] * 1000] * 10
    data = merge_explorer_data(chunks, MERGES, LABELS)
    assert sum(map(len, data["chunks"])) == MAX_SHOWN_BYTES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["a", "b"]}, "2 labels are too few for 2 merges"),
        ({"merges": [[0, 1], [0, 4]]}, r"merge 1 is \[0, 4\]; it must be two earlier"),
        ({"merges": [[0, 1], [0]]}, r"merge 1 is \[0\]; it must be two earlier ids"),
        (
            {"chunks": [[0, 3]]},
            "a text has id 3; before any merge they are from 0 to 2",
        ),
    ],
)
def test_what_cannot_be_merged_is_named(change, message):
    state = {"chunks": [[0]], "merges": MERGES, "labels": LABELS, **change}
    with pytest.raises(ValueError, match=message):
        merge_explorer_data(**state)


def test_a_count_of_merges_that_there_are_not_is_named():
    with pytest.raises(ValueError, match="count=3 must be from 0 to 2"):
        views.merge_explorer(cut, MERGES, LABELS, "ab", "Merges", count=3)


TOKENIZERS = {
    "letters": lambda text: [letter.encode() for letter in text],
    "halves": lambda text: [text[:2].encode(), text[2:].encode()],
    "whole": lambda text: [text.encode()],
}


def test_a_cut_that_another_does_not_make_is_disputed():
    columns = [[b"a", b"b", b"c"], [b"ab", b"c"], [b"a", b"bc"]]
    assert disputed_cuts(columns, 3) == [
        [False, False, False],  # it cuts everywhere
        [True, False],
        [True, False],
    ]
    assert disputed_cuts([[b"ab", b"c"], [b"ab", b"c"]], 3) == [[False, False]] * 2


def test_columns_say_how_many_tokens_and_how_long_they_are():
    data = token_columns_data(TOKENIZERS, "né x")
    assert data["headings"] == [
        "letters: 4 tokens, 1.2 bytes each",
        "halves: 2 tokens, 2.5 bytes each",
        "whole: 1 token, 5.0 bytes each",
    ]
    assert data["columns"][1] == ["né", "␣x"]


def test_half_a_character_is_shown_as_its_bytes():
    halves = {"bytes": lambda text: [bytes([byte]) for byte in text.encode()]}
    assert token_columns_data(halves, "é")["columns"] == [["\\xc3", "\\xa9"]]


def test_tokens_that_are_not_the_text_are_refused():
    with pytest.raises(ValueError, match="the tokens of 'lossy' are not the text"):
        token_columns_data({"lossy": lambda text: [b"x"]}, "ab")
    with pytest.raises(ValueError, match="needs at least one tokenizer"):
        token_columns_data({}, "ab")


def test_columns_follow_the_typed_text_and_say_what_cannot_be_cut():
    view = views.token_columns({"words": lambda text: only_letters(text)}, "ab", "Cut")
    page = view.widget
    page.text = "abc"
    assert page.columns == [["a", "b", "c"]]
    page.text = "a1"
    assert page.status == "'1' is no letter"
    assert page.columns == [["a", "b", "c"]]
    assert bundle(view)["text/plain"] == "Cut. words: 2 tokens, 1.0 bytes each."


def only_letters(text):
    for letter in text:
        if not letter.isalpha():
            raise ValueError(f"{letter!r} is no letter")
    return [letter.encode() for letter in text]

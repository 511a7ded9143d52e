"""A diff of a text that named rules change: what is in it, and what can be seen."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_lib import views
from gpt_lib.views.tokens.diff_explorer import STILL_ROWS
from gpt_lib.views.tokens.diff_explorer_data import (
    ADDED,
    FOLDED,
    MARKED,
    MAX_CHARACTERS,
    MAX_PIECE,
    MAX_PIECES,
    MAX_ROWS,
    NOTE,
    PLAIN,
    REMOVED,
    SAME,
    compare_lines,
    compare_words,
    diff_explorer_data,
    diff_rows,
    find_anchors,
    match_parts,
    visible_change,
    visible_line,
)
from tests.views.page_data import bundle

RULES = {
    "line-ends": "every line ends with a new line",
    "spaces": "no spaces at the end of a line",
    "names": "<b>Ann</b> & others become (name)",
}
PATTERNS = {
    "line-ends": (r"\r\n?", "\n"),
    "spaces": (r" +$", ""),
    "names": ("Ann", "(name)"),
}


def change(text, names):
    if "@" in text:
        raise ValueError("there is an @ <here>")
    counts = {}
    for name in names:
        pattern, new = PATTERNS[name]
        text, counts[name] = re.subn(pattern, new, text, flags=re.MULTILINE)
    return text, counts


def explorer(text="Ann \r\nBob\r\n", switched_on=("line-ends", "spaces")):
    return views.diff_explorer(text, change, RULES, switched_on, "Two lines")


def diff(before, after):
    """The rows as text; what is marked is in braces, a note in brackets."""
    frames = {PLAIN: "{}", MARKED: "{{{}}}", NOTE: "[{}]"}
    return [
        row.sign + "".join(frames[kind].format(text) for kind, text in row.pieces)
        for row in diff_rows(before, after)
    ]


def test_each_rule_that_is_on_has_a_number_of_changes():
    data = diff_explorer_data("Ann \r\nBob\r\n", change, RULES, ["spaces", "line-ends"])
    assert data["counts"] == ["2 changes", "1 change", ""]
    assert data["summary"] == (
        "2 of 3 rules are on, 3 changes: line-ends 2, spaces 1."
        " The text has 8 characters; before it had 11."
    )
    assert data["rows"] == [
        {"sign": REMOVED, "pieces": [[PLAIN, "Ann"], [MARKED, "␣⟨\\r⟩"]]},
        {"sign": ADDED, "pieces": [[PLAIN, "Ann"]]},
        {"sign": REMOVED, "pieces": [[PLAIN, "Bob"], [MARKED, "⟨\\r⟩"]]},
        {"sign": ADDED, "pieces": [[PLAIN, "Bob"]]},
    ]


@pytest.mark.parametrize(
    ("switched_on", "summary"),
    [
        ([], "None of 3 rules is on. The text stays as it is."),
        (["spaces"], "1 of 3 rules is on, 0 changes. The text stays as it is."),
        (
            ["names"],
            "1 of 3 rules is on, 1 change: names 1. The text has 6 characters;"
            " before it had 3.",
        ),
    ],
)
def test_the_summary_says_what_became_of_the_text(switched_on, summary):
    data = diff_explorer_data("Ann", change, RULES, switched_on)
    assert data["summary"] == summary


def test_a_rule_without_a_number_changed_nothing():
    data = diff_explorer_data("a", lambda text, _: (text, {}), RULES, ["spaces"])
    assert data["counts"] == ["", "0 changes", ""]


def test_what_cannot_be_explored_is_named():
    with pytest.raises(
        ValueError, match=r"'dots'; the rules are .'line-ends', 'spaces'"
    ):
        explorer(switched_on=["dots"])
    with pytest.raises(ValueError, match="needs at least one rule"):
        views.diff_explorer("a", change, {}, [])


# The lines


def test_lines_as_before_are_folded_around_a_change():
    lines = [f"line {number}\n" for number in range(20)]
    changed = [*lines]
    changed[9] = "Line 9\n"
    assert diff("".join(lines), "".join(changed)) == [
        " line 0",
        " line 1",
        "…[5 lines as before]",
        " line 7",
        " line 8",
        "−{l}ine 9",
        "+{L}ine 9",
        " line 10",
        " line 11",
        "…[6 lines as before]",
        " line 18",
        " line 19",
    ]


def test_one_line_more_than_is_drawn_anyhow_is_not_folded():
    five = "a\nb\nc\nd\ne\n"
    assert diff(five, five) == [" a", " b", " c", " d", " e"]
    assert diff("", "") == []


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ("a\n\n\nb", "a\n\nb", [" a", " ", "−{↵}", " b"]),
        ('say\n"\nno', "say\nno", [" say", '−{"↵}', " no"]),
        ("a\nb", "a\nx\nb", [" a", "+{x↵}", " b"]),
        ("\ncall 030 now", "call (phone) now",
         ["−{↵}", "−call {030} now", "+call {(phone)} now"]),
        ("one", "two", ["−{one}", "+{two}"]),
        ("a", "", ["−{a}"]),
        ("", "a ", ["+{a␣}"]),
    ],
)  # fmt: skip
def test_lines_that_come_or_go_are_whole(before, after, rows):
    assert diff(before, after) == rows


def test_lines_find_their_new_form_though_each_changed():
    before = "".join(f"Verse {number}  \r\n\r\n\r\n" for number in range(50))
    after = re.sub(r"\n{3,}", "\n\n", re.sub(" *\r\n", "\n", before)).lower()
    pairs = compare_lines(before.splitlines(True), after.splitlines(True))
    assert [new for line, new in pairs if line.startswith("Verse")] == [
        f"verse {number}\n" for number in range(50)
    ]


# Within a line


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ("cafe\u0301!", "café!", ["−caf{e\u0301}!", "+caf{é}!"]),
        ("ab\x00c", "abc", ["−ab{⟨U+0000⟩}c", "+abc"]),
        ("on 1.5.2024", "on 2024-05-01", ["−on {1.5.}2024", "+on 2024{-05-01}"]),
        ("see http://a.b", "see (website)", ["−see {http://a.b}", "+see {(website)}"]),
        ("a  b", "a b", ["−a {␣}b", "+a b"]),
        ("a\r", "a\n", ["−a{⟨\\r⟩}", "+a{↵}"]),
        ("a\r\nb", "a\nb", ["−a{⟨\\r⟩}", "+a", " b"]),
        ("hi 👍🏽!", "hi 👍!", ["−hi {👍🏽}!", "+hi {👍}!"]),
        ("👩‍👩‍👧 \n", "👩‍👩‍👧\n", ["−👩‍👩‍👧{␣}", "+👩‍👩‍👧"]),
        ("שלום\u200b עולם", "שלום עולם", ["−שלום{⟨U+200B⟩} עולם", "+שלום עולם"]),
        ("می\u200cخواهم", "میخواهم", ["−م{ی\u200c}خواهم", "+م{ی}خواهم"]),
    ],
)
def test_what_changed_in_a_line_is_marked(before, after, rows):
    assert diff(before, after) == rows


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        (" a b  c\t\r\n", "␣a b␣␣c⇥⟨\\r⟩↵"),
        ("a\tb", "a⇥b"),
        ("\ufeffx\u00a0y\u202e", "⟨U+FEFF⟩x⟨U+00A0⟩y⟨U+202E⟩"),
        ("\x1b\x7f\u2028", "⟨U+001B⟩⟨U+007F⟩⟨U+2028⟩"),
        ("\u0301", "⟨U+0301⟩"),
        ("\u200d", "⟨U+200D⟩"),
        ("👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
        ("\ud800", "⟨U+D800⟩"),
    ],
)
def test_a_change_that_could_not_be_seen_has_a_sign(text, visible):
    assert visible_change(text) == visible


def test_text_as_before_is_as_it_was_but_for_what_would_turn_it_around():
    assert visible_line("a  b\t👩‍👩‍👧\u00a0\r\n") == "a  b\t👩‍👩‍👧\u00a0"
    assert visible_line("a\u202eb\x00") == "a⟨U+202E⟩b⟨U+0000⟩"


ANY_TEXT = st.text(
    st.sampled_from("aAb \t\r\n.\u0301\u200d👍🏽ש\u200b\x00"), max_size=40
)


@given(ANY_TEXT, ANY_TEXT)
def test_parts_of_a_line_are_the_line(before, after):
    parts = compare_words(before, after)
    assert "".join(part for part, _ in parts) == before
    assert "".join(new_part for _, new_part in parts) == after


@given(ANY_TEXT, ANY_TEXT)
def test_lines_in_pairs_are_the_texts(before, after):
    lines, new_lines = before.splitlines(True), after.splitlines(True)
    pairs = [*compare_lines(lines, new_lines)]
    assert [line for line, _ in pairs if line is not None] == lines
    assert [new for _, new in pairs if new is not None] == new_lines


# Long texts


def seconds_to_compare(before, after):
    begin = time.perf_counter()
    rows = diff_rows(before, after)
    assert sum(len(text) for row in rows for _, text in row.pieces) < 3 * MAX_CHARACTERS
    return time.perf_counter() - begin


VERSES = "".join(f"Verse {number} of many,  \r\n\r\n" for number in range(3700))
LINES_OF_DIGITS = "".join(f"{number % 97} \n" for number in range(27_000))
ONE_LINE = "Many words, and  some of them twice. " * 2800


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (VERSES, VERSES.lower().replace("\r", "")),
        (VERSES, VERSES.replace("  \r\n\r\n", "\n")),
        (VERSES, VERSES[::-1]),
        (LINES_OF_DIGITS, LINES_OF_DIGITS.replace(" ", "")),
        (LINES_OF_DIGITS, LINES_OF_DIGITS.replace("7", "seven\n")),
        (ONE_LINE, ONE_LINE.replace("  ", " ")),
        (ONE_LINE, ONE_LINE[::-1]),
        ("\n" * 100_000, "\n\n"),
        ("x" * 100_000, "y" * 100_000),
        (" " * 100_000, ""),
    ],
)
def test_a_hundred_thousand_characters_are_compared_fast(before, after):
    assert seconds_to_compare(before, after) < 2  # 0.2 s on two cores


def test_a_long_diff_says_where_it_ends():
    *rows, last = diff(VERSES, VERSES.replace("  ", ""))
    assert len(rows) == MAX_ROWS
    assert last == "…[The diff ends here, after line 200 of 7,400.]"


def test_few_changes_in_a_long_text_are_all_there():
    rows = diff(VERSES, VERSES.replace("Verse 2100", "verse 2100"))
    assert "−{V}erse 2100 of many,  " in rows
    assert rows[-3:] == ["…[3,195 lines as before]", " Verse 3699 of many,  ", " "]


def test_a_line_that_is_too_long_says_what_is_left_out():
    words = "word " * 5000
    [removed, added] = diff(f"First {words}", f"first {words}")
    assert removed.startswith("−{F}irst word word")
    assert "word [ … 24,765 characters … ]" in removed
    assert len(removed) < 2 * MAX_PIECE
    assert added[2:] == removed[2:].replace("F", "f")


def test_a_line_of_many_changes_says_where_it_ends():
    words = [f"word{number}" for number in range(1000)]
    [removed, added] = diff("  ".join(words), " ".join(words))
    assert removed.count("{␣}") == MAX_PIECES / 2
    assert removed.endswith("word49 {␣}[… 8,498 more characters]")
    assert added.endswith("word49 [… 7,549 more characters]")


def test_a_change_behind_many_equal_words_is_found():
    [removed, _] = diff("word " * 5000 + "end ", "word " * 5000 + "end")
    assert removed.endswith("word end{␣}")


def test_anchors_are_what_both_lists_have_once_in_one_order():
    assert find_anchors("abcabd", "xdcab") == [(5, 1)]
    assert find_anchors("abcdef", "bcaefd") == [(1, 0), (2, 1), (4, 3), (5, 4)]
    assert find_anchors("aa", "aab") == []


def test_the_parts_of_long_lists_are_the_lists():
    items = [str(number % 600) for number in range(1000)]
    new_items = [item for item in items if item != "7"]
    parts = match_parts(items, new_items)
    assert [item for part, _ in parts for item in items[part]] == items
    assert [item for _, part in parts for item in new_items[part]] == new_items
    unequal = [(items[a], new_items[b]) for a, b in parts if items[a] != new_items[b]]
    assert unequal == [(["7"], []), (["7"], [])]


def test_hundreds_of_lines_can_be_removed_in_the_middle():
    lines = VERSES.splitlines(True)
    after = lines[:1000] + lines[3000:]
    pairs = [*compare_lines(lines, after)]
    assert sum(line == new for line, new in pairs) == len(after)
    assert sum(new is None for _, new in pairs) == 2000


# The page


def test_a_switch_and_a_text_are_answered():
    page = explorer().widget
    assert page.rules[2] == ["names", RULES["names"]]
    assert page.switched_on == ["line-ends", "spaces"]
    page.switched_on = ["names"]
    assert page.counts == ["", "", "1 change"]
    assert page.rows[0]["pieces"] == [[MARKED, "Ann"], [PLAIN, " "]]
    page.text = "Ann and Ann"
    assert page.counts == ["", "", "2 changes"]
    page.switched_on = []
    assert page.rows == [{"sign": SAME, "pieces": [[PLAIN, "Ann and Ann"]]}]


def test_an_error_is_shown_and_what_there_was_stays():
    page = explorer().widget
    rows, summary = page.rows, page.summary
    page.text = "a@b"
    assert page.status == "there is an @ <here>"
    assert (page.rows, page.summary) == (rows, summary)
    page.switched_on = ["spaces"]
    assert page.status == "there is an @ <here>"
    page.text = "a b "
    assert (page.status, page.counts) == ("", ["", "1 change", ""])


def test_an_error_of_another_type_is_shown_with_its_name():
    def divide(text, names):
        return text, {"spaces": 1 // len(text)}

    page = views.diff_explorer("a", divide, RULES, []).widget
    page.text = ""
    assert page.status.startswith("ZeroDivisionError: ")


# The fallback


def test_the_fallback_has_the_words_of_the_page():
    view = explorer()
    page, plain = bundle(view)["text/html"], bundle(view)["text/plain"]
    assert plain == f"Two lines. {view.widget.summary}"
    assert f"<p>{view.widget.summary}</p>" in page
    assert "☑ <b>spaces</b>: no spaces at the end of a line (1 change)" in page
    assert "☐ <b>names</b>" in page
    assert "− <bdi>Ann<del>␣⟨\\r⟩</del></bdi>\n+ <bdi>Ann</bdi>\n" in page
    assert json.dumps(view.widget.rows)


def test_what_is_added_and_noted_has_its_own_elements():
    text = "Ann\n" + "Bob\n" * 20
    page = bundle(explorer(text, ["names"]))["text/html"]
    assert "+ <bdi><ins>(name)</ins></bdi>\n" in page
    assert f"{FOLDED} <bdi><em>16 lines as before</em></bdi>\n" in page


def test_html_in_a_text_a_rule_or_a_title_is_escaped():
    rules = {"<i>": "<b>bold</b>"}
    view = views.diff_explorer(
        "<script>x",
        lambda text, _: (text.replace("x", "<u>"), {}),
        rules,
        ["<i>"],
        "<h1>",
    )
    page = bundle(view)["text/html"]
    for tag in ("<script>", "<u>", "<i>", "<b>bold", "<h1>"):
        assert tag not in page
    assert "− <bdi>&lt;script&gt;<del>x</del></bdi>" in page
    assert view.widget.rows[1]["pieces"][-1] == [MARKED, "<u>"]


def test_the_fallback_of_a_long_text_is_short():
    page = bundle(explorer(VERSES))["text/html"]
    assert page.count("<bdi>") == STILL_ROWS
    assert page.endswith(f"… <em>{MAX_ROWS + 1 - STILL_ROWS} more rows</em></pre>")

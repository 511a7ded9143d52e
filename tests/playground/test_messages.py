"""What comes from a file is printed, and controls no terminal."""

import io

import pytest
from rich.console import Console

from gpt_lib.cli.models import print_table
from gpt_lib.playground.messages import (
    MAX_MESSAGE_LENGTH,
    printable,
    printable_message,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\x9b31m", r"\x9b31m"),  # the same in one byte
        ("a\rb\x08c\x07", r"a\rb\x08c\x07"),
        ("\u202eexe.txt", r"\u202eexe.txt"),
        ("\ud83d", r"\ud83d"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("é 🙂 👨‍👩‍👧 [bold]", "é 🙂 👨‍👩‍👧 [bold]"),
    ],
)
def test_controls_are_shown_and_text_stays(text, expected):
    assert printable(text) == expected


def test_an_error_has_a_bounded_length():
    message = printable_message("begin" + "x" * 10**6 + "end")
    assert len(message) < MAX_MESSAGE_LENGTH + 10
    assert message.startswith("begin")
    assert message.endswith("end")


@pytest.mark.parametrize("date", ["[/x]", "[bold]now", "\x1b[31mred"])
def test_a_card_is_no_markup(date, monkeypatch):
    page = io.StringIO()
    monkeypatch.setattr(
        "rich.console.Console", lambda **options: Console(file=page, **options)
    )
    row = {"model": "x" * 70, "text": "[bold]t", "steps": 3, "of": 9, "trained": date}
    print_table([row])
    expected = page.getvalue()
    for part in ("x" * 70, "[bold]t", "3 of 9", ascii(date)[1:-1]):
        assert part in expected
    assert "\x1b" not in expected

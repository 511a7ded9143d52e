"""The written text, token by token: the widget's traits and the static twin."""

import re

import numpy as np
import pytest
import torch

from gpt_lib.views.picture import WIDGET_VIEW
from gpt_lib.views.tokens.shades import (
    EDGES,
    PLAIN,
    PROMPT,
    SHADES,
    STYLES,
    picture_of_text,
)
from gpt_lib.views.tokens.tokens_text import LEGEND, TokensWidget, tokens_text

NASTY = "<b>\"x\" & 'y'"


def chances_of(widget):
    return np.frombuffer(widget.chances, dtype=np.float32)


class Wire:
    """Stands in for the connection to a page; keeps the state of every message."""

    comm_id = "wire"

    def __init__(self):
        self.sent = []

    def send(self, data, **_):
        self.sent.append(data["state"])

    def on_msg(self, *_):
        pass

    def close(self, *_, **__):
        pass


def test_show_puts_prompt_tokens_and_chances_in_one_message():
    widget = TokensWidget(label="Text by GPT")
    widget.comm = wire = Wire()
    widget.show("To", [" be", "\n", ""], torch.tensor([0.5, 0.25, 1]))
    assert widget.prompt == "To"
    assert widget.tokens == [" be", "\n", ""]
    assert chances_of(widget).tolist() == [0.5, 0.25, 1]
    [state] = wire.sent
    assert {"prompt", "tokens"} <= state.keys()


def test_a_longer_list_and_its_chances_travel_together():
    widget = TokensWidget()
    widget.show("", ["a"])
    widget.comm = wire = Wire()
    with widget.hold_sync():
        widget.tokens = [*widget.tokens, "b"]
        widget.chances = np.float32([0.5, 0.5]).tobytes()
    assert [state["tokens"] for state in wire.sent] == [["a", "b"]]


def test_nothing_is_selected_until_somebody_does():
    widget = TokensWidget()
    assert (widget.selected, widget.forks, widget.writing) == (-1, [], False)


@pytest.mark.parametrize(
    ("tokens", "selected"), [("abc", 2), ("ab", 2), ("a", -1), ("", -1)]
)
def test_a_selection_beyond_the_new_text_is_dropped(tokens, selected):
    widget = TokensWidget()
    widget.show("", "abc")
    widget.selected = 2
    widget.show("", tokens)
    assert widget.selected == selected


def test_the_page_gets_the_steps_of_the_heat_text():
    widget = TokensWidget()
    assert widget.styles == list(STYLES)
    assert widget.edges == list(EDGES)
    assert widget.legend == LEGEND
    assert len(widget.legend) == len(widget.styles) == len(widget.edges) + 2


def test_a_standalone_text_shows_records_and_shades():
    view = tokens_text("To", [" be", "\n"], [0.5, 0.25], "Hamlet")
    widget = view.widget
    assert (widget.title, widget.label) == ("Hamlet", "Hamlet")
    assert (widget.prompt, widget.tokens) == ("To", [" be", "\n"])
    assert widget.record == "To be\n"
    assert widget.shaded
    assert view._repr_mimebundle_()[WIDGET_VIEW]["model_id"] == widget.model_id


def alt_of(view):
    [alt] = re.findall(r'<img alt="([^"]+)"', view.twin.html)
    return alt


@pytest.fixture
def drawn(monkeypatch):
    """What the twins hand over to be drawn."""
    seen = []

    def draw(strips, title, words, key=None):
        seen.append((strips, title, words, key))
        return picture_of_text(strips, title, words, key)

    monkeypatch.setattr("gpt_lib.views.tokens.tokens_text.picture_of_text", draw)
    return seen


def test_a_twin_tells_the_title_the_number_the_mean_and_the_text():
    view = tokens_text("To", [" be", "\n"], [0.5, 0.25], "Hamlet")
    mean = -np.log([0.5, 0.25]).mean()
    words = f"Hamlet. 2 tokens, {mean:.2f} nats a token. To be\n"
    assert repr(view) == view.twin.words == words
    assert alt_of(view) == f"Hamlet. 2 tokens, {mean:.2f} nats a token."
    assert "To be\n</pre>" in view.twin.html  # to copy


def test_a_twin_draws_the_prompt_dotted_and_each_token_on_its_shade(drawn):
    chances = np.exp([-0.1, -3, -9])
    tokens_text("To\n", ["a", "bc", "\n"], chances, "Text")
    [([strip], title, _, key)] = drawn
    assert title == "Text"
    assert strip.text == "To\nabc\n"
    assert strip.heading.startswith("3 tokens, ")
    looks = [PLAIN, SHADES[3], SHADES[3], SHADES[4]]
    assert list(strip.shades) == [*[PROMPT] * 3, *looks]
    assert key.text.startswith("surprise in nats:  0–0.5 ")
    assert "not known" not in key.text


def test_a_twin_of_chances_that_are_not_all_known_says_so(drawn):
    view = tokens_text("", ["a", "b"], [np.nan, 0.5], "Text")
    assert f"2 tokens, {np.log(2):.2f} nats a token" in view.twin.words
    [([strip], _, _, key)] = drawn
    assert strip.shades[0] == SHADES[-1]
    assert "not known" in key.text


def test_a_chance_of_zero_is_shaded_darkest_and_warns_of_nothing(drawn):
    tokens_text("", ["a"], [0.0], "Text")
    assert list(drawn[0][0][0].shades) == [SHADES[4]]


def test_a_text_without_chances_is_not_shaded(drawn):
    view = tokens_text("To", [" be"], [], "Text")
    assert not view.widget.shaded
    assert view.widget.chances == b""
    assert view.twin.words == "Text. 1 tokens. To be"
    [([strip], _, _, key)] = drawn
    assert list(strip.shades) == [PROMPT] * 2 + [PLAIN] * 3
    assert key is None


def test_a_twin_of_nothing_written_yet():
    assert tokens_text("To", [], [], "Text").twin.words == "Text. 0 tokens. To"
    assert tokens_text("", [], [], "").twin.words == ". 0 tokens. "


def test_a_twin_of_a_long_text_says_that_its_picture_is_cut():
    view = tokens_text("To\n", ["a\n"] * 40, [], "Text")
    assert alt_of(view) == "Text. 40 tokens. The picture shows 24 of 41 lines."
    assert view.twin.words == f"{alt_of(view)} To\n" + "a\n" * 40


def test_a_twin_is_escaped():
    page = tokens_text(NASTY, [NASTY], [0.5], NASTY).twin.html
    assert '<b>"x' not in page
    assert len(re.findall("&lt;b&gt;", page)) == 3


@pytest.mark.parametrize(
    ("tokens", "chances", "complaint"),
    [
        (["a", "b"], [0.5], r"shape \(1,\); 2 tokens need \(2,\), or none"),
        (["a"], [[0.5]], r"shape \(1, 1\); 1 tokens need \(1,\)"),
        (["a"], [1.5], "from 1.5 to 1.5, not 0 to 1"),
        (["a", "b"], [-1, 0.5], "from -1 to 0.5, not 0 to 1"),
        (["a", "b"], [np.nan, 2], "from 2 to 2, not 0 to 1"),
        (["a", 5], [], "token 1 is 5; every token must be a string"),
    ],
)
def test_a_text_says_what_does_not_fit(tokens, chances, complaint):
    with pytest.raises(ValueError, match=complaint):
        tokens_text("", tokens, chances, "Text")
    with pytest.raises(ValueError, match=complaint):
        TokensWidget().show("", tokens, chances)

"""The written text, token by token: the widget's traits and the fallback."""

import re

import numpy as np
import pytest
import torch

from gpt_lib.views.page import encode_floats
from gpt_lib.views.picture import WIDGET_VIEW
from gpt_lib.views.tokens.generated_text import GeneratedTextWidget, generated_text
from gpt_lib.views.tokens.generated_text_data import LEGEND
from gpt_lib.views.tokens.shaded_text import picture_of_strips
from gpt_lib.views.tokens.shades import (
    BLACK_ON_WHITE,
    PROMPT_SHADE,
    SHADES,
    SURPRISAL_EDGES,
)
from tests.views.page_data import alt_of, decode_floats

NASTY = "<b>\"x\" & 'y'"


class FakeComm:
    """Stands in for the connection to a page; keeps the state of every message."""

    comm_id = "fake"

    def __init__(self):
        self.sent = []

    def send(self, data, **_):
        self.sent.append(data["state"])

    def on_msg(self, *_):
        pass

    def close(self, *_, **__):
        pass


def test_show_puts_prompt_tokens_and_probabilities_in_one_message():
    widget = GeneratedTextWidget(label="Text by GPT")
    widget.comm = comm = FakeComm()
    widget.show("To", [" be", "\n", ""], torch.tensor([0.5, 0.25, 1]))
    assert widget.prompt == "To"
    assert widget.tokens == [" be", "\n", ""]
    assert decode_floats(widget.probabilities).tolist() == [0.5, 0.25, 1]
    [state] = comm.sent
    assert {"prompt", "tokens"} <= state.keys()


def test_a_longer_list_and_its_probabilities_travel_together():
    widget = GeneratedTextWidget()
    widget.show("", ["a"])
    widget.comm = comm = FakeComm()
    with widget.hold_sync():
        widget.tokens = [*widget.tokens, "b"]
        widget.probabilities = encode_floats([0.5, 0.5])
    assert [state["tokens"] for state in comm.sent] == [["a", "b"]]


def test_nothing_is_selected_until_somebody_does():
    widget = GeneratedTextWidget()
    assert (widget.selected, widget.forks, widget.writing) == (-1, [], False)


@pytest.mark.parametrize(
    ("tokens", "selected"), [("abc", 2), ("ab", 2), ("a", -1), ("", -1)]
)
def test_a_selection_beyond_the_new_text_is_dropped(tokens, selected):
    widget = GeneratedTextWidget()
    widget.show("", "abc")
    widget.selected = 2
    widget.show("", tokens)
    assert widget.selected == selected


def test_the_page_gets_the_steps_of_the_loss_heatmap():
    widget = GeneratedTextWidget()
    assert widget.edges == list(SURPRISAL_EDGES)
    assert widget.legend == LEGEND
    assert len(widget.legend) == len(SHADES) == len(widget.edges) + 2


def test_a_standalone_text_shows_records_and_shades():
    view = generated_text("To", [" be", "\n"], [0.5, 0.25], "Hamlet")
    widget = view.widget
    assert (widget.title, widget.label) == ("Hamlet", "Hamlet")
    assert (widget.prompt, widget.tokens) == ("To", [" be", "\n"])
    assert widget.record == "To be\n"
    assert widget.shaded
    assert view._repr_mimebundle_()[WIDGET_VIEW]["model_id"] == widget.model_id


@pytest.fixture
def drawings(monkeypatch):
    """The arguments of each picture that is drawn."""
    calls = []

    def draw(strips, title, description, legend=None):
        calls.append((strips, title, legend))
        return picture_of_strips(strips, title, description, legend)

    monkeypatch.setattr("gpt_lib.views.tokens.generated_text.picture_of_strips", draw)
    return calls


def test_a_fallback_describes_the_title_the_number_the_mean_and_the_text():
    view = generated_text("To", [" be", "\n"], [0.5, 0.25], "Hamlet")
    mean = -np.log([0.5, 0.25]).mean()
    description = f"Hamlet. 2 tokens, {mean:.2f} nats a token. To be\n"
    assert repr(view) == view.fallback.description == description
    assert alt_of(view) == f"Hamlet. 2 tokens, {mean:.2f} nats a token."
    assert "To be\n</pre>" in view.fallback.html  # to copy


def test_a_fallback_draws_the_prompt_dotted_and_each_token_on_its_shade(drawings):
    probabilities = np.exp([-0.1, -3, -9])
    generated_text("To\n", ["a", "bc", "\n"], probabilities, "Text")
    [([strip], title, legend)] = drawings
    assert title == "Text"
    assert strip.text == "To\nabc\n"
    assert strip.heading.startswith("3 tokens, ")
    shades = [BLACK_ON_WHITE, SHADES[3], SHADES[3], SHADES[4]]
    assert list(strip.shades) == [*[PROMPT_SHADE] * 3, *shades]
    assert legend.text.startswith("surprisal in nats:  0–0.5 ")
    assert "not known" not in legend.text


def test_a_fallback_of_probabilities_that_are_not_all_known_says_so(drawings):
    view = generated_text("", ["a", "b"], [np.nan, 0.5], "Text")
    assert f"2 tokens, {np.log(2):.2f} nats a token" in view.fallback.description
    [([strip], _, legend)] = drawings
    assert strip.shades[0] == SHADES[-1]
    assert "not known" in legend.text


def test_a_probability_of_zero_is_shaded_darkest_and_warns_of_nothing(drawings):
    generated_text("", ["a"], [0.0], "Text")
    assert list(drawings[0][0][0].shades) == [SHADES[4]]


def test_a_text_without_probabilities_is_not_shaded(drawings):
    view = generated_text("To", [" be"], [], "Text")
    assert not view.widget.shaded
    assert view.widget.probabilities == ""
    assert view.fallback.description == "Text. 1 tokens. To be"
    [([strip], _, legend)] = drawings
    assert list(strip.shades) == [PROMPT_SHADE] * 2 + [BLACK_ON_WHITE] * 3
    assert legend is None


def test_a_fallback_of_nothing_written_yet():
    assert (
        generated_text("To", [], [], "Text").fallback.description
        == "Text. 0 tokens. To"
    )
    assert generated_text("", [], [], "").fallback.description == ". 0 tokens. "


def test_a_fallback_of_a_long_text_says_that_its_picture_is_cut():
    view = generated_text("To\n", ["a\n"] * 40, [], "Text")
    assert alt_of(view) == "Text. 40 tokens. The picture shows 24 of 41 lines."
    assert view.fallback.description == f"{alt_of(view)} To\n" + "a\n" * 40


def test_a_fallback_is_escaped():
    page = generated_text(NASTY, [NASTY], [0.5], NASTY).fallback.html
    assert '<b>"x' not in page
    assert len(re.findall("&lt;b&gt;", page)) == 3


@pytest.mark.parametrize(
    ("tokens", "probabilities", "complaint"),
    [
        (["a", "b"], [0.5], r"shape \(1,\); 2 tokens need \(2,\), or none"),
        (["a"], [[0.5]], r"shape \(1, 1\); 1 tokens need \(1,\)"),
        (["a"], [1.5], "from 1.5 to 1.5, not 0 to 1"),
        (["a", "b"], [-1, 0.5], "from -1 to 0.5, not 0 to 1"),
        (["a", "b"], [np.nan, 2], "from 2 to 2, not 0 to 1"),
        (["a", 5], [], "token 1 is 5; every token must be a string"),
    ],
)
def test_a_text_says_what_does_not_fit(tokens, probabilities, complaint):
    with pytest.raises(ValueError, match=complaint):
        generated_text("", tokens, probabilities, "Text")
    with pytest.raises(ValueError, match=complaint):
        GeneratedTextWidget().show("", tokens, probabilities)

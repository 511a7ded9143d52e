"""Attention step by step: what is checked, described and sent to the page."""

import numpy as np
import pytest
import torch

from gpt_lib.views.attention.attention_steps import (
    attention_steps,
    find_score_steps,
    format_value,
    positions_to_draw,
    step_axis_limits,
)
from gpt_lib.views.picture import WIDGET_VIEW
from tests.views.page_data import bundle, decode_floats, softmax

STEPS = ["score q·k", "÷ √H", "mask the future", "softmax"]
NASTY = "<b>\"x\" & 'y' $\\no$"


def four_steps(size, heads, seed):
    """The four steps of `heads` heads of size 16."""
    score = 6 * np.random.default_rng(seed).normal(size=(heads, size, size))
    future = np.triu(np.ones((size, size), dtype=bool), 1)
    masked = np.where(future, -np.inf, score / 4)
    return dict(zip(STEPS, (score, score / 4, masked, softmax(masked))))


class GetSteps:
    """Steps for letters; remembers the texts it was called with."""

    def __init__(self, layers=2, heads=3):
        self.layers, self.heads, self.texts = layers, heads, []

    def __call__(self, text):
        self.texts.append(text)
        if "#" in text:
            raise ValueError(f"'#' at position {text.index('#')} is not known")
        if "!" in text:
            raise RuntimeError("out of paper")
        return {
            f"layer {layer}": four_steps(len(text), self.heads, layer)
            for layer in range(1, self.layers + 1)
        }


def values_of(widget):
    size = len(widget.labels)
    shape = (len(widget.layers), len(widget.steps), widget.heads, size, size)
    return decode_floats(widget.values, *shape)


def test_steps_are_computed_once_and_sent():
    get_steps = GetSteps()
    view = attention_steps(get_steps, "a b\n", "Steps")
    widget = view.widget
    assert get_steps.texts == ["a b\n"]
    assert widget.labels == ["a", "␣", "b", "↵"]
    assert (widget.layers, widget.steps) == (["layer 1", "layer 2"], STEPS)
    assert widget.heads == 3
    for step, name in enumerate(STEPS):
        assert np.allclose(values_of(widget)[1, step], four_steps(4, 3, 2)[name])
    assert bundle(view)[WIDGET_VIEW]["model_id"] == widget.model_id


def test_it_begins_at_the_last_layer_and_position_and_the_first_step():
    widget = attention_steps(GetSteps(), "abcd", "Steps").widget
    assert (widget.layer, widget.head, widget.row, widget.step) == (1, 0, 3, 0)


def test_the_fallback_describes_every_number_of_the_last_position():
    view = attention_steps(GetSteps(), "abc", "Steps")
    steps = four_steps(3, 3, 2)
    score, scaled, _, weight = (steps[name][0, 2, 1] for name in STEPS)
    numbers = f"score q·k {score:.2f}, ÷ √H {scaled:.2f}, mask the future {scaled:.2f}"
    row = f"“b” (1 back) {numbers}, softmax {100 * weight:.1f} %"
    assert row.replace("-", "−") in view.fallback.description
    assert "“c” (itself)" in view.fallback.description
    assert view.fallback.description.startswith(
        "Steps: layer 2, head 1, position 3, c,"
    )
    assert "not shown" not in view.fallback.description
    assert view.fallback.png.startswith(b"\x89PNG")


def test_numbers_are_formatted_for_readers():
    assert format_value(0.0004, is_weight=True) == "<0.1 %"
    assert format_value(0.0, is_weight=True) == "0.0 %"
    assert format_value(-np.inf, is_weight=False) == "−∞"
    assert format_value(-1.5, is_weight=False) == "−1.50"


def test_a_long_fallback_says_how_many_positions_it_leaves_out():
    description = attention_steps(GetSteps(), "x" * 64, "Steps").fallback.description
    assert description.count("score q·k") == 10
    assert description.endswith("54 weaker positions are not shown.")


def test_the_strongest_are_shown_with_the_one_that_looks_and_the_first_after():
    weights = np.zeros(30)
    weights[[3, 9, 15]] = 0.5, 0.3, 0.2
    positions = positions_to_draw(weights, 20)
    assert positions == [3, 9, 14, 15, 16, 17, 18, 19, 20, 21]  # of equals the nearest
    assert positions_to_draw(weights[:21], 20)[-1] == 20
    assert positions_to_draw(np.array([1.0]), 0) == [0]
    assert positions_to_draw(np.array([0.6, 0.4, 0.0, 0.0]), 1) == [0, 1, 2]


def test_a_later_position_is_shown_where_there_is_no_mask():
    assert positions_to_draw(np.array([0.1, 0.1, 0.2, 0.6]), 0) == [0, 1, 2, 3]


def test_scores_share_one_scale_and_other_steps_have_their_own():
    columns = [[8.0, -4.0], [2.0, -1.0], [-np.inf, 2.0], [7.4, 0.4], [0.9, 0.1]]
    columns = [np.array(column) for column in columns]
    limits = step_axis_limits(columns, [0, 1])
    assert limits == [(-4, 8), (-4, 8), (0, 2), (0, 7.4), (0, 1)]


def test_a_step_is_a_score_where_anything_is_negative_but_for_the_mask():
    values = np.ones((2, 3, 1, 2, 2))
    values[1, 0, 0, 1, 0] = -1
    values[:, 1, 0, 0, 1] = -np.inf
    assert find_score_steps(values) == [0]


def test_a_new_text_brings_new_values_and_keeps_the_choices():
    get_steps = GetSteps()
    widget = attention_steps(get_steps, "abc", "Steps").widget
    widget.layer, widget.head, widget.step = 0, 2, 3
    widget.text = "hello"
    assert get_steps.texts == ["abc", "hello"]
    assert widget.labels == list("hello")
    assert np.allclose(values_of(widget)[0, 0], four_steps(5, 3, 1)[STEPS[0]])
    assert (widget.layer, widget.head, widget.row, widget.step) == (0, 2, 4, 3)
    get_steps.layers, get_steps.heads = 1, 1
    widget.layer = 1
    widget.text = "he"
    assert (widget.layer, widget.head, widget.row) == (0, 0, 1)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("a#", "'#' at position 1 is not known"),
        ("", "0 tokens given; this view shows 1 to 64"),
        ("y" * 65, "65 tokens given; this view shows 1 to 64"),
        ("!", "RuntimeError: out of paper"),
    ],
)
def test_a_text_that_cannot_be_read_says_why_and_keeps_the_picture(text, status):
    widget = attention_steps(GetSteps(), "abc", "Steps").widget
    before = widget.values
    widget.text = text
    assert widget.status == status
    assert (widget.values, widget.labels) == (before, ["a", "b", "c"])
    widget.text = "ab"
    assert (widget.status, widget.labels) == ("", ["a", "b"])


@pytest.mark.parametrize("text", ["x", "<b>&\" '$$", "y" * 64])
def test_one_layer_and_one_head_of_any_text(text):
    view = attention_steps(GetSteps(1, 1), text, NASTY)
    assert values_of(view.widget).shape == (1, 4, 1, len(text), len(text))
    assert "<b>" not in view.fallback.html
    assert "&lt;b&gt;" in view.fallback.html


def test_two_steps_and_torch_are_enough():
    scores = torch.zeros(1, 2, 2)
    layers = {"only": {"score": scores, "weights": scores.softmax(-1)}}
    view = attention_steps(lambda _: layers, "ab", "Steps")
    assert "score 0.00, weights 50.0 %" in view.fallback.description


def change_step(step, change):
    """Two good layers, the second with one step changed."""
    layers = {"a": four_steps(3, 2, 1), "b": four_steps(3, 2, 2)}
    layers["b"][step] = change(layers["b"][step])
    return layers


def put_value(array, value):
    array[0, 1, 0] = value
    return array


GOOD = four_steps(3, 2, 1)


@pytest.mark.parametrize(
    ("layers", "complaint"),
    [
        ({}, "at least one"),
        ({"a": {}}, r"the steps \[\] given; the view needs at least two"),
        ({"a": {"softmax": GOOD["softmax"]}}, "at least two"),
        ({"a": GOOD, "b": dict(list(GOOD.items())[1:])}, "'b' has the steps .* same"),
        (change_step("÷ √H", lambda a: a[:1]), r"'÷ √H' of 'b' has shape \(1, 3, 3\)"),
        (change_step("÷ √H", lambda a: a[:, :2]), r"3 tokens need \(N, 3, 3\)"),
        (change_step("÷ √H", lambda a: a[0]), r"has shape \(3, 3\)"),
        ({"a": {"s": np.eye(3), "w": np.eye(3)}}, r"has shape \(3, 3\)"),
        ({"a": {"s": np.ones((0, 3, 3)), "w": np.ones((0, 3, 3))}}, r"\(0, 3, 3\)"),
        (
            change_step("÷ √H", lambda a: put_value(a, np.nan)),
            "'÷ √H' of 'b' has NaN or",
        ),
        (
            change_step("÷ √H", lambda a: put_value(a, np.inf)),
            r"\+inf; it needs numbers, or -inf",
        ),
        (
            change_step("softmax", lambda a: put_value(a, np.nan)),
            "'softmax' of 'b' has NaN",
        ),
        (
            change_step("softmax", lambda a: put_value(a, -0.1)),
            r"in \[0, 1\], but goes from -0.1",
        ),
        (change_step("softmax", lambda a: put_value(a, 1.5)), r"goes from 0 to 1\.5"),
        (
            change_step("softmax", lambda a: a / 2),
            "its rows need the sum 1, one has 0.5",
        ),
        (change_step("softmax", lambda a: softmax(a.mT * 9).mT), "need the sum 1"),
    ],
)
def test_steps_say_what_does_not_fit(layers, complaint):
    with pytest.raises(ValueError, match=complaint):
        attention_steps(lambda _: layers, "abc", "Steps")


def test_it_can_begin_elsewhere_where_the_mask_is_seen():
    view = attention_steps(GetSteps(), "abc", "Steps", layer="layer 1", row=1)
    assert (view.widget.layer, view.widget.row) == (0, 1)
    assert view.fallback.description.startswith(
        "Steps: layer 1, head 1, position 2, b,"
    )
    assert "(1 ahead)" in view.fallback.description
    with pytest.raises(ValueError, match=r"layer='layer 9' and row=2: there are"):
        attention_steps(GetSteps(), "abc", "Steps", layer="layer 9")
    with pytest.raises(ValueError, match="rows 0 to 2"):
        attention_steps(GetSteps(), "abc", "Steps", row=3)

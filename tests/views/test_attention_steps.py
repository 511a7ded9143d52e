"""From scores to weights, step by step: what is checked, told and sent to the page."""

import re

import numpy as np
import pytest
import torch

from gpt_lib.views.attention.attention_steps import (
    AttentionStepsWidget,
    attention_steps,
    in_words,
    limits_of,
    scores_of,
    strongest,
)
from gpt_lib.views.picture import WIDGET_VIEW

STEPS = ["score q·k", "÷ √H", "mask the future", "softmax"]
NASTY = "<b>\"x\" & 'y' $\\no$"


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attend(size, heads, seed):
    """The four steps of `heads` heads of size 16."""
    score = 6 * np.random.default_rng(seed).normal(size=(heads, size, size))
    future = np.triu(np.ones((size, size), dtype=bool), 1)
    masked = np.where(future, -np.inf, score / 4)
    return dict(zip(STEPS, (score, score / 4, masked, softmax(masked))))


class Read:
    """Reads letters; remembers what it was asked."""

    def __init__(self, layers=2, heads=3):
        self.layers, self.heads, self.asked = layers, heads, []

    def __call__(self, text):
        self.asked.append(text)
        if "#" in text:
            raise ValueError(f"'#' at position {text.index('#')} is not known")
        if "!" in text:
            raise RuntimeError("out of paper")
        return {
            f"layer {layer}": attend(len(text), self.heads, layer)
            for layer in range(1, self.layers + 1)
        }


def values_of(widget):
    size = len(widget.characters)
    shape = (len(widget.layers), len(widget.steps), widget.heads, size, size)
    return np.frombuffer(widget.values, dtype=np.float32).reshape(shape)


def bundle(view):
    return view._repr_mimebundle_()


def test_steps_are_read_once_and_sent():
    read = Read()
    view = attention_steps(read, "a b\n", "Steps")
    widget = view.widget
    assert read.asked == ["a b\n"]
    assert widget.characters == ["a", "␣", "b", "↵"]
    assert (widget.layers, widget.steps) == (["layer 1", "layer 2"], STEPS)
    assert widget.heads == 3
    for step, name in enumerate(STEPS):
        assert np.allclose(values_of(widget)[1, step], attend(4, 3, 2)[name])
    assert bundle(view)[WIDGET_VIEW]["model_id"] == widget.model_id


def test_it_begins_at_the_last_layer_and_position_and_the_first_step():
    widget = attention_steps(Read(), "abcd", "Steps").widget
    assert (widget.layer, widget.head, widget.row, widget.step) == (1, 0, 3, 0)


def test_the_twin_tells_every_number_of_the_last_position():
    view = attention_steps(Read(), "abc", "Steps")
    steps = attend(3, 3, 2)
    score, scaled, _, weight = (steps[name][0, 2, 1] for name in STEPS)
    told = f"score q·k {score:.2f}, ÷ √H {scaled:.2f}, mask the future {scaled:.2f}"
    told = f"“b” (1 back) {told}, softmax {100 * weight:.1f} %".replace("-", "−")
    assert told in view.twin.words
    assert "“c” (itself)" in view.twin.words
    assert view.twin.words.startswith("Steps: layer 2, head 1, position 3, c,")
    assert "not shown" not in view.twin.words
    assert view.twin.png.startswith(b"\x89PNG")


def test_numbers_are_told_as_they_are_written_at_the_bars():
    assert in_words(0.0004, is_weight=True) == "<0.1 %"
    assert in_words(0.0, is_weight=True) == "0.0 %"
    assert in_words(-np.inf, is_weight=False) == "−∞"
    assert in_words(-1.5, is_weight=False) == "−1.50"


def test_a_long_twin_says_how_many_places_it_leaves_out():
    words = attention_steps(Read(), "x" * 64, "Steps").twin.words
    assert words.count("score q·k") == 10
    assert words.endswith("54 weaker places are not shown.")


def test_the_strongest_are_shown_with_the_one_that_looks_and_the_first_after():
    weights = np.zeros(30)
    weights[[3, 9, 15]] = 0.5, 0.3, 0.2
    shown = strongest(weights, 20)
    assert shown == [3, 9, 14, 15, 16, 17, 18, 19, 20, 21]  # of equals the nearest
    assert strongest(weights[:21], 20)[-1] == 20
    assert strongest(np.array([1.0]), 0) == [0]
    assert strongest(np.array([0.6, 0.4, 0.0, 0.0]), 1) == [0, 1, 2]


def test_a_look_ahead_is_shown_where_there_is_no_mask():
    assert strongest(np.array([0.1, 0.1, 0.2, 0.6]), 0) == [0, 1, 2, 3]


def test_scores_share_one_scale_and_other_steps_have_their_own():
    columns = [[8.0, -4.0], [2.0, -1.0], [-np.inf, 2.0], [7.4, 0.4], [0.9, 0.1]]
    columns = [np.array(column) for column in columns]
    limits = limits_of(columns, [0, 1])
    assert limits == [(-4, 8), (-4, 8), (0, 2), (0, 7.4), (0, 1)]


def test_a_step_is_a_score_where_anything_is_negative_but_for_the_mask():
    values = np.ones((2, 3, 1, 2, 2))
    values[1, 0, 0, 1, 0] = -1
    values[:, 1, 0, 0, 1] = -np.inf
    assert scores_of(values) == [0]


def test_a_new_text_brings_new_values_and_keeps_what_was_chosen():
    read = Read()
    widget = attention_steps(read, "abc", "Steps").widget
    widget.layer, widget.head, widget.step = 0, 2, 3
    widget.text = "hello"
    assert read.asked == ["abc", "hello"]
    assert widget.characters == list("hello")
    assert np.allclose(values_of(widget)[0, 0], attend(5, 3, 1)[STEPS[0]])
    assert (widget.layer, widget.head, widget.row, widget.step) == (0, 2, 4, 3)
    read.layers, read.heads = 1, 1
    widget.layer = 1
    widget.text = "he"
    assert (widget.layer, widget.head, widget.row) == (0, 0, 1)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("a#", "'#' at position 1 is not known"),
        ("", "0 characters given; this view reads 1 to 64"),
        ("y" * 65, "65 characters given; this view reads 1 to 64"),
        ("!", "RuntimeError: out of paper"),
    ],
)
def test_a_text_that_cannot_be_read_says_why_and_keeps_the_picture(text, status):
    widget = attention_steps(Read(), "abc", "Steps").widget
    before = widget.values
    widget.text = text
    assert widget.status == status
    assert (widget.values, widget.characters) == (before, ["a", "b", "c"])
    widget.text = "ab"
    assert (widget.status, widget.characters) == ("", ["a", "b"])


@pytest.mark.parametrize("text", ["x", "<b>&\" '$$", "y" * 64])
def test_one_layer_and_one_head_of_any_text(text):
    view = attention_steps(Read(1, 1), text, NASTY)
    assert values_of(view.widget).shape == (1, 4, 1, len(text), len(text))
    assert "<b>" not in view.twin.html
    assert "&lt;b&gt;" in view.twin.html


def test_two_steps_and_torch_are_enough():
    scores = torch.zeros(1, 2, 2)
    layers = {"only": {"score": scores, "weights": scores.softmax(-1)}}
    view = attention_steps(lambda _: layers, "ab", "Steps")
    assert "score 0.00, weights 50.0 %" in view.twin.words


def broken(step, change):
    """Two good layers, the second with one step changed."""
    layers = {"a": attend(3, 2, 1), "b": attend(3, 2, 2)}
    layers["b"][step] = change(layers["b"][step])
    return layers


def put(array, value):
    array[0, 1, 0] = value
    return array


GOOD = attend(3, 2, 1)


@pytest.mark.parametrize(
    ("layers", "complaint"),
    [
        ({}, "at least one"),
        ({"a": {}}, r"the steps \[\]; it needs at least two"),
        ({"a": {"softmax": GOOD["softmax"]}}, "at least two"),
        ({"a": GOOD, "b": dict(list(GOOD.items())[1:])}, "'b' has the steps .* same"),
        (broken("÷ √H", lambda a: a[:1]), r"'÷ √H' of 'b' has shape \(1, 3, 3\)"),
        (broken("÷ √H", lambda a: a[:, :2]), r"3 characters need \(N, 3, 3\)"),
        (broken("÷ √H", lambda a: a[0]), r"has shape \(3, 3\)"),
        ({"a": {"s": np.eye(3), "w": np.eye(3)}}, r"has shape \(3, 3\)"),
        ({"a": {"s": np.ones((0, 3, 3)), "w": np.ones((0, 3, 3))}}, r"\(0, 3, 3\)"),
        (broken("÷ √H", lambda a: put(a, np.nan)), "'÷ √H' of 'b' has NaN or"),
        (broken("÷ √H", lambda a: put(a, np.inf)), r"\+inf; it needs numbers, or -inf"),
        (broken("softmax", lambda a: put(a, np.nan)), "'softmax' of 'b' has NaN"),
        (broken("softmax", lambda a: put(a, -0.1)), r"in \[0, 1\], but goes from -0.1"),
        (broken("softmax", lambda a: put(a, 1.5)), r"goes from 0 to 1\.5"),
        (broken("softmax", lambda a: a / 2), "its rows need the sum 1, one has 0.5"),
        (broken("softmax", lambda a: softmax(a.mT * 9).mT), "need the sum 1"),
    ],
)
def test_steps_say_what_does_not_fit(layers, complaint):
    with pytest.raises(ValueError, match=complaint):
        attention_steps(lambda _: layers, "abc", "Steps")


def test_a_page_reads_only_what_the_kernel_sends():
    traits = AttentionStepsWidget.class_trait_names(sync=True)
    script = str(AttentionStepsWidget._esm)
    names = re.findall(r'(?:model\.get|choose|chosen)\("(\w+)"', script)
    assert {"values", "row", "step", "layer", "head", "text"} <= {*names}
    for name in names:
        assert name in traits


def test_it_can_begin_elsewhere_where_the_mask_is_seen():
    view = attention_steps(Read(), "abc", "Steps", layer="layer 1", row=1)
    assert (view.widget.layer, view.widget.row) == (0, 1)
    assert view.twin.words.startswith("Steps: layer 1, head 1, position 2, b,")
    assert "(1 ahead)" in view.twin.words
    with pytest.raises(ValueError, match=r"layer='layer 9' and row=2: there are"):
        attention_steps(Read(), "abc", "Steps", layer="layer 9")
    with pytest.raises(ValueError, match="rows 0 to 2"):
        attention_steps(Read(), "abc", "Steps", row=3)

"""The attention map: what is computed for a text, and what cannot be shown."""

import numpy as np
import pytest
import torch

from gpt_lib import views
from gpt_lib.views.picture import WIDGET_VIEW
from tests.views.page_data import alt_of, bundle, decode_floats

NASTY = "<b>\"x\" & 'y'"


def causal(heads, size, strength):
    """Weights that prefer a position's own and then the nearest."""
    scores = strength * np.arange(size) * np.ones((heads, size, 1))
    hidden = np.triu(np.ones((size, size), dtype=bool), 1)
    powers = np.where(hidden, 0, np.exp(scores - scores.max()))
    return powers / powers.sum(-1, keepdims=True)


class GetWeights:
    """Weights for letters; remembers the texts it was called with."""

    def __init__(self, heads=2, frames=(0, 1)):
        self.heads, self.frames, self.texts = heads, frames, []

    def __call__(self, text):
        self.texts.append(text)
        if "#" in text:
            raise ValueError(f"'#' at position {text.index('#')} is not known")
        if "!" in text:
            raise RuntimeError("out of paper")
        size = len(text)
        return {f"step {m}": causal(self.heads, size, m) for m in self.frames}


def weights_of(widget):
    size = len(widget.labels)
    shape = (len(widget.frames), widget.heads, size, size)
    return decode_floats(widget.weights, *shape)


def test_an_attention_map_computes_weights_once_and_shows_them():
    get_weights = GetWeights()
    view = views.attention_map(get_weights, "a b\n", "Who looks where")
    assert get_weights.texts == ["a b\n"]
    assert view.widget.labels == ["a", "␣", "b", "↵"]
    assert view.widget.frames == ["step 0", "step 1"]
    assert np.allclose(weights_of(view.widget)[1], causal(2, 4, 1))
    assert bundle(view)[WIDGET_VIEW]["model_id"] == view.widget.model_id


def test_an_attention_maps_fallback_describes_where_the_last_position_looks():
    view = views.attention_map(GetWeights(), "abc", "Who looks where")
    strongest = causal(2, 3, 1)[0, -1]
    targets = f"head 1 at c (0 back) {strongest[2]:.1%}, b (1 back) {strongest[1]:.1%}"
    assert targets in view.fallback.description
    assert "Who looks where, step 1. Map of 3 tokens, 2 heads" in alt_of(view)


def test_a_new_text_brings_new_weights():
    get_weights = GetWeights()
    widget = views.attention_map(get_weights, "abc", "Map").widget
    widget.text = "hello"
    assert get_weights.texts == ["abc", "hello"]
    assert widget.labels == list("hello")
    assert np.allclose(weights_of(widget)[1], causal(2, 5, 1))


def test_a_frame_is_a_trait_that_begins_last_and_outlives_a_new_text():
    get_weights = GetWeights(frames=(0, 1, 2))
    widget = views.attention_map(get_weights, "abc", "Map").widget
    assert widget.frame == 2
    assert not widget.linked
    widget.frame = 1
    widget.text = "ab"
    assert widget.frame == 1
    get_weights.frames = (0,)
    widget.text = "a"
    assert widget.frame == 0


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("a#", "'#' at position 1 is not known"),
        ("", "0 tokens given; this view shows 1 to 64"),
        ("y" * 65, "65 tokens given; this view shows 1 to 64"),
        ("!", "RuntimeError: out of paper"),
    ],
)
def test_a_text_that_cannot_be_read_says_why_and_keeps_the_map(text, status):
    widget = views.attention_map(GetWeights(), "abc", "Map").widget
    before = widget.weights
    widget.text = text
    assert widget.status == status
    assert (widget.weights, widget.labels) == (before, ["a", "b", "c"])
    widget.text = "ab"
    assert widget.status == ""
    assert widget.labels == ["a", "b"]


@pytest.mark.parametrize("text", ["x", "y" * 64, "<b>&\" '$$"])
def test_an_attention_map_of_one_head_in_one_frame(text):
    view = views.attention_map(GetWeights(heads=1, frames=[3]), text, NASTY)
    assert weights_of(view.widget).shape == (1, 1, len(text), len(text))
    assert len(view.widget.weights) <= 4 / 3 * 4 * len(text) ** 2 + 4  # base64
    assert "&lt;b&gt;" in alt_of(view)
    assert len(view.fallback.html) < 60_000


def test_an_attention_map_takes_torch_and_many_heads():
    maps = torch.from_numpy(causal(6, 3, 1))
    view = views.attention_map(lambda _: {"now": maps}, "abc", "Map")
    assert "6 heads" in view.fallback.description
    assert "head 4 at" in view.fallback.description
    assert "head 5 at" not in view.fallback.description


@pytest.mark.parametrize(
    ("maps", "complaint"),
    [
        ({}, "at least one frame"),
        ({"a": np.eye(3)}, r"'a' have shape \(3, 3\); 3 tokens need \(N, 3, 3\)"),
        ({"a": np.ones((2, 3, 2))}, r"'a' have shape \(2, 3, 2\); 3 tokens need"),
        ({"a": np.ones((2, 3, 3)), "b": np.ones((1, 3, 3))}, "'b' have shape"),
        ({"a": np.ones((0, 3, 3))}, r"'a' have shape \(0, 3, 3\)"),
        ({"a": np.full((1, 3, 3), np.nan)}, "'a' are not all finite"),
    ],
)
def test_an_attention_map_says_what_does_not_fit(maps, complaint):
    with pytest.raises(ValueError, match=complaint):
        views.attention_map(lambda _: maps, "abc", "Map")


def test_a_frame_can_be_chosen_and_must_exist():
    view = views.attention_map(GetWeights(), "abc", "Map", "step 0")
    assert view.widget.frame == 0
    assert "Map, step 0. Map of 3 tokens" in view.fallback.description
    with pytest.raises(
        ValueError, match=r"frame='x' is not one of \['step 0', 'step 1'\]"
    ):
        views.attention_map(GetWeights(), "abc", "Map", "x")


def test_a_map_of_words_has_their_labels():
    def get_weights(text):
        return {"now": causal(1, len(text.split()), 1)}

    widget = views.attention_map(
        get_weights, "to be", "Map", split_text=str.split
    ).widget
    assert widget.labels == ["to", "be"]
    widget.text = "or not to"
    assert widget.labels == ["or", "not", "to"]
    assert weights_of(widget).shape == (1, 1, 3, 3)

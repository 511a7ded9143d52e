"""The loss heatmap: shades, top tokens, and a strip for each model."""

import numpy as np
import pytest
import torch

from gpt_lib import views
from gpt_lib.views.picture import WIDGET_VIEW
from gpt_lib.views.tokens.shaded_text import picture_of_strips
from gpt_lib.views.tokens.shades import BLACK_ON_WHITE, SHADES
from tests.views.page_data import alt_of, bundle, decode_floats

NASTY = "<b>\"x\" & 'y'"


def top_tokens(text, pairs=(("e", 0.5), ("\n", 0.25))):
    return [[], *[list(pairs)] * (len(text) - 1)]


def heatmap(text, losses, title="Heat"):
    return views.loss_heatmap(
        text, losses, {name: top_tokens(text) for name in losses}, title
    )


def test_a_heatmap_describes_each_models_mean_and_its_largest_loss():
    losses = {"bigram": [np.nan, 1, 5, 0], "GPT": torch.tensor([0.5, 0.5, 1, 0])}
    view = heatmap("a\n<b", losses)
    assert view.fallback.description == (
        "Heat. bigram: 2.00 nats a token, most surprised by “<” after “a↵” (5.00);"
        " GPT: 0.50 nats a token, most surprised by “<” after “a↵” (1.00)."
    )
    assert bundle(view)["text/plain"] == repr(view)
    assert bundle(view)[WIDGET_VIEW]["model_id"] == view.widget.model_id
    assert view.widget.frame == -1  # shows every model


def test_a_heatmap_shades_by_fixed_steps():
    losses = [np.nan, 0.1, 0.7, 1.5, 3, 9, np.inf]
    widget = heatmap("abcdefg", {"m": losses}).widget
    assert list(widget.shades) == [5, 0, 1, 2, 3, 4, 4]
    assert widget.legend == ["0–0.5", "0.5–1", "1–2", "2–4", "over 4", "no past"]
    assert len(widget.legend) == len(SHADES)


def test_a_heatmaps_widget_holds_the_top_tokens():
    widget = heatmap("a\n", {"m": [np.nan, 2]}).widget
    assert widget.labels == ["a", "↵"]
    assert widget.top_labels == [""] * 5 + ["e", "↵", "", "", ""]
    probabilities = decode_floats(widget.top_probabilities)
    assert probabilities.tolist() == [0] * 5 + [0.5, 0.25, 0, 0, 0]
    assert np.isnan(decode_floats(widget.losses)[0])
    many = [[("x", 0.1)] * 9]
    widget = views.loss_heatmap("a", {"m": [1]}, {"m": many}, "Heat").widget
    assert widget.top_labels == ["x"] * 5


def test_a_heatmaps_fallback_draws_a_strip_for_each_model(monkeypatch):
    calls = []

    def draw(strips, title, description, legend):
        calls.append((strips, title, legend))
        return picture_of_strips(strips, title, description, legend)

    monkeypatch.setattr("gpt_lib.views.tokens.loss_heatmap.picture_of_strips", draw)
    heatmap("a\nb", {"bigram": [np.nan, 1, 5], "GPT": [0, 0, 3]}, "Title")
    [([bigram, gpt], title, legend)] = calls
    assert title == "Title"
    assert bigram.text == gpt.text == "a\nb"
    assert bigram.heading == "bigram: 3.00 nats a token"
    assert list(bigram.shades) == [SHADES[5], SHADES[2], SHADES[4]]
    assert list(gpt.shades) == [BLACK_ON_WHITE, BLACK_ON_WHITE, SHADES[3]]
    assert legend.text.startswith("loss in nats:  0–0.5 ")
    assert legend.text.endswith(" no past ")


def test_a_heatmaps_legend_names_what_is_in_use(monkeypatch):
    legends = []

    def draw(strips, title, description, legend):
        legends.append(legend.text)
        return picture_of_strips(strips, title, description, legend)

    monkeypatch.setattr("gpt_lib.views.tokens.loss_heatmap.picture_of_strips", draw)
    heatmap("ab", {"m": [1, 2]})
    assert legends[0].endswith(" over 4 ")


def test_a_heatmaps_fallback_is_escaped_and_can_be_copied():
    view = heatmap('<b>\n"&', {"<i>": [3, 3, 3, 3, 0, 0]}, NASTY)
    assert '&lt;b&gt;\n"&amp;</pre>' in view.fallback.html
    assert "<i>" not in view.fallback.html
    assert NASTY not in view.fallback.html
    assert "&lt;i&gt;: 2.00 nats" in alt_of(view)


def test_a_long_heatmap_says_that_its_picture_is_cut():
    view = heatmap("a\n" * 30, {"m": [1] * 60})
    assert view.fallback.description.endswith("). The picture shows 24 of 30 lines.")


def test_a_heatmap_of_one_character_without_a_past():
    view = heatmap("a", {"m": [np.nan]})
    assert view.fallback.description == "Heat. m: no past."
    assert list(view.widget.shades) == [5]


def test_a_heatmap_of_seven_models_stays_small():
    rng = np.random.default_rng(1)
    text = "First Citizen:\nBefore we proceed any further" * 7
    losses = {f"model {m}": rng.exponential(2.5, size=300) for m in range(7)}
    view = heatmap(text[:300], losses)
    assert len(view.fallback.html) < 150_000


@pytest.mark.parametrize(
    ("text", "losses", "top_tokens", "complaint"),
    [
        ("", {"m": []}, {"m": []}, "needs a text"),
        ("ab", {}, {}, "at least one model"),
        ("ab", {"m": [1]}, {"m": [[], []]}, r"'m' have shape \(1,\); .*needs \(2,\)"),
        ("ab", {"m": [1, 2]}, {"m": [[]]}, "'m' are 1 lists; .* needs 2"),
        ("ab", {"m": [1, 2]}, {"n": [[], []]}, r"for \['n'\], losses for \['m'\]"),
    ],
)
def test_a_heatmap_says_what_does_not_fit(text, losses, top_tokens, complaint):
    with pytest.raises(ValueError, match=complaint):
        views.loss_heatmap(text, losses, top_tokens, "Heat")


def test_a_heatmap_of_words_shades_all_characters_of_each(monkeypatch):
    strips = []

    def draw(drawn, title, description, legend):
        strips.extend(drawn)
        return picture_of_strips(drawn, title, description, legend)

    monkeypatch.setattr("gpt_lib.views.tokens.loss_heatmap.picture_of_strips", draw)
    words = ["to", " be"]
    view = views.loss_heatmap(words, {"m": [1.5, 9]}, {"m": [[], []]}, "Heat")
    assert view.widget.labels == ["to", "␣be"]
    assert strips[0].text == "to be"
    assert list(strips[0].shades) == [SHADES[2]] * 2 + [SHADES[4]] * 3
    assert "most surprised by “␣be” after “to” (9.00)" in view.fallback.description

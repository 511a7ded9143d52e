"""Views of text and of its reading: mixer, attention map, heat text, ladder."""

import re

import numpy as np
import pytest
import torch

from gpt_lib import views
from gpt_lib.views.picture import WIDGET_VIEW
from gpt_lib.views.tokens.shades import PLAIN, SHADES, picture_of_text

NASTY = "<b>\"x\" & 'y'"


def bundle(view):
    return view._repr_mimebundle_()


def alt_of(view):
    [alt] = re.findall(r'<img alt="([^"]+)"', bundle(view)["text/html"])
    return alt


def softmax(scores):
    powers = np.exp(np.asarray(scores) - np.max(scores))
    return powers / powers.sum()


# The mixer

TOKENS = ["the", "animal", "was", "tired"]
FEATURES = ["alive", "size"]
VALUES = np.array([[0, 0.5], [1, 2], [0, -3], [0.25, 4]])


def sliders_of(view):
    _, both = view.widget.children
    left, page = both.children
    *rows, button, _ = left.children
    return [row.children[0] for row in rows], page, button


def shown_mix(page):
    return [float(number) for number in re.findall(r"<b>(.*?)</b>", page.value)]


def shown_percents(page):
    cells = re.findall(r"<td>([\d.]+)%</td>", page.value)
    return [float(number) for number in cells[:-1]]  # the last is their sum


def test_a_mixer_begins_with_equal_scores():
    view = views.mixer(TOKENS, VALUES, FEATURES, "Whom?")
    sliders, page, _ = sliders_of(view)
    assert [slider.value for slider in sliders] == [0] * 4
    assert [slider.description for slider in sliders] == TOKENS
    assert shown_percents(page) == [25] * 4
    assert shown_mix(page) == pytest.approx(VALUES.mean(0), abs=0.006)
    assert bundle(view)[WIDGET_VIEW]["model_id"] == view.widget.model_id


def test_moving_a_slider_changes_weights_and_mix():
    sliders, page, button = sliders_of(views.mixer(TOKENS, VALUES, FEATURES, "Whom?"))
    scores = [0.0, 3.1, -6.0, 1.5]
    for slider, score in zip(sliders, scores):
        slider.value = score
    weights = softmax(scores)
    assert shown_percents(page) == pytest.approx(100 * weights, abs=0.051)
    assert shown_mix(page) == pytest.approx(weights @ VALUES, abs=0.006)
    button.click()
    assert [slider.value for slider in sliders] == [0] * 4
    assert shown_percents(page) == [25] * 4


def test_a_number_box_is_named_after_its_token():
    _, both = views.mixer(TOKENS, VALUES, FEATURES, "Whom?").widget.children
    boxes = [row.children[1] for row in both.children[0].children[:-2]]
    assert [box.description for box in boxes] == [f"score of {t}" for t in TOKENS]


def test_a_mixers_twin_tells_the_first_weights_and_their_mix():
    scores = [0, 2, 0, -1]
    view = views.mixer(TOKENS, VALUES, FEATURES, "Whom?", start=scores)
    weights = softmax(scores)
    assert f"animal (score 2) {weights[1]:.1%}" in view.twin.words
    assert f"mix: alive {weights @ VALUES[:, 0]:.2f}, size" in repr(view)
    assert "Whom? – weights" in alt_of(view)


def test_a_mixer_takes_torch_one_token_and_words_that_look_like_html():
    view = views.mixer([NASTY], torch.ones(1, 1), [NASTY], NASTY, torch.tensor([6.0]))
    heading, both = view.widget.children
    assert "<b>&quot;" not in heading.value
    assert shown_percents(both.children[1]) == [100]
    for page in (heading.value.replace("<b>", "", 1), both.children[1].value):
        assert '<b>"x"' not in page
        assert "&lt;b&gt;" in page
    assert alt_of(view)


@pytest.mark.parametrize(
    ("values", "start", "complaint"),
    [
        (VALUES[:3], None, r"shape \(3, 2\); 4 tokens with 2 features need \(4, 2\)"),
        (VALUES, [0, 0], r"start has shape \(2,\); 4 tokens need \(4,\)"),
        (VALUES, [0, 0, 0, 9], r"start=\[0.0, 0.0, 0.0, 9.0\] leaves the range ±6"),
        (VALUES, [0, 0, 0, np.nan], "leaves the range"),
    ],
)
def test_a_mixer_says_what_does_not_fit(values, start, complaint):
    with pytest.raises(ValueError, match=complaint):
        views.mixer(TOKENS, values, FEATURES, "Whom?", start)


# The attention map


def causal(heads, size, strength):
    """Weights that prefer a position's own and then the nearest."""
    scores = strength * np.arange(size) * np.ones((heads, size, 1))
    hidden = np.triu(np.ones((size, size), dtype=bool), 1)
    powers = np.where(hidden, 0, np.exp(scores - scores.max()))
    return powers / powers.sum(-1, keepdims=True)


class Read:
    """Reads letters; remembers what it was asked."""

    def __init__(self, heads=2, moments=(0, 1)):
        self.heads, self.moments, self.asked = heads, moments, []

    def __call__(self, text):
        self.asked.append(text)
        if "#" in text:
            raise ValueError(f"'#' at position {text.index('#')} is not known")
        if "!" in text:
            raise RuntimeError("out of paper")
        size = len(text)
        return {f"step {m}": causal(self.heads, size, m) for m in self.moments}


def weights_of(widget):
    size = len(widget.characters)
    stack = np.frombuffer(widget.weights, dtype=np.float32)
    return stack.reshape(len(widget.moments), widget.heads, size, size)


def test_an_attention_map_reads_once_and_shows_it():
    read = Read()
    view = views.attention_map(read, "a b\n", "Who looks where")
    assert read.asked == ["a b\n"]
    assert view.widget.characters == ["a", "␣", "b", "↵"]
    assert view.widget.moments == ["step 0", "step 1"]
    assert np.allclose(weights_of(view.widget)[1], causal(2, 4, 1))
    assert bundle(view)[WIDGET_VIEW]["model_id"] == view.widget.model_id


def test_an_attention_maps_twin_tells_where_the_last_position_looks():
    view = views.attention_map(Read(), "abc", "Who looks where")
    strongest = causal(2, 3, 1)[0, -1]
    told = f"head 1 at c (0 back) {strongest[2]:.1%}, b (1 back) {strongest[1]:.1%}"
    assert told in view.twin.words
    assert "Who looks where, step 1. Map of 3 characters, 2 heads" in alt_of(view)


def test_a_new_text_brings_new_weights():
    read = Read()
    widget = views.attention_map(read, "abc", "Map").widget
    widget.text = "hello"
    assert read.asked == ["abc", "hello"]
    assert widget.characters == list("hello")
    assert np.allclose(weights_of(widget)[1], causal(2, 5, 1))


def test_a_moment_is_a_trait_that_begins_last_and_outlives_a_new_text():
    read = Read(moments=(0, 1, 2))
    widget = views.attention_map(read, "abc", "Map").widget
    assert widget.moment == 2
    assert not widget.driven
    widget.moment = 1
    widget.text = "ab"
    assert widget.moment == 1
    read.moments = (0,)
    widget.text = "a"
    assert widget.moment == 0


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("a#", "'#' at position 1 is not known"),
        ("", "0 characters given; the map reads 1 to 64"),
        ("y" * 65, "65 characters given; the map reads 1 to 64"),
        ("!", "RuntimeError: out of paper"),
    ],
)
def test_a_text_that_cannot_be_read_says_why_and_keeps_the_map(text, status):
    widget = views.attention_map(Read(), "abc", "Map").widget
    before = widget.weights
    widget.text = text
    assert widget.status == status
    assert (widget.weights, widget.characters) == (before, ["a", "b", "c"])
    widget.text = "ab"
    assert widget.status == ""
    assert widget.characters == ["a", "b"]


@pytest.mark.parametrize("text", ["x", "y" * 64, "<b>&\" '$$"])
def test_an_attention_map_of_one_head_at_one_moment(text):
    view = views.attention_map(Read(heads=1, moments=[3]), text, NASTY)
    assert weights_of(view.widget).shape == (1, 1, len(text), len(text))
    assert len(view.widget.weights) == 4 * len(text) ** 2
    assert "&lt;b&gt;" in alt_of(view)
    assert len(view.twin.html) < 60_000


def test_an_attention_map_takes_torch_and_many_heads():
    maps = torch.from_numpy(causal(6, 3, 1))
    view = views.attention_map(lambda _: {"now": maps}, "abc", "Map")
    assert "6 heads" in view.twin.words
    assert "head 4 at" in view.twin.words
    assert "head 5 at" not in view.twin.words


@pytest.mark.parametrize(
    ("maps", "complaint"),
    [
        ({}, "at least one moment"),
        ({"a": np.eye(3)}, r"'a' have shape \(3, 3\); 3 characters need \(N, 3, 3\)"),
        ({"a": np.ones((2, 3, 2))}, r"'a' have shape \(2, 3, 2\); 3 characters need"),
        ({"a": np.ones((2, 3, 3)), "b": np.ones((1, 3, 3))}, "'b' have shape"),
        ({"a": np.ones((0, 3, 3))}, r"'a' have shape \(0, 3, 3\)"),
        ({"a": np.full((1, 3, 3), np.nan)}, "'a' are not all finite"),
    ],
)
def test_an_attention_map_says_what_does_not_fit(maps, complaint):
    with pytest.raises(ValueError, match=complaint):
        views.attention_map(lambda _: maps, "abc", "Map")


# Heat text


def guesses(text, pairs=(("e", 0.5), ("\n", 0.25))):
    return [[], *[list(pairs)] * (len(text) - 1)]


def heat(text, losses, title="Heat"):
    return views.heat_text(
        text, losses, {name: guesses(text) for name in losses}, title
    )


def test_a_heat_text_tells_each_models_mean_and_its_surprise():
    losses = {"bigram": [np.nan, 1, 5, 0], "GPT": torch.tensor([0.5, 0.5, 1, 0])}
    view = heat("a\n<b", losses)
    assert view.twin.words == (
        "Heat. bigram: 2.00 nats a character, most surprised by “<” after “a↵” (5.00);"
        " GPT: 0.50 nats a character, most surprised by “<” after “a↵” (1.00)."
    )
    assert bundle(view)["text/plain"] == repr(view)
    assert bundle(view)[WIDGET_VIEW]["model_id"] == view.widget.model_id
    assert view.widget.moment == -1  # shows every model


def test_a_heat_text_shades_by_fixed_steps():
    losses = [np.nan, 0.1, 0.7, 1.5, 3, 9, np.inf]
    widget = heat("abcdefg", {"m": losses}).widget
    assert list(widget.shades) == [5, 0, 1, 2, 3, 4, 4]
    assert widget.legend == ["0–0.5", "0.5–1", "1–2", "2–4", "over 4", "no past"]
    assert len(widget.styles) == 6


def test_a_heat_texts_widget_holds_what_was_expected():
    widget = heat("a\n", {"m": [np.nan, 2]}).widget
    assert widget.characters == ["a", "↵"]
    assert widget.guesses == [""] * 5 + ["e", "↵", "", "", ""]
    chances = np.frombuffer(widget.chances, dtype=np.float32)
    assert chances.tolist() == [0] * 5 + [0.5, 0.25, 0, 0, 0]
    assert np.isnan(np.frombuffer(widget.losses, dtype=np.float32)[0])
    many = [[("x", 0.1)] * 9]
    widget = views.heat_text("a", {"m": [1]}, {"m": many}, "Heat").widget
    assert widget.guesses == ["x"] * 5


def test_a_heat_texts_twin_draws_a_strip_for_each_model(monkeypatch):
    seen = []

    def draw(strips, title, words, key):
        seen.append((strips, title, key))
        return picture_of_text(strips, title, words, key)

    monkeypatch.setattr("gpt_lib.views.tokens.loss_heatmap.picture_of_text", draw)
    heat("a\nb", {"bigram": [np.nan, 1, 5], "GPT": [0, 0, 3]}, "Title")
    [([bigram, gpt], title, key)] = seen
    assert title == "Title"
    assert bigram.text == gpt.text == "a\nb"
    assert bigram.heading == "bigram: 3.00 nats a character"
    assert list(bigram.shades) == [SHADES[5], SHADES[2], SHADES[4]]
    assert list(gpt.shades) == [PLAIN, PLAIN, SHADES[3]]
    assert key.text.startswith("loss in nats:  0–0.5 ")
    assert key.text.endswith(" no past ")


def test_a_heat_texts_key_names_what_is_in_use(monkeypatch):
    keys = []

    def draw(strips, title, words, key):
        keys.append(key.text)
        return picture_of_text(strips, title, words, key)

    monkeypatch.setattr("gpt_lib.views.tokens.loss_heatmap.picture_of_text", draw)
    heat("ab", {"m": [1, 2]})
    assert keys[0].endswith(" over 4 ")


def test_a_heat_texts_twin_is_escaped_and_can_be_copied():
    view = heat('<b>\n"&', {"<i>": [3, 3, 3, 3, 0, 0]}, NASTY)
    assert '&lt;b&gt;\n"&amp;</pre>' in view.twin.html
    assert "<i>" not in view.twin.html
    assert NASTY not in view.twin.html
    assert "&lt;i&gt;: 2.00 nats" in alt_of(view)


def test_a_long_heat_text_says_that_its_picture_is_cut():
    view = heat("a\n" * 30, {"m": [1] * 60})
    assert view.twin.words.endswith("). The picture shows 24 of 30 lines.")


def test_a_heat_text_of_one_character_without_a_past():
    view = heat("a", {"m": [np.nan]})
    assert view.twin.words == "Heat. m: no past."
    assert list(view.widget.shades) == [5]


def test_a_heat_text_of_seven_models_stays_small():
    rng = np.random.default_rng(1)
    text = "First Citizen:\nBefore we proceed any further" * 7
    losses = {f"model {m}": rng.exponential(2.5, size=300) for m in range(7)}
    view = heat(text[:300], losses)
    assert len(view.twin.html) < 150_000


@pytest.mark.parametrize(
    ("text", "losses", "likeliest", "complaint"),
    [
        ("", {"m": []}, {"m": []}, "needs a text"),
        ("ab", {}, {}, "at least one model"),
        ("ab", {"m": [1]}, {"m": [[], []]}, r"'m' have shape \(1,\); .*needs \(2,\)"),
        ("ab", {"m": [1, 2]}, {"m": [[]]}, "'m' has 1 lists; .* needs 2"),
        ("ab", {"m": [1, 2]}, {"n": [[], []]}, r"for \['n'\], losses for \['m'\]"),
    ],
)
def test_a_heat_text_says_what_does_not_fit(text, losses, likeliest, complaint):
    with pytest.raises(ValueError, match=complaint):
        views.heat_text(text, losses, likeliest, "Heat")


# The ladder


def test_a_ladder_tells_means_and_spreads():
    series = {
        "equal tokens": [[2.5, 2.7], torch.tensor([1.5])],
        "equal seconds": [[], np.array([1.75])],
    }
    picture = views.ladder(["bigram", NASTY], series, "Stages", {"ln 65": 4.174})
    assert picture.png.startswith(b"\x89PNG")
    assert "equal tokens: bigram 2.600 (2.500–2.700), " in picture.words
    assert "equal seconds: bigram not measured, " in picture.words
    assert f"{NASTY} 1.750 (1.750–1.750)" in picture.words
    assert "line ln 65 at 4.174" in picture.words
    assert "&lt;b&gt;" in alt_of(picture)


def test_a_ladder_may_have_no_measurements_yet():
    assert "a not measured" in views.ladder(["a"], {"s": [[]]}, "Empty").words
    assert views.ladder(["a"], {}, "Nothing").png


@pytest.mark.parametrize(
    ("lists", "complaint"),
    [
        ([[1.0]], "'s' has 1 lists of losses; 2 rungs need 2"),
        ([[1.0], 2.0], "'s' has 2.0 for 'b'; it needs a list of finite losses"),
        ([[1.0], [np.nan]], r"'s' has \[nan\] for 'b'"),
    ],
)
def test_a_ladder_says_what_does_not_fit(lists, complaint):
    with pytest.raises(ValueError, match=complaint):
        views.ladder(["a", "b"], {"s": lists}, "Wrong")

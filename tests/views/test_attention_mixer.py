"""The attention mixer: sliders, their softmax, and the mix."""

import re

import numpy as np
import pytest
import torch

from gpt_lib import views
from gpt_lib.views.picture import WIDGET_VIEW
from tests.views.page_data import alt_of, bundle, softmax

NASTY = "<b>\"x\" & 'y'"

TOKENS = ["the", "animal", "was", "tired"]
FEATURES = ["alive", "size"]
VALUES = np.array([[0, 0.5], [1, 2], [0, -3], [0.25, 4]])


def sliders_of(view):
    _, both = view.widget.children
    form, page = both.children
    *rows, button, _ = form.children
    return [row.children[0] for row in rows], page, button


def mix_on(page):
    return [float(number) for number in re.findall(r"<b>(.*?)</b>", page.value)]


def percents_on(page):
    cells = re.findall(r"<td>([\d.]+)%</td>", page.value)
    return [float(number) for number in cells[:-1]]  # the last is their sum


def test_a_mixer_begins_with_equal_scores():
    view = views.attention_mixer(TOKENS, VALUES, FEATURES, "Whom?")
    sliders, page, _ = sliders_of(view)
    assert [slider.value for slider in sliders] == [0] * 4
    assert [slider.description for slider in sliders] == TOKENS
    assert percents_on(page) == [25] * 4
    assert mix_on(page) == pytest.approx(VALUES.mean(0), abs=0.006)
    assert bundle(view)[WIDGET_VIEW]["model_id"] == view.widget.model_id


def test_moving_a_slider_changes_weights_and_mix():
    sliders, page, button = sliders_of(
        views.attention_mixer(TOKENS, VALUES, FEATURES, "Whom?")
    )
    scores = [0.0, 3.1, -6.0, 1.5]
    for slider, score in zip(sliders, scores):
        slider.value = score
    weights = softmax(scores)
    assert percents_on(page) == pytest.approx(100 * weights, abs=0.051)
    assert mix_on(page) == pytest.approx(weights @ VALUES, abs=0.006)
    button.click()
    assert [slider.value for slider in sliders] == [0] * 4
    assert percents_on(page) == [25] * 4


def test_a_number_box_is_named_after_its_token():
    _, both = views.attention_mixer(TOKENS, VALUES, FEATURES, "Whom?").widget.children
    boxes = [row.children[1] for row in both.children[0].children[:-2]]
    assert [box.description for box in boxes] == [f"score of {t}" for t in TOKENS]


def test_a_mixers_fallback_describes_the_first_weights_and_their_mix():
    scores = [0, 2, 0, -1]
    view = views.attention_mixer(TOKENS, VALUES, FEATURES, "Whom?", start=scores)
    weights = softmax(scores)
    assert f"animal (score 2) {weights[1]:.1%}" in view.fallback.description
    assert f"mix: alive {weights @ VALUES[:, 0]:.2f}, size" in repr(view)
    assert "Whom? – weights" in alt_of(view)


def test_a_mixer_takes_torch_one_token_and_words_that_look_like_html():
    view = views.attention_mixer(
        [NASTY], torch.ones(1, 1), [NASTY], NASTY, torch.tensor([6.0])
    )
    heading, both = view.widget.children
    assert "<b>&quot;" not in heading.value
    assert percents_on(both.children[1]) == [100]
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
        views.attention_mixer(TOKENS, values, FEATURES, "Whom?", start)

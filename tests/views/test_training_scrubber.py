"""The scrubber: one slider over a run's checkpoints moves three views of them."""

import base64
import io
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from gpt_lib.views.charts.training_scrubber import (
    CHECKPOINT_DOTS_LEGEND,
    training_scrubber,
)
from gpt_lib.views.picture import WIDGET_VIEW
from tests.views.page_data import decode_floats

NASTY = "<b>\"x\" & 'y' $$"
TEXT, STEPS = "a\n<b?", [0, 100, 400, 800, 1600]


def inputs(K=5, N=5, T=3, heads=2):
    """Arguments for `training_scrubber`; checkpoint k loses K - k everywhere."""
    losses = np.repeat(np.arange(K, 0.0, -1)[:, None], N, axis=1)
    losses[:, 0] = np.nan
    even = np.tril(np.ones((heads, T, T)))
    even /= even.sum(-1, keepdims=True)
    return {
        "steps": STEPS if K == 5 else list(range(0, 80 * K, 80)),
        "curves": {"train": ([0, 800, 1600], [4.2, 2, 1.5]), "held out": ([0], [5])},
        "samples": [f"wrote <{k}>\n& more" for k in range(K)],
        "tokens": (TEXT * N)[:N],
        "losses": losses,
        "top_tokens": [[[], *[[("e", 0.5), ("\n", 0.25)]] * (N - 1)]] * K,
        "maps": np.stack([even * (1 - k / 100) for k in range(K)]),
        "title": "A run",
    }


def scrubber_with(**changes):
    return training_scrubber(**{**inputs(), **changes})


def without(name, index=-1):
    """The inputs' `name` without one of its entries."""
    return np.delete(np.asarray(inputs()[name], dtype=object), index, axis=0).tolist()


def state_size(widget):
    state = {**widget.get_state(), "_esm": ""}
    return sum(len(v if isinstance(v, bytes) else repr(v)) for v in state.values())


def test_the_page_links_three_widgets_that_begin_at_the_last_checkpoint(monkeypatch):
    links = []
    monkeypatch.setattr(
        "gpt_lib.views.charts.training_scrubber.jslink",
        lambda *ends: links.append(ends),
    )
    view = scrubber_with()
    run, heatmap, attention = view.widget.children
    assert [widget.frame for widget in (run, heatmap, attention)] == [4, 4, 4]
    assert links == [
        ((run, "frame"), (heatmap, "frame")),
        ((run, "frame"), (attention, "frame")),
    ]
    assert view._repr_mimebundle_()[WIDGET_VIEW]["model_id"] == view.widget.model_id


def test_the_curves_widget_holds_what_its_page_shows():
    view = scrubber_with()
    run, _, _ = view.widget.children
    assert run.steps == STEPS
    assert run.means == [5, 4, 3, 2, 1]
    assert run.samples[1] == "wrote <1>\n& more"
    assert run.image in view.fallback.html  # drawn once, for the page and the fallback
    assert view.fallback.description.startswith(run.description)


def brightness_at_points(run):
    """The picture's brightness at each point, 0 to 255: its dots are black."""
    data = base64.b64decode(run.image.removeprefix("data:image/png;base64,"))
    picture = Image.open(io.BytesIO(data)).convert("L")
    width, height = picture.size
    return [picture.getpixel((x * width, y * height)) for x, y in run.points]


@pytest.mark.parametrize(
    "changes",
    [{}, {"steps": [0, 1, 200, 300, 9000]}, {"losses": np.full((5, 5), 7.5)}],
)
def test_the_points_are_where_the_picture_has_its_dots(changes):
    run, _, _ = scrubber_with(**changes).widget.children
    assert max(brightness_at_points(run)) < 60
    top, bottom = run.plot
    for (x, y), (next_x, _) in pairwise(run.points):
        assert 0 < x < next_x < 1
        assert 0 < top < y < bottom < 1


def test_the_loss_heatmap_and_the_map_take_their_checkpoint_from_outside():
    arguments = inputs()
    _, heatmap, attention = training_scrubber(**arguments).widget.children
    assert heatmap.names == attention.frames == [f"step {step}" for step in STEPS]
    assert heatmap.means[0] == "5.00 nats a token"
    assert attention.linked
    assert attention.text == "a\n<"
    assert attention.labels == ["a", "↵", "<"]
    weights = decode_floats(attention.weights, 5, 2, 3, 3)
    assert np.allclose(weights, arguments["maps"])


def test_the_fallback_describes_the_curve_and_how_the_writing_grew():
    view = scrubber_with()
    assert view.fallback.description.startswith(
        "A run. loss (nats a token) against training step: train from 4.2 to 1.5;"
        f" held out from 5 to 5; 5 {CHECKPOINT_DOTS_LEGEND}, from 5 to 1."
    )
    assert "\nStep 100 (4.00) wrote: wrote <1>\n& more" in view.fallback.description
    assert repr(view) == view.fallback.description
    assert view.fallback.html.count("<img alt=") == 1
    samples = re.findall(r"<b>step (\d+)</b> ([\d.]+) nats", view.fallback.html)
    assert samples == [
        ("0", "5.00"),
        ("100", "4.00"),
        ("800", "2.00"),
        ("1600", "1.00"),
    ]
    assert "wrote &lt;4&gt;\n&amp; more</pre>" in view.fallback.html


def test_two_checkpoints_are_enough_and_each_is_described_once():
    view = training_scrubber(**inputs(K=2, T=1, heads=1))
    assert re.findall(r"<b>step (\d+)</b>", view.fallback.html) == ["0", "80"]


def test_text_that_looks_like_html_is_escaped_in_the_fallback():
    page = scrubber_with(
        samples=[NASTY] * 5, title=NASTY, curves={NASTY: ([0], [1])}
    ).fallback.html
    assert '<b>"x"' not in page
    assert "&lt;b&gt;" in page


def test_a_scrubber_takes_torch_and_numpys_numbers():
    arguments = inputs()
    view = training_scrubber(
        **{
            **arguments,
            "steps": np.array(STEPS, dtype=float),
            "losses": torch.tensor(arguments["losses"]),
            "maps": torch.tensor(arguments["maps"]),
            "curves": {"train": (torch.arange(3), torch.ones(3))},
        }
    )
    assert view.widget.children[0].steps == STEPS
    assert view.widget.children[2].frames[1] == "step 100"
    assert "Step 1600 (1.00)" in view.fallback.description


def test_twenty_checkpoints_stay_small():
    view = training_scrubber(**inputs(K=20, N=200, T=48, heads=4))
    assert sum(map(state_size, view.widget.children)) < 1_500_000
    assert len(view.fallback.html) < 100_000


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"steps": [7]}, r"steps=\[7\]; needs two or more, increasing"),
        ({"steps": [0, 100, 100, 800, 1600]}, "needs two or more, increasing"),
        ({"samples": without("samples")}, "4 samples; 5 steps need as many"),
        ({"top_tokens": without("top_tokens")}, "4 lists of top tokens; 5 steps"),
        ({"top_tokens": [[[]]] * 5}, "'step 0' are 1 lists; a text of 5 tokens"),
        (
            {"losses": inputs()["losses"][1:]},
            r"losses have shape \(4, 5\); 5 steps and .* need \(5, 5\)",
        ),
        ({"tokens": "", "losses": np.ones((5, 0))}, "at least one token"),
        ({"losses": np.full((5, 5), np.nan)}, "mean losses .* are not all finite"),
        ({"losses": np.full((5, 5), np.inf)}, "mean losses .* are not all finite"),
        ({"curves": {}}, "at least one"),
        (
            {"curves": {"a": ([0, 1], [2])}},
            r"'a' has x of shape \(2,\) and y of .*\(1,",
        ),
        ({"curves": {"a": ([], [])}}, r"both need \(points,\), at least one"),
        ({"curves": {"a": ([0, 1], [2, np.nan])}}, "'a' is not finite everywhere"),
        (
            {"maps": inputs()["maps"][:4]},
            r"maps have shape \(4, 2, 3, 3\); .* need \(5, heads, T, T\)",
        ),
        ({"maps": inputs(T=6, N=6)["maps"]}, "with T from 1 to 5"),
        ({"maps": inputs()["maps"][:, 0]}, r"maps have shape \(5, 3, 3\)"),
        ({"maps": inputs()["maps"][:, :, :2]}, "'step 0' have shape"),
        ({"maps": np.full((5, 2, 3, 3), np.nan)}, "'step 0' are not all finite"),
    ],
)
def test_a_scrubber_says_what_does_not_fit(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        scrubber_with(**changes)

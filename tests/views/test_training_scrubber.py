"""The scrubber: one slider over a run's checkpoints drives three views of them."""

import re
import sys

import numpy as np
import pytest
import torch

from gpt_lib.views.charts.training_scrubber import DOTS_LABEL, scrubber
from gpt_lib.views.picture import WIDGET_VIEW

NASTY = "<b>\"x\" & 'y' $$"
TEXT, STEPS = "a\n<b?", [0, 100, 400, 800, 1600]


def inputs(K=5, N=5, T=3, heads=2):
    """Arguments for `scrubber`; checkpoint k loses K - k everywhere."""
    losses = np.repeat(np.arange(K, 0.0, -1)[:, None], N, axis=1)
    losses[:, 0] = np.nan
    even = np.tril(np.ones((heads, T, T)))
    even /= even.sum(-1, keepdims=True)
    return {
        "steps": STEPS if K == 5 else list(range(0, 80 * K, 80)),
        "curve": {"train": ([0, 800, 1600], [4.2, 2, 1.5]), "held out": ([0], [5])},
        "samples": [f"wrote <{k}>\n& more" for k in range(K)],
        "text": (TEXT * N)[:N],
        "losses": losses,
        "likeliest": [[[], *[[("e", 0.5), ("\n", 0.25)]] * (N - 1)]] * K,
        "maps": np.stack([even * (1 - k / 100) for k in range(K)]),
        "title": "A run",
    }


def scrub(**changes):
    return scrubber(**{**inputs(), **changes})


def without(name, index=-1):
    """The inputs' `name` without one of its entries."""
    return np.delete(np.asarray(inputs()[name], dtype=object), index, axis=0).tolist()


def state_size(widget):
    state = {**widget.get_state(), "_esm": ""}
    return sum(len(v if isinstance(v, bytes) else repr(v)) for v in state.values())


def test_the_page_links_three_widgets_that_begin_at_the_last_checkpoint(monkeypatch):
    links = []
    module = sys.modules[
        "gpt_lib.views.charts.training_scrubber"
    ]  # the name is the function's
    monkeypatch.setattr(module, "jslink", lambda *ends: links.append(ends))
    view = scrub()
    run, heat, looks = view.widget.children
    assert [widget.moment for widget in (run, heat, looks)] == [4, 4, 4]
    assert links == [
        ((run, "moment"), (heat, "moment")),
        ((run, "moment"), (looks, "moment")),
    ]
    assert view._repr_mimebundle_()[WIDGET_VIEW]["model_id"] == view.widget.model_id


def test_the_curves_widget_holds_what_its_page_draws():
    run, _, _ = scrub().widget.children
    assert run.steps == STEPS
    assert run.means == [5, 4, 3, 2, 1]
    assert run.samples[1] == "wrote <1>\n& more"
    assert run.names == ["train", "held out"]
    train = np.frombuffer(run.curves[0], dtype=np.float32).reshape(-1, 2)
    assert np.allclose(train, [[0, 4.2], [800, 2], [1600, 1.5]])
    for ticks, low, high in ((run.x_ticks, 0, 1600), (run.y_ticks, 1, 5)):
        assert ticks == sorted(ticks)
        assert ticks[0] <= low < high <= ticks[-1]


def test_the_axes_have_room_for_checkpoints_off_the_curve():
    run, _, _ = scrub(steps=[0, 1, 2, 3, 9000]).widget.children
    assert run.x_ticks[-1] >= 9000
    run, _, _ = scrub(losses=np.full((5, 5), 7.5)).widget.children
    assert run.y_ticks[-1] >= 7.5


def test_the_heat_text_and_the_map_take_their_checkpoint_from_outside():
    given = inputs()
    _, heat, looks = scrubber(**given).widget.children
    assert heat.names == looks.moments == [f"step {step}" for step in STEPS]
    assert heat.means[0] == "5.00 nats a character"
    assert looks.driven
    assert looks.text == "a\n<"
    assert looks.characters == ["a", "↵", "<"]
    weights = np.frombuffer(looks.weights, dtype=np.float32).reshape(5, 2, 3, 3)
    assert np.allclose(weights, given["maps"])


def test_the_twin_tells_the_curve_and_how_the_writing_grew():
    view = scrub()
    assert view.twin.words.startswith(
        "A run. loss (nats a character) against training step: train from 4.2 to 1.5;"
        f" held out from 5 to 5; 5 {DOTS_LABEL}, from 5 to 1."
    )
    assert "\nStep 100 (4.00) wrote: wrote <1>\n& more" in view.twin.words
    assert repr(view) == view.twin.words
    assert view.twin.html.count("<img alt=") == 1
    shown = re.findall(r"<b>step (\d+)</b> ([\d.]+) nats", view.twin.html)
    assert shown == [("0", "5.00"), ("100", "4.00"), ("800", "2.00"), ("1600", "1.00")]
    assert "wrote &lt;4&gt;\n&amp; more</pre>" in view.twin.html


def test_two_checkpoints_are_enough_and_each_is_told_once():
    view = scrubber(**inputs(K=2, T=1, heads=1))
    assert re.findall(r"<b>step (\d+)</b>", view.twin.html) == ["0", "80"]


def test_text_that_looks_like_html_is_escaped_in_the_twin():
    page = scrub(samples=[NASTY] * 5, title=NASTY, curve={NASTY: ([0], [1])}).twin.html
    assert '<b>"x"' not in page
    assert "&lt;b&gt;" in page


def test_a_scrubber_takes_torch_and_numpys_numbers():
    given = inputs()
    view = scrubber(
        **{
            **given,
            "steps": np.array(STEPS, dtype=float),
            "losses": torch.tensor(given["losses"]),
            "maps": torch.tensor(given["maps"]),
            "curve": {"train": (torch.arange(3), torch.ones(3))},
        }
    )
    assert view.widget.children[0].steps == STEPS
    assert view.widget.children[2].moments[1] == "step 100"
    assert "Step 1600 (1.00)" in view.twin.words


def test_twenty_checkpoints_stay_small():
    view = scrubber(**inputs(K=20, N=200, T=48, heads=4))
    assert sum(map(state_size, view.widget.children)) < 1_500_000
    assert len(view.twin.html) < 100_000


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"steps": [7]}, r"steps=\[7\]; needs two or more, increasing"),
        ({"steps": [0, 100, 100, 800, 1600]}, "needs two or more, increasing"),
        ({"samples": without("samples")}, "4 samples; 5 steps need as many"),
        ({"likeliest": without("likeliest")}, "4 lists of likeliest; 5 steps"),
        ({"likeliest": [[[]]] * 5}, "'step 0' has 1 lists; a text of 5 characters"),
        (
            {"losses": inputs()["losses"][1:]},
            r"losses have shape \(4, 5\); 5 steps and .* need \(5, 5\)",
        ),
        ({"text": "", "losses": np.ones((5, 0))}, "at least one character"),
        ({"losses": np.full((5, 5), np.nan)}, "mean losses .* are not all finite"),
        ({"losses": np.full((5, 5), np.inf)}, "mean losses .* are not all finite"),
        ({"curve": {}}, "at least one"),
        ({"curve": {"a": ([0, 1], [2])}}, r"'a' has x of shape \(2,\) and y of .*\(1,"),
        ({"curve": {"a": ([], [])}}, r"both need \(points,\), at least one"),
        ({"curve": {"a": ([0, 1], [2, np.nan])}}, "'a' is not finite everywhere"),
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
        scrub(**changes)

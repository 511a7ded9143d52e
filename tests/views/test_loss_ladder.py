"""The loss ladder: means and spreads of every rung."""

import numpy as np
import pytest
import torch

from gpt_lib import views
from tests.views.page_data import alt_of

NASTY = "<b>\"x\" & 'y'"


def test_a_ladder_tells_means_and_spreads():
    series = {
        "equal tokens": [[2.5, 2.7], torch.tensor([1.5])],
        "equal seconds": [[], np.array([1.75])],
    }
    picture = views.loss_ladder(["bigram", NASTY], series, "Stages", {"ln 65": 4.174})
    assert picture.png.startswith(b"\x89PNG")
    assert "equal tokens: bigram 2.600 (2.500–2.700), " in picture.description
    assert "equal seconds: bigram not measured, " in picture.description
    assert f"{NASTY} 1.750 (1.750–1.750)" in picture.description
    assert "line ln 65 at 4.174" in picture.description
    assert "&lt;b&gt;" in alt_of(picture)


def test_a_ladder_may_have_no_measurements_yet():
    assert (
        "a not measured" in views.loss_ladder(["a"], {"s": [[]]}, "Empty").description
    )
    assert views.loss_ladder(["a"], {}, "Nothing").png


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
        views.loss_ladder(["a", "b"], {"s": lists}, "Wrong")

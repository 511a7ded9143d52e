"""What patience costs and saves: the committed runs, and how they are read."""

import pytest

from gpt_lib.experiments import early_stopping
from gpt_lib.experiments.results import read_json


@pytest.mark.parametrize(
    ("estimates", "patience", "expected"),
    [
        ([4.0, 3.0, 3.1, 2.9, 3.2, 3.3], 1, (2, 1)),
        ([4.0, 3.0, 3.1, 2.9, 3.2, 3.3], 2, (5, 3)),
        ([4.0, 3.0, 3.1, 2.9, 3.2, 3.3], 9, (5, 3)),
        ([4.0, 3.0, 3.0, 3.0], 2, (3, 1)),
        ([4.0], 1, (0, 0)),
    ],
)
def test_where_patience_ends_a_run(estimates, patience, expected):
    assert early_stopping.end_by_patience(estimates, patience) == expected


def test_cost_is_measured_on_the_test_part():
    evaluations = [[0, 4.0, 4.1], [10, 3.0, 3.3], [20, 3.1, 3.0], [30, 2.9, 3.1]]
    cost, saved = early_stopping.cost_and_savings({"evaluations": evaluations}, 1)
    assert cost == pytest.approx(3.3 - 3.1)
    assert saved == pytest.approx(1 / 3)
    assert early_stopping.cost_and_savings({"evaluations": evaluations}, 5) == (0, 0)


def test_every_text_has_three_whole_runs():
    rows = read_json(early_stopping.EARLY_STOPPING_RESULTS)
    planned = list(early_stopping.planned_runs())
    assert [{k: row[k] for k in ("text", "seed")} for row in rows] == planned
    steps = range(0, early_stopping.TRAINING_STEPS + 1, early_stopping.EVALUATE_EVERY)
    for row in rows:
        assert [step for step, _, _ in row["evaluations"]] == list(steps)


def test_a_run_is_a_row(monkeypatch):
    monkeypatch.setattr(early_stopping, "TRAINING_STEPS", 6)
    monkeypatch.setattr(early_stopping, "EVALUATE_EVERY", 3)
    monkeypatch.setattr(early_stopping, "EVALUATION_BATCHES", 1)
    shape = {"context": 8, "width": 8, "heads": 2, "depth": 1}
    monkeypatch.setattr(early_stopping, "SHAPE", shape)
    row = early_stopping.train_to_the_end("Shakespeare, 40 kB", seed=1)
    assert [step for step, _, _ in row["evaluations"]] == [0, 3, 6]
    # Before the first step all characters are nearly equally likely.
    assert row["evaluations"][0][2] == pytest.approx(4.0, abs=0.3)
    assert all(2 < loss < 5 for _, *losses in row["evaluations"] for loss in losses)

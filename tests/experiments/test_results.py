"""An experiment saves each row, can be stopped, and goes on where it was."""

import sys

import pytest

from gpt_lib.experiments import results

PLANNED = [{"swap": "a", "seed": seed} for seed in (1, 2, 3)]


def test_what_was_measured_before_a_stop_is_not_measured_again(tmp_path):
    path, made = tmp_path / "rows.json", []

    def measure(swap, seed):
        made.append(seed)
        if made == [1, 2]:
            raise KeyboardInterrupt
        return {"loss": seed / 2}

    with pytest.raises(KeyboardInterrupt):
        results.measure_missing(path, PLANNED, measure)
    assert [row["seed"] for row in results.read_json(path)] == [1]
    rows = results.measure_missing(path, PLANNED, measure)
    assert made == [1, 2, 2, 3]
    assert rows == results.read_json(path)
    assert [row["loss"] for row in rows] == [0.5, 1.0, 1.5]
    assert all(row["machine"]["device"] and row["date"] for row in rows)


def test_anew_forgets_what_is_there(tmp_path):
    path, made = tmp_path / "rows.json", []

    def measure(swap, seed):
        made.append(seed)
        return {}

    results.measure_missing(path, PLANNED, measure)
    results.measure_missing(path, PLANNED[:1], measure, anew=True)
    assert made == [1, 2, 3, 1]
    assert len(results.read_json(path)) == 1


def test_the_command_line_of_an_experiment(monkeypatch):
    for arguments, anew in ((["x"], False), (["x", "--anew"], True)):
        monkeypatch.setattr(sys, "argv", arguments)
        assert results.parse_anew("an experiment") is anew

"""The benchmark's arithmetic, and what its committed figures say."""

import json
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gpt_lib import checkpoints
from gpt_lib.course.export import ROOT
from gpt_lib.experiments import interleave, results
from gpt_lib.experiments.bench import command as bench_command
from gpt_lib.experiments.bench import training as bench
from gpt_lib.experiments.bench.generation import (
    BATCHES,
    COMPILED,
    CPP,
    FLOOR,
    LENGTHS,
    PEER,
    SHAPES,
    STEP,
    UNCACHED,
)
from gpt_lib.training import train


def test_turns_are_taken_and_compared_within_each():
    order = []

    def runs(name, figures):
        figures = iter(figures)

        def run():
            order.append(name)
            return next(figures)

        return run

    told = interleave.take_turns(
        {"a": runs("a", [0, 6, 2, 40]), "b": runs("b", [0, 2, 1, 10])}, rounds=3
    )
    assert told == {"a": [6, 2, 40], "b": [2, 1, 10]}
    assert order == ["a", "b"] * 4
    [result] = bench.against_each("speed", "tokens/s", told)
    # Each median for itself, but the ratio is that of the rounds: 3, 2 and 4.
    assert (result.ours, result.peers_figure, result.ratio) == (6, 2, 3)
    assert result.peer == "b"


def test_no_further_round_begins_when_the_time_is_over():
    told = interleave.take_turns({"a": lambda: 1.0}, rounds=9, most_seconds=0)
    assert told == {"a": [1.0]}


def test_a_step_is_timed_for_any_model_with_our_face(monkeypatch):
    monkeypatch.setattr(bench, "STEPS", 2)

    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(65, 65)

        def forward(self, ids):
            return self.table(ids)

    assert bench.tokens_per_second(Table(), torch.arange(500) % 65) > 0


def test_the_committed_figures_are_complete_and_kept_their_promise():
    for part in bench.PARTS:
        for run in results.read_runs(part):
            assert {"machine", "date", "peers", "results"} <= run.keys()
            assert run["machine"]["fastest numbers"] in ("float32", "bfloat16")
    least, most = {"above 1": 1}, {"below 1": 1, "at most 1.1": 1.1}
    for part in ("bigram", "step", "half", "memory", "recipe"):
        rows = results.read_rows(part)
        assert rows or part == "half"  # not every machine has 16 bits
        for row in rows:
            assert row["ratio"] == pytest.approx(
                row["ours"] / row["peers_figure"], rel=0.15
            )
            wished = row["better"]
            assert least.get(wished, 0) < row["ratio"] <= most.get(wished, 99)
            if part == "step" and row["peer"] == PEER:
                joined = row["name"].endswith("compiled, plain attention")
                assert row["ratio"] >= (1.3 if joined else 1.2)
            if part == "recipe":
                assert row["ours"] <= 1.86


def test_a_process_that_dies_is_told_and_not_waited_for(capfd):
    with pytest.raises(RuntimeError, match="the process for nobody ended with 1"):
        bench.memory_of("nobody")
    assert "KeyError: 'nobody'" in capfd.readouterr().err


def test_generation_is_measured_for_every_shape_batch_and_length():
    runs = results.read_runs("generation")
    assert runs
    for run in runs:
        rows = {
            (row["parameters"], row["batch"], row["length"]): row
            for row in run["results"]
        }
        assert set(rows) == set(product(SHAPES, BATCHES, LENGTHS))
        for (parameters, batch, length), row in rows.items():
            times = row["times_the_peer"]
            assert min(times["ours"], times[CPP]) > 1
            for way, ratio in times.items():
                speeds = row["tokens_per_s"]
                assert ratio == pytest.approx(speeds[way] / speeds[PEER], rel=0.3)
            if batch == 1:
                assert times["ours"] < times[COMPILED] < times[STEP] < times[FLOOR]
                assert times[COMPILED] >= (5 if parameters == "0.8 million" else 2)
                if length > 64:  # of a short text there is little to read again
                    assert times[COMPILED] >= 8 * times[UNCACHED]


@pytest.mark.parametrize("name", bench.PICTURES)
def test_the_readme_shows_what_was_measured(name):
    """Its picture has the words, and so the numbers, of the committed figures."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"![{bench.PICTURES[name]().words}](data/pictures/{name}.png)" in readme
    assert (ROOT / f"data/pictures/{name}.png").read_bytes()[1:4] == b"PNG"


def test_a_part_replaces_what_was_measured_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "new" / "bench.json")
    assert results.read_rows("race") == []
    for name, losses in (("a", [3]), ("b", [5]), ("a", [1, 2])):
        machine = {"name": name, "device": "cpu", "fastest numbers": "float32"}
        monkeypatch.setattr(results, "machine", lambda machine=machine: machine)
        results.keep("race", [{"loss": loss} for loss in losses], peers={})
        results.keep("step", [{"speed": 7}])
    assert [row["loss"] for row in results.read_rows("race")] == [5, 1, 2]
    assert [row["speed"] for row in results.read_rows("step")] == [7, 7]
    assert results.read_rows("step")[0]["numbers"] == "float32"
    gpu = {"name": "c", "device": "cuda", "fastest numbers": "bfloat16", "PyTorch": "1"}
    monkeypatch.setattr(results, "machine", lambda: gpu)
    results.keep("step", [{"speed": 600}])
    gpu = gpu | {"PyTorch": "2"}  # a newer version is no other machine
    results.keep("step", [{"speed": 700}])
    assert [row["speed"] for row in results.read_rows("step", "cuda")] == [700]
    assert [row["speed"] for row in results.read_rows("step")] == [7, 7]


def test_the_command_line_and_saving_keep_their_promise():
    committed = json.loads(bench_command.RESULTS.read_text(encoding="utf-8"))
    assert {"machine", "date"} <= committed.keys()
    assert len(committed["results"]) == 5
    for row in committed["results"]:
        assert row["figure"] <= row["wish"], row["name"]


def test_the_share_of_saving_counts_all_the_trainer_waits_for(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    clock.perf_counter = lambda: clock.now

    def takes(seconds, function=lambda *_: 1.0):
        def timed(*given):
            clock.now += seconds
            return function(*given)

        return timed

    def slow_train(*given):
        for record in train(*given):
            clock.now += 10
            yield record

    monkeypatch.setattr(bench_command, "time", clock)
    monkeypatch.setattr(bench_command, "train", slow_train)
    monkeypatch.setattr(checkpoints, "time", clock)
    monkeypatch.setattr(checkpoints, "estimate_loss", takes(2))
    monkeypatch.setattr(bench_command.Run, "save", takes(1))
    share = bench_command.saving_share("bigram", 20)
    saving = 2 * (2 + 1)  # the first and the last record, in 1 % there is no more
    assert share == pytest.approx(saving / clock.now)
    assert clock.now > 5 * saving

"""The benchmark's arithmetic, and what its committed figures say."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gpt_lib import checkpoints
from gpt_lib.apps import bench, bench_command
from gpt_lib.training import train

COMMITTED = json.loads(bench.RESULTS.read_text(encoding="utf-8"))


def test_turns_are_taken_and_medians_counted(monkeypatch):
    monkeypatch.setattr(bench, "ROUNDS", 3)
    order = []

    def runs(name, figures):
        figures = iter(figures)

        def run():
            order.append(name)
            return next(figures)

        return run

    told = bench.take_turns(
        {"a": runs("a", [0, 5, 1, 9]), "b": runs("b", [0, 2, 2, 4])}
    )
    assert told == {"a": 5, "b": 2}
    assert order == ["a", "b"] * 4
    [result] = bench.against_each("speed", "tokens/s", told)
    assert (result.ours, result.peers_figure, result.ratio) == (5, 2, 2.5)
    assert result.peer == "b"


def test_a_step_is_timed_for_any_model_with_our_face(monkeypatch):
    monkeypatch.setattr(bench, "STEPS", 2)

    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(65, 65)

        def forward(self, ids):
            return self.table(ids)

    model = Table()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert bench.tokens_per_second(model, optimizer, torch.arange(500) % 65) > 0


def test_the_committed_figures_are_complete_and_kept_their_promise():
    assert {"machine", "peers", "date", "results"} <= set(COMMITTED)
    by_unit = {}
    for row in COMMITTED["results"]:
        assert row["ratio"] == pytest.approx(row["ours"] / row["peers_figure"])
        by_unit.setdefault(row["unit"], {})[row["peer"]] = row
    speed = by_unit["tokens/s"]
    assert speed["transformers' GPT-2"]["ratio"] >= 1.2
    assert speed["x-transformers' decoder"]["ratio"] >= 1.1
    assert min(row["ratio"] for row in by_unit["MiB"].values()) > 0
    assert max(row["ratio"] for row in by_unit["MiB"].values()) <= 1.1
    for row in by_unit["nats"].values():
        assert row["ours"] <= 1.86


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

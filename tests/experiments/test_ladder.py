"""The committed ladder: complete, in order, above the floor; and the code behind it."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from gpt_lib import catalog
from gpt_lib.bigram import Bigram
from gpt_lib.course.export import ROOT
from gpt_lib.data import load_corpus
from gpt_lib.experiments import ladder
from gpt_lib.text import bigram_loss
from gpt_lib.training import TrainingConfig, evaluate_loss

ROWS = ladder.read_ladder_runs()
STAGES = [stage.label for stage in ladder.STAGES]


def test_every_stage_has_three_seeds_for_both_texts_and_both_budgets():
    keys = ("stage", "text", "budget", "seed")
    runs = {tuple(row[key] for key in keys) for row in ROWS}
    assert len(runs) == len(ROWS)
    for stage in STAGES:
        for text in ladder.TRAINING_STEPS:
            for budget in ladder.BUDGET_KINDS:
                seeds = {run[3] for run in runs if run[:3] == (stage, text, budget)}
                assert len(seeds) >= 3
    assert list(dict.fromkeys(row["stage"] for row in ROWS)) == STAGES


def test_equal_means_equal():
    for text, seconds in ladder.TRAINING_SECONDS.items():
        rows = [row for row in ROWS if row["text"] == text]
        tokens = {row["tokens"] for row in rows if row["budget"] == "tokens"}
        assert len(tokens) == 1
        for row in rows:
            if row["budget"] == "seconds":
                # The speed is estimated by a trial; a busy machine is slower later.
                assert row["seconds"] == pytest.approx(seconds, rel=0.5), row


def test_no_model_is_below_the_floor_of_the_toy_diary():
    rows = [row for row in ROWS if row["text"] == "toy-diary"]
    for row in rows:
        assert row["above_floor"] > -3 * row["standard_error"], row
    assert min(row["above_floor"] for row in rows) < 0.1  # and one comes close


def test_at_equal_tokens_every_stage_is_below_the_one_before_beyond_its_seeds():
    stages, losses = ladder.read_test_losses("tinyshakespeare")
    assert stages == STAGES
    for before, now in zip(losses["equal tokens"], losses["equal tokens"][1:]):
        assert max(now) < min(before)


def test_the_averaging_stage_is_below_the_line_of_bigram_counts():
    corpus = load_corpus("tinyshakespeare")
    vocab_size = corpus.tokenizer.vocab_size
    line = bigram_loss(corpus.train, corpus.test, vocab_size)
    losses = dict(
        zip(STAGES, ladder.read_test_losses("tinyshakespeare")[1]["equal tokens"])
    )
    assert min(losses["bigram"]) > line > max(losses["averaging"])


def test_the_readme_shows_this_ladder():
    description = " ".join(ladder.ladder_chart().description.split())
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"![{description}](data/pictures/ladder.png)" in readme


def test_losses_of_tokens_make_the_mean_loss():
    model, ids = Bigram(5), torch.arange(300) * 7 % 5
    torch.nn.init.normal_(model.bigram_logits.weight)
    losses = ladder.token_losses(model, ids)
    assert len(losses) == 299
    assert losses.mean().item() == pytest.approx(evaluate_loss(model, ids), rel=1e-5)


@pytest.mark.parametrize("stage", ladder.STAGES, ids=STAGES)
def test_a_short_run_of_each_stage(monkeypatch, stage):
    config = TrainingConfig(
        steps=4,
        warmup_steps=1,
        batch_size=2,
        evaluate_every=10**6,
        evaluation_batches=1,
    )
    monkeypatch.setattr(ladder, "STAGES", [replace(stage, training=config)])
    monkeypatch.setattr(ladder, "TRAINING_STEPS", {"toy-diary": 4})
    row = ladder.train_stage(stage.label, "toy-diary", "tokens", seed=1)
    assert row["tokens"] == 4 * 2 * 64
    assert 1.0 < row["test_loss"] < 4.5
    assert row["val_loss"] == pytest.approx(row["test_loss"], abs=0.02)
    assert row["above_floor"] == pytest.approx(row["test_loss"] - 0.079, abs=0.002)
    assert 0 < row["standard_error"] < 0.1
    assert math.isfinite(row["seconds"])


def test_as_many_steps_are_planned_as_fit_into_the_time(monkeypatch):
    stage, trials = ladder.STAGES[1], []

    def fake_training(model, corpus, config):
        """A thousand steps a second; a trial that is too short is timed wrongly."""
        trials.append(config.steps)
        is_short = config.steps < 500
        return SimpleNamespace(
            seconds=config.steps / 1000,
            tokens_per_second=1536 if is_short else 1_536_000,
        )

    monkeypatch.setattr(ladder, "last_training_record", fake_training)
    corpus = load_corpus("toy-diary")
    assert ladder.steps_within(20.0, stage, corpus) == 20_000
    assert trials == [12, 48, 192, 768, 3072]
    assert ladder.steps_within(0.001, stage, corpus) == stage.training.warmup_steps + 2


def test_a_stage_is_trained_as_the_catalog_says():
    for stage in ladder.STAGES[1:]:
        assert stage.training == catalog.find_recipe(stage.model).training
        assert stage.training.steps == ladder.TRAINING_STEPS["tinyshakespeare"]
        assert stage.training.batch_size * stage.training.context == 1536

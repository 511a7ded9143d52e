"""Who sees the future is disqualified; races are saved, listed, and committed."""

import copy
import json
import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gpt_lib import catalog, checkpoints, runs
from gpt_lib.course.export import ROOT
from gpt_lib.data import Corpus, load_corpus
from gpt_lib.device import pick_device
from gpt_lib.experiments import ablation, results
from gpt_lib.experiments import race as races
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.race import RACE_CONFIG_BY_DEVICE, RaceConfig
from gpt_lib.speed import training_flops
from gpt_lib.text import CharTokenizer
from gpt_lib.training import TrainingConfig, evaluate_loss
from tests.lessons.test_muon import IDS, SMALL, small_model
from tests.lessons.test_race import random_ngram_model


def test_without_ngrams_it_is_the_gpt_alone():
    config = RaceConfig(shape=SMALL)
    alone = races.config_without_ngrams(config)
    assert isinstance(alone.build_model(IDS, 17), ModernGPT)
    assert alone.name != config.name


def test_each_device_has_its_config_and_unknown_ones_a_cpus():
    for kind in ("cpu", "mps", "cuda"):
        config = races.look_up_by_device(RACE_CONFIG_BY_DEVICE, torch.device(kind))
        assert config is RACE_CONFIG_BY_DEVICE["cuda" if kind == "cuda" else "cpu"]


def test_utilisation_is_a_fraction_of_the_peak(monkeypatch):
    config = GPTConfig(65)
    flops = training_flops(config, 1000)
    monkeypatch.setattr(races, "peak_flops", lambda device: flops)
    assert races.utilisation(config, 250.0) == pytest.approx(0.25)


# Saved models


def save_racer(model, folder, **shape):
    """The model, written as a checkpoint; its card may say something else."""
    row = {"seed": 1, "seconds": 1.0, "val_loss": 2.0, "test_loss": 2.1}
    tokenizer = CharTokenizer("".join(map(chr, range(97, 97 + 17))))
    corpus = Corpus("tinyshakespeare", "0" * 64, tokenizer, IDS, IDS, IDS)
    card = races.race_model_card(model, corpus, RaceConfig(), row, steps=5)
    store = runs.CheckpointFolder("mine", folder)
    card = replace(card, shape=card.shape | shape)
    catalog.save_model(store.at(5), model, card)
    return store.last()


@pytest.mark.parametrize("make_model", [random_ngram_model, small_model])
def test_a_racer_is_saved_and_comes_back(tmp_path, make_model):
    model = make_model()
    save_racer(model, tmp_path)
    loaded, _, card = catalog.load("mine", tmp_path)
    ids = torch.randint(17, (2, 8))
    assert torch.equal(loaded(ids), model(ids))
    assert (card.step, card.training.optimizer) == (5, "Muon")
    with pytest.raises(checkpoints.CheckpointError, match="cannot be trained on"):
        runs.load_for_resuming(
            runs.CheckpointWriter("mine", tmp_path),
            torch.device("cpu"),
            catalog.ARCHITECTURES,
        )


def test_ngrams_of_another_length_do_not_fit(tmp_path):
    save_racer(random_ngram_model(), tmp_path, ngram_tokens=2999)
    with pytest.raises(checkpoints.CheckpointError, match=r"ngrams\.ids"):
        catalog.load("mine", tmp_path)


# The judge


class Cheat(nn.Module):
    """Says a character to come, which it looks up."""

    vocab_size = 17

    def __init__(self, offset, context=32):
        super().__init__()
        self.offset, self.context = offset, context
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        following = ids.roll(-self.offset, dims=1)
        return 9 * nn.functional.one_hot(following, 17).float() + self.weight


@pytest.mark.parametrize(("offset", "context"), [(1, 32), (300, 512)])
def test_who_sees_the_future_is_disqualified(offset, context):
    with pytest.raises(ValueError, match="disqualified: a later character moves"):
        races.leak_tested_loss(Cheat(offset, context), IDS)


def test_who_says_what_is_no_number_is_disqualified():
    model = small_model()
    model.unembed.weight.data.fill_(math.nan)
    with pytest.raises(ValueError, match="disqualified: some logits are NaN"):
        races.leak_tested_loss(model, IDS)


def test_an_honest_blind_guess_is_judged():
    loss = races.leak_tested_loss(small_model(), IDS)
    assert loss == pytest.approx(math.log(17))


# The command and its leaderboard


def test_the_leaderboard_has_all_and_sorts_a_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(races, "LEADERBOARD_FILE", tmp_path / "runs" / "board.json")
    rows = [
        {"name": "a", "budget": 100.0, "val_loss": 1.4, "test_loss": 1.6},
        {"name": "b", "budget": 20.0, "val_loss": 1.4, "test_loss": 1.7},
        {"name": "c", "budget": 100.0, "val_loss": 1.5},  # of before the test part
    ]
    boards = [races.add_to_leaderboard(copy.copy(row)) for row in rows]
    assert [row["name"] for row in boards[-1]] == ["c", "a"]
    assert len(json.loads(races.LEADERBOARD_FILE.read_text())) == 3


@pytest.fixture
def runs_folder(tmp_path, monkeypatch):
    """Races save into an empty folder."""
    store = partial(runs.CheckpointFolder, root=tmp_path)
    monkeypatch.setattr(races, "CheckpointFolder", store)
    return tmp_path


def test_a_whole_race_through_the_command(runs_folder, monkeypatch, capsys):
    monkeypatch.setattr(races, "LEADERBOARD_FILE", runs_folder / "board.json")
    lengths = {"batch_size": 8, "sequence_length": 8}
    config = RaceConfig(name="tiny", shape=SMALL, ngram_order=2, **lengths)
    monkeypatch.setattr(races, "RACE_CONFIG_BY_DEVICE", {"cpu": config})
    monkeypatch.setattr("sys.argv", ["race", "--seconds", "2", "--seed", "7"])
    (runs_folder / "race-1").mkdir()  # an earlier one
    races.main()
    [row] = json.loads(races.LEADERBOARD_FILE.read_text(encoding="utf-8"))
    assert (row["name"], row["model"]) == ("tiny", "race-2")
    model, tokenizer, card = catalog.load("race-2", runs_folder)
    assert card.validation_loss == row["val_loss"]
    assert (card.test_loss, card.split) == (row["test_loss"], "85/5/10")
    corpus = load_corpus("tinyshakespeare", tokenizer)
    parts = {"val_loss": corpus.validation, "test_loss": corpus.test}
    for name, ids in parts.items():
        assert evaluate_loss(model, ids) == pytest.approx(row[name], abs=1e-3)
    assert 0 < row["utilisation"] < 1
    *_, hint, last = capsys.readouterr().out.strip().splitlines()
    assert hint == "talk to it with: gpt-lib chat race-2"
    numbers = dict(pair.split("=") for pair in last.split())
    assert set(numbers) == {"test_loss", "val_loss", "seconds", "tokens_per_s"}
    assert float(numbers["seconds"]) >= 2
    assert float(numbers["test_loss"]) < 2.6  # two characters back are 2.05


def test_two_races_at_once_have_two_names(runs_folder):
    names = [races.reserve_run_name() for _ in range(3)]
    assert names == ["race-1", "race-2", "race-3"]
    assert catalog.run_names(runs_folder) == []  # nobody can talk to them yet


def test_a_race_that_fails_leaves_no_folder(runs_folder, monkeypatch):
    monkeypatch.setattr("sys.argv", ["race", "--seconds", "1"])

    def fails(*_, name):
        assert (runs_folder / name).is_dir()
        raise ValueError("disqualified")

    monkeypatch.setattr(races, "run_race", fails)
    with pytest.raises(ValueError, match="disqualified"):
        races.main()
    assert not list(runs_folder.iterdir())


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--seed", "-1"]])
def test_the_command_says_what_is_allowed(options, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["race", *options])
    with pytest.raises(SystemExit):
        races.main()
    assert "must be 1 or more" in capsys.readouterr().err


# What is committed


def test_medians_are_those_of_one_kind_of_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(races, "RACE_RESULTS", tmp_path / "races.json")
    row = {"name": "x", "budget": 1.0, "machine": {"device": "cpu"}}
    rows = [
        row | {"dtype": dtype, "test_loss": loss}
        for dtype, losses in (("float32", (1, 2, 3)), ("bfloat16", (7, 8, 9)))
        for loss in losses
    ]
    other = row | {"dtype": "bfloat16", "test_loss": 0, "machine": {"device": "cuda"}}
    results.write_json(races.RACE_RESULTS, [*rows, other])
    medians = {("x", "float32"): {1.0: 2}, ("x", "bfloat16"): {1.0: 8}}
    assert races.read_median_losses_by_budget() == medians


def test_a_race_that_is_there_is_not_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(races, "RACE_RESULTS", tmp_path / "races.json")
    monkeypatch.setattr(races, "RACE_PICTURE", tmp_path / "race.png")
    monkeypatch.setattr(races, "race_chart", lambda: SimpleNamespace(png=b"png"))
    made, dtype = [], races.pick_precision(pick_device())
    dtype = str(dtype).removeprefix("torch.")

    def run(**planned):
        made.append(planned)
        if len(made) == 4:
            raise KeyboardInterrupt
        return {"budget": planned.get("budget", 77.0), "test_loss": 1.0}

    monkeypatch.setattr(races, "run_planned_race", run)
    elsewhere = [  # on another kind of device, so they do not count here
        planned | {"device": "elsewhere", "budget": 1.0, "test_loss": 1.0}
        for planned in races.planned_races(pick_device(), dtype)
    ]
    results.write_json(races.RACE_RESULTS, elsewhere)
    with pytest.raises(KeyboardInterrupt):
        races.run_committed_races()
    races.run_committed_races()
    assert len(made) == 1 + len(list(races.planned_races(pick_device(), "x")))
    assert made[3] == made[4]  # the one that was stopped
    assert [row["seed"] for row in made[:3]] == [1, 2, 3]
    assert {row["name"] for row in made[:3]} == {races.BASELINE_NAME}


def test_nanogpts_adamw_lets_only_matrices_decay():
    model = GPT(GPTConfig(17, context=8, width=8, heads=2, depth=1))
    [matrices, others] = races.nanogpt_adamw(model, TrainingConfig()).param_groups
    assert {w.ndim for w in matrices["params"]} == {2}
    assert {w.ndim for w in others["params"]} == {1}
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert matrices["betas"] == others["betas"] == (0.9, 0.99)


def test_the_committed_races_keep_their_promise():
    by_race = {}
    for row in races.read_races():
        key = row["dtype"], row["name"], row["budget"]
        by_race.setdefault(key, []).append(row["test_loss"])
        if row["name"] != races.BASELINE_NAME:
            assert row["seconds"] <= row["budget"] + 1
    planned = list(races.planned_races(torch.device("cpu"), "bfloat16"))
    rows = races.read_races()
    assert all(sum(run.items() <= row.items() for row in rows) == 1 for run in planned)
    promised = {100.0: 1.45, 180.0: 1.44, 300.0: 1.435}
    for budget, loss in promised.items():
        losses = by_race["bfloat16", RaceConfig().name, budget]
        assert len(losses) == 3
        assert sorted(losses)[1] <= loss


def test_the_committed_races_on_a_gpu_keep_their_promise():
    """The shape of the lecture to 1.47 in a minute, with either kind of training."""
    losses = {}
    for row in races.read_races("cuda"):
        losses.setdefault((row["name"], row["budget"]), []).append(row["test_loss"])
        assert row["seconds"] <= min(60.0, row["budget"]) + 0.5
        assert 0.05 < row["utilisation"] < 1
    assert all(max(each) <= 1.47 for each in losses.values())
    for budget in races.RACE_SECONDS["cuda"]:
        assert len(losses[RACE_CONFIG_BY_DEVICE["cuda"].name, budget]) == 3
    assert races.BASELINE_NAME in {name for name, _ in losses}


def test_the_committed_ablation_is_complete():
    rows = ablation.read_ablation()
    seeds = ablation.ABLATION_SEEDS
    runs_made = {(row["swap"], row["seed"]) for row in rows}
    assert runs_made == {(swap, seed) for swap in ablation.SWAPS for seed in seeds}
    assert len(rows) == len(runs_made)
    for changes in ablation.SWAPS.values():
        replace(ModernConfig(65), **changes)  # every swap is a config
    assert len(ablation.read_losses_by_swap()) == len(ablation.SWAPS)


def test_the_readme_shows_these_races():
    description = " ".join(races.race_chart().description.split())
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"![{description}](data/pictures/race.png)" in readme

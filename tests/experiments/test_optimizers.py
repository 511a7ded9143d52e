"""The grid of optimizers is complete, and each of its rows changes one thing."""

from dataclasses import replace

import pytest
import torch

from gpt_lib import muon
from gpt_lib.experiments import optimizers
from gpt_lib.modern import ModernConfig

PLANNED = list(optimizers.planned_optimizer_runs())
BASE = {
    "optimizer": "Muon",
    "rate": 0.02,
    "initialisation": "normal",
    "without": "none",
    "activation": "relu2",
    "steps": optimizers.STEPS,
}


def test_every_setting_has_every_seed_once():
    seeds = {}
    for run in PLANNED:
        setting = tuple(value for key, value in run.items() if key != "seed")
        seeds.setdefault(setting, []).append(run["seed"])
    assert all(each == [1, 2, 3] for each in seeds.values())
    assert len(seeds) == 16 + 2 + 2 + 1


def test_what_is_left_out_of_muon_is_the_only_difference():
    for run in PLANNED:
        if run["without"] != "none":
            base = BASE | {"activation": run["activation"], "seed": run["seed"]}
            assert base in PLANNED
            assert run == base | {"without": run["without"]}


def test_every_initialisation_is_a_config():
    for shape in optimizers.INITIALISATIONS.values():
        ModernConfig(65, **shape)


@pytest.mark.parametrize("without", ["none", "square blocks", "step scale"])
def test_a_part_is_left_out_in_a_run_and_back_after_it(monkeypatch, without):
    short = replace(optimizers.ABLATION_TRAINING, steps=3, warmup_steps=1, batch_size=2)
    monkeypatch.setattr(optimizers, "ABLATION_TRAINING", short)
    parts = muon.square_blocks, muon.step_scale
    run = BASE | {"without": without, "activation": "swiglu", "steps": 3, "seed": 1}
    row = optimizers.measure_optimizer(**run)
    assert 1.5 < row["val_loss"] < 4.5
    assert row["test_loss"] == pytest.approx(row["val_loss"], abs=0.2)
    assert (muon.square_blocks, muon.step_scale) == parts


def test_pytorchs_coefficients_are_those_of_its_muon():
    [coefficients] = set(optimizers.TORCH_COEFFICIENTS)
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    group = torch.optim.Muon([weight]).param_groups[0]
    assert group["ns_coefficients"] == coefficients
    assert group["ns_steps"] == len(optimizers.TORCH_COEFFICIENTS)


def test_the_committed_grid_is_complete():
    rows = optimizers.read_optimizers()
    assert len(rows) == len(PLANNED)
    for run in PLANNED:
        [row] = optimizers.read_optimizers(**run)
        assert row["parameters"] > 1_000_000
    for optimizer, rates in optimizers.LEARNING_RATES.items():
        for initialisation in optimizers.INITIALISATIONS:
            losses = optimizers.read_losses_by_rate(optimizer, initialisation)
            assert tuple(losses) == rates
            assert all(len(seeds) == 3 for seeds in losses.values())
            rate, _ = optimizers.best_rate_and_losses(optimizer, initialisation)
            assert rate not in (rates[0], rates[-1])  # or the grid is too narrow

"""Muon against AdamW in lesson 14: `make optimizers` (30 minutes on two cores).

The modern GPT is trained with each optimizer, each at four learning rates and from two
initialisations, with three seeds; and with Muon's own parts left out, one at a time.
What this is for is a choice, so its losses are those on the validation part.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from statistics import mean
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from gpt_lib import muon
from gpt_lib.catalog import OPTIMIZERS
from gpt_lib.data import DATA
from gpt_lib.experiments.ablation import (
    ABLATION_SEEDS,
    ABLATION_TRAINING,
    train_and_score,
)
from gpt_lib.experiments.results import measure_missing, parse_anew, read_json
from gpt_lib.muon import Muon

if TYPE_CHECKING:
    from gpt_lib.views import Picture

OPTIMIZER_RESULTS = DATA / "results" / "optimizers.json"
LEARNING_RATES = {
    "AdamW": (0.002, 0.004, 0.008, 0.016),
    "Muon": (0.01, 0.02, 0.04, 0.08),
}
STEPS = ABLATION_TRAINING.steps
ADAMW_STEPS = 270  # in about the time of 200 of Muon's, as lesson 14 measures it
# What the ends of the branches and the unembedding are at first -> fields of the shape.
INITIALISATIONS = {
    "zero": {},
    "normal": {"zero_init": False, "zero_init_unembed": False},
}
TORCH_COEFFICIENTS = ((3.4445, -4.7750, 2.0315),) * 5  # of `torch.optim.Muon`
# Muon with one of its parts left out: the optimizer, and what stands in its place.
VARIANTS: dict[str, tuple[partial, dict[str, Any]]] = {
    "none": (partial(Muon), {}),
    "coefficients": (partial(Muon, coefficients=TORCH_COEFFICIENTS), {}),
    "square blocks": (
        partial(Muon),
        {"square_blocks": lambda x: x.unflatten(-2, (1, -1))},
    ),
    "step scale": (partial(Muon), {"step_scale": lambda rows, columns: 1.0}),
}


def measure_optimizer(
    optimizer: str,
    rate: float,
    initialisation: str,
    without: str,
    activation: str,
    steps: int,
    seed: int,
) -> dict[str, Any]:
    """Train one model: its losses, by full passes."""
    shape = {"activation": activation, **INITIALISATIONS[initialisation]}
    config = replace(
        ABLATION_TRAINING,
        steps=steps,
        learning_rate=rate,
        optimizer=optimizer,
        seed=seed,
    )
    constructor, replaced = VARIANTS[without]
    optimizers = OPTIMIZERS
    if optimizer == "Muon":
        decay = config.weight_decay
        optimizers = {"Muon": lambda m, c: constructor(m, rate, weight_decay=decay)}
    with ExitStack() as stack:
        for name, function in replaced.items():
            stack.enter_context(patch.object(muon, name, function))
        return train_and_score(shape, config, optimizers)


def planned_optimizer_runs() -> Iterator[dict[str, Any]]:
    """The grid, then Muon without each of its parts, then AdamW for as many seconds."""
    settings = [
        (optimizer, rate, initialisation, "none", "relu2", STEPS)
        for optimizer, rates in LEARNING_RATES.items()
        for rate in rates
        for initialisation in INITIALISATIONS
    ]
    settings += [
        ("Muon", 0.02, "normal", without, "relu2", STEPS)
        for without in ("coefficients", "square blocks")
    ]
    # Only SwiGLU's matrix is tall and has no square blocks.
    settings += [
        ("Muon", 0.02, "normal", without, "swiglu", STEPS)
        for without in ("none", "step scale")
    ]
    settings += [("AdamW", 0.004, "normal", "none", "relu2", ADAMW_STEPS)]
    names = "optimizer", "rate", "initialisation", "without", "activation", "steps"
    for seed in ABLATION_SEEDS:
        for values in settings:
            yield dict(zip(names, values)) | {"seed": seed}


def read_optimizers(**wanted: Any) -> list[dict[str, Any]]:
    """The rows of the committed experiment that have these values."""
    rows = read_json(OPTIMIZER_RESULTS)
    return [row for row in rows if wanted.items() <= row.items()]


def read_losses_by_rate(
    optimizer: str, initialisation: str
) -> dict[float, list[float]]:
    """Validation losses of the grid, one a seed, by learning rate."""
    wanted = {"optimizer": optimizer, "initialisation": initialisation}
    losses: dict[float, list[float]] = {}
    for row in read_optimizers(
        **wanted, without="none", activation="relu2", steps=STEPS
    ):
        losses.setdefault(row["rate"], []).append(row["val_loss"])
    return losses


def best_rate_and_losses(
    optimizer: str, initialisation: str
) -> tuple[float, list[float]]:
    """The rate with the lowest mean validation loss, and its losses, one a seed."""
    losses = read_losses_by_rate(optimizer, initialisation)
    return min(losses.items(), key=lambda item: mean(item[1]))


def optimizer_chart() -> "Picture":
    """The grid as a ladder: a row for each setting, a point for each seed."""
    from gpt_lib import views

    labels, losses = [], []
    for optimizer in LEARNING_RATES:
        for initialisation in INITIALISATIONS:
            for rate, seeds in read_losses_by_rate(optimizer, initialisation).items():
                labels.append(f"{optimizer} {rate:g}, {initialisation}")
                losses.append(seeds)
    return views.loss_ladder(
        labels,
        {"validation loss": losses},
        f"Two optimizers, {STEPS} steps, {len(ABLATION_SEEDS)} seeds",
    )


def main() -> None:
    """Run what is missing, and save every row as soon as it is there."""
    anew = parse_anew(__doc__.splitlines()[0])
    measure_missing(
        OPTIMIZER_RESULTS, planned_optimizer_runs(), measure_optimizer, anew
    )


if __name__ == "__main__":
    main()

"""The trained models that come with the course: `make shipped` trains them again.

Each is a checkpoint in a folder of `data/models`, as lesson 10 writes them.
"""

import argparse
import shutil
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import torch
from tqdm import tqdm

from gpt_lib.catalog import MODELS, keep
from gpt_lib.checkpoints import Card, build
from gpt_lib.device import describe, pick_device
from gpt_lib.experiments.ladder import PLAN, STAGES, STEPS
from gpt_lib.text import TEXTS, CharTokenizer, load_text, split
from gpt_lib.training import TrainingConfig, train, validation_loss

TEXT = "tinyshakespeare"


@dataclass(frozen=True)
class Recipe:
    """How a shipped model is made."""

    architecture: str
    plan: TrainingConfig
    shape: dict[str, Any] = field(default_factory=dict)  # beside the vocabulary


def on_the_ladder(stage: str) -> TrainingConfig:
    """How the ladder trains a stage for equal tokens, with its first seed."""
    [rate] = [each.learning_rate for each in STAGES if each.name == stage]
    return replace(PLAN, steps=STEPS[TEXT], learning_rate=rate)


RECIPES = {
    "shakespeare": Recipe(
        "GPT",
        TrainingConfig(steps=3500, learning_rate=4e-3, evaluate_every=500),
        {"context": 128, "width": 160, "heads": 5, "depth": 4},
    ),
    "block": Recipe("block", on_the_ladder("block")),
    "many-heads": Recipe("many heads", on_the_ladder("+ position")),
    "one-head": Recipe("one head", on_the_ladder("one head")),
    "averaging": Recipe("averaging", on_the_ladder("averaging")),
    "bigram": Recipe("bigram", on_the_ladder("bigram")),
}


def make(name: str) -> Card:
    """Train a model by its recipe, and keep it with its card: the card."""
    device, text, recipe = pick_device(), load_text(TEXT), RECIPES[name]
    tokenizer = CharTokenizer.from_text(text)
    ids = [part.to(device) for part in split(tokenizer.encode(text))]
    shape = {"vocab_size": tokenizer.vocab_size, **recipe.shape}
    torch.manual_seed(recipe.plan.seed)
    model = build(recipe.architecture, shape).to(device)
    with tqdm(total=recipe.plan.steps, unit="step", desc=name) as bar:
        for record in train(model, *ids, recipe.plan):
            bar.update(record.step - bar.n)
            bar.set_postfix(loss=f"{record.batch_loss:.3f}", refresh=False)
    card = Card(
        recipe.architecture,
        shape,
        tokenizer.characters,
        TEXT,
        TEXTS[TEXT].sha256,
        recipe.plan,
        step=recipe.plan.steps,
        seconds=round(record.seconds),
        validation_loss=round(validation_loss(model, ids[1]), 4),
        machine=describe(str(device)),
        date=date.today().isoformat(),
    )
    shutil.rmtree(MODELS / name, ignore_errors=True)  # git has it
    keep(MODELS / name, model, card)
    return card


def main() -> None:
    """Train the models and keep them under data/models."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    known = ", ".join(RECIPES)
    parser.add_argument("names", nargs="*", help=f"of {known}; all if none is given")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"no model {', '.join(unknown)}: there are {known}")
    for name in names or RECIPES:
        print(f"{name}: validation loss {make(name).validation_loss}")


if __name__ == "__main__":
    main()

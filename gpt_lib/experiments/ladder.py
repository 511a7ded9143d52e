"""Every stage of the course on one axis: `make ladder` (40 minutes on two cores).

Each stage is trained on two texts, with several seeds, once for equal tokens and once
for equal seconds. Lesson 08 and the README read their numbers from the file it writes.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from gpt_lib.attention import OneHead
from gpt_lib.averaging import Averaging
from gpt_lib.bigram import Bigram
from gpt_lib.block import OneBlock
from gpt_lib.device import describe, pick_device
from gpt_lib.experiments.results import read_json, write_json
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.heads import ManyHeads
from gpt_lib.text import (
    DATA,
    CharTokenizer,
    bigram_loss,
    blocks,
    diary_surprise,
    load_text,
    split,
)
from gpt_lib.training import Record, TrainingConfig, evaluating, train

if TYPE_CHECKING:
    from gpt_lib.views import Picture

RESULTS = DATA / "results" / "ladder.json"
PICTURE = DATA / "pictures" / "ladder.png"
BUDGETS = ("tokens", "seconds")
STEPS = {"tinyshakespeare": 2500, "diary": 1000}  # for equal tokens, 1,536 a step
SECONDS = {"tinyshakespeare": 30.0, "diary": 15.0}  # of training, for equal seconds
PLAN = TrainingConfig(batch=24, evaluate_every=10**6, evaluation_batches=1)


class Unigram(nn.Module):
    """One bar of chances for every position: how often each character occurs."""

    context = None

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.logits = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        return self.logits.expand(*ids.shape, -1)


@dataclass(frozen=True)
class Stage:
    """A rung: how to build its model, and the best of a few learning rates for it."""

    name: str
    build: Callable[[int], nn.Module]
    learning_rate: float


STAGES = [
    Stage("unigram", Unigram, 0.03),
    Stage("bigram", Bigram, 0.1),
    Stage("averaging", Averaging, 0.1),
    Stage("one head", OneHead, 0.003),
    Stage("many heads", lambda V: ManyHeads(V, positions=False), 0.006),
    Stage("+ position", ManyHeads, 0.01),
    Stage("block", OneBlock, 0.006),
    Stage("GPT", lambda V: GPT(GPTConfig.preset("nanogpt-cpu", V)), 0.006),
]


def finish(
    model: nn.Module, ids: tuple[Tensor, Tensor], config: TrainingConfig
) -> Record:
    """Train to the end and give back the last record."""
    *_, last = train(model, *ids, config)
    return last


def steps_within(
    seconds: float, stage: Stage, vocab_size: int, ids: tuple[Tensor, Tensor]
) -> int:
    """How many steps of this stage fit into a time, by a short trial."""
    model = stage.build(vocab_size).to(ids[0].device)
    trial = finish(model, ids, replace(PLAN, steps=60, warmup=10))
    steps = trial.tokens_per_second * seconds / (PLAN.batch * PLAN.context)
    return max(PLAN.warmup + 1, round(steps))


def character_losses(model: nn.Module, ids: Tensor, context: int = 64) -> Tensor:
    """The loss of every target of ids (N,), by a full pass in blocks: (N - 1,)."""
    with evaluating(model):
        return torch.cat(
            [
                cross_entropy(model(x).mT, y, reduction="none").flatten()
                for x, y in blocks(ids, context)
            ]
        )


def run(stage: Stage, text: str, budget: str, seed: int) -> dict[str, Any]:
    """Train one model and score it on the hidden part of its text."""
    device, content = pick_device(), load_text(text)
    tokenizer = CharTokenizer.from_text(content)
    ids = tuple(part.to(device) for part in split(tokenizer.encode(content)))
    V, steps = tokenizer.vocab_size, STEPS[text]
    if budget == "seconds":
        steps = steps_within(SECONDS[text], stage, V, ids)
    config = replace(PLAN, steps=steps, seed=seed, learning_rate=stage.learning_rate)
    torch.manual_seed(seed)
    model = stage.build(V).to(device)
    last = finish(model, ids, config)
    losses = character_losses(model, ids[1]).cpu()
    row = {
        "stage": stage.name,
        "text": text,
        "budget": budget,
        "seed": seed,
        "tokens": last.tokens,
        "seconds": round(last.seconds, 2),
        "val_loss": round(losses.mean().item(), 4),
    }
    if text == "diary":  # its floor is known: how far above it, and how sure
        above = losses - diary_surprise(content)[-len(losses) :]
        row["above_floor"] = round(above.mean().item(), 5)
        row["standard_error"] = round(above.std().item() / math.sqrt(len(above)), 5)
    return row | {"machine": describe(str(device)), "date": date.today().isoformat()}


def read_results() -> list[dict[str, Any]]:
    """Every run of the committed ladder, in ladder order."""
    return read_json(RESULTS)


def read_ladder(
    text: str, up_to: str | None = None
) -> tuple[list[str], dict[str, list[list[float]]]]:
    """The ladder of one text, as `views.ladder` takes it.

    Args:
        text: "tinyshakespeare" or "diary".
        up_to: the last stage wanted; all of them if not given.

    Returns:
        The stages, and budget -> for each stage its validation losses, one a seed.
    """
    rows = [row for row in read_results() if row["text"] == text]
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    if up_to:
        stages = stages[: stages.index(up_to) + 1]

    def losses_of(stage: str, budget: str) -> list[float]:
        wanted = stage, budget
        return [r["val_loss"] for r in rows if (r["stage"], r["budget"]) == wanted]

    return stages, {
        f"equal {budget}": [losses_of(stage, budget) for stage in stages]
        for budget in BUDGETS
    }


def rung(stage: str) -> float:
    """The mean loss of a stage on Tiny Shakespeare at equal tokens."""
    stages, losses = read_ladder("tinyshakespeare")
    seeds = losses["equal tokens"][stages.index(stage)]
    return sum(seeds) / len(seeds)


def picture() -> "Picture":
    """The ladder of Tiny Shakespeare, as the README shows it."""
    from gpt_lib.views import ladder  # here: who trains by name draws nothing

    text = load_text("tinyshakespeare")
    tokenizer = CharTokenizer.from_text(text)
    line = bigram_loss(*split(tokenizer.encode(text)), tokenizer.vocab_size)
    title = "Every stage of the course, on text it never read"
    return ladder(*read_ladder("tinyshakespeare"), title, {"bigram counts": line})


def runs(seeds: int) -> Iterator[tuple[Stage, str, str, int]]:
    """Every run, in ladder order."""
    for stage in STAGES:
        for text in STEPS:
            for budget in BUDGETS:
                for seed in range(1, seeds + 1):
                    yield stage, text, budget, seed


def main() -> None:
    """Train every rung, print its loss, and keep all under data/results."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind")
    rows: list[dict[str, Any]] = []
    for each in tqdm(list(runs(parser.parse_args().seeds)), unit="run"):
        rows.append(row := run(*each))
        told = ("stage", "text", "budget", "seed", "val_loss", "seconds")
        tqdm.write("  ".join(str(row[name]) for name in told))
        write_json(RESULTS, rows)
    PICTURE.write_bytes(picture().png)


if __name__ == "__main__":
    main()

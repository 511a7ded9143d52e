"""Every stage of the course on one axis: `make ladder` (40 minutes on two cores).

Each stage is trained on two texts, with several seeds, once for equal tokens and once
for equal seconds. Lesson 08 and the README read their numbers from the file it writes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gpt_lib import catalog
from gpt_lib.bigram import LanguageModel
from gpt_lib.data import (
    DATA,
    Corpus,
    exact_toy_diary_surprisals,
    load_corpus,
    load_text,
)
from gpt_lib.device import pick_device
from gpt_lib.experiments.results import measure_missing, parse_anew, read_json
from gpt_lib.text import bigram_loss, sequential_batches
from gpt_lib.training import (
    StepRecord,
    TrainingConfig,
    eval_mode,
    evaluate_loss,
    train,
)

if TYPE_CHECKING:
    from gpt_lib.views import Picture

LADDER_RESULTS = DATA / "results" / "ladder.json"
LADDER_PICTURE = DATA / "pictures" / "ladder.png"
BUDGET_KINDS = ("tokens", "seconds")
LADDER_SEEDS = (1, 2, 3)
# For equal tokens: training steps, of 1,536 tokens each.
TRAINING_STEPS = {"tinyshakespeare": 2500, "toy-diary": 1000}
# For equal seconds: how long each stage is trained.
TRAINING_SECONDS = {"tinyshakespeare": 30.0, "toy-diary": 15.0}


class Unigram(nn.Module):
    """The same logits at every position: how often each character occurs."""

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
    """A stage of the course: its label on the ladder, and its model."""

    label: str
    model: str | None  # a name in the catalog; None for the unigram model
    # With the best of a few learning rates; these were chosen before there was a
    # validation part of its own, by the text that is the test part now.
    training: TrainingConfig

    def build(self, vocab_size: int) -> LanguageModel:
        """A fresh model of this stage."""
        if self.model is None:
            return Unigram(vocab_size)
        return catalog.build_model(self.model, vocab_size)


# Labels of the catalog's stages, as ladder.json and the charts write them.
LABELS = {
    "one-head": "one head",
    "many-heads-no-positions": "many heads",
    "many-heads": "+ position",
    "gpt": "GPT",
}
STAGES = [
    Stage("unigram", None, catalog.ladder_training_config(0.03)),
    *(
        Stage(LABELS.get(name, name), name, catalog.find_recipe(name).training)
        for name in catalog.LADDER_MODEL_NAMES
    ),
]


def last_training_record(
    model: LanguageModel, corpus: Corpus, config: TrainingConfig
) -> StepRecord:
    """Train a model; the last record."""
    *_, last = train(model, corpus.train, corpus.validation, config)
    return last


def steps_within(seconds: float, stage: Stage, corpus: Corpus) -> int:
    """How many training steps fit into a time, estimated by a trial of a second."""
    config = replace(stage.training, steps=12, warmup_steps=1)
    while True:
        model = stage.build(corpus.tokenizer.vocab_size).to(corpus.train.device)
        trial = last_training_record(model, corpus, config)
        if trial.seconds > min(1.0, seconds / 10):
            break
        config = replace(config, steps=4 * config.steps)  # too short to be timed
    steps = trial.tokens_per_second * seconds / (config.batch_size * config.context)
    return max(stage.training.warmup_steps + 2, round(steps))


def token_losses(model: LanguageModel, ids: Tensor, context: int = 64) -> Tensor:
    """The loss of every target of ids (N,), by a full pass in blocks: (N - 1,)."""
    with eval_mode(model):
        return torch.cat(
            [
                cross_entropy(model(x).mT, y, reduction="none").flatten()
                for x, y in sequential_batches(ids, context)
            ]
        )


def train_stage(stage: str, text: str, budget: str, seed: int) -> dict[str, Any]:
    """Train the stage of a label, and score it on the test part of its text."""
    [stage] = [each for each in STAGES if each.label == stage]
    device = pick_device()
    corpus = load_corpus(text).to(device)
    steps = TRAINING_STEPS[text]
    if budget == "seconds":
        steps = steps_within(TRAINING_SECONDS[text], stage, corpus)
    torch.manual_seed(seed)
    model = stage.build(corpus.tokenizer.vocab_size).to(device)
    config = replace(stage.training, steps=steps, seed=seed)
    last = last_training_record(model, corpus, config)
    losses = token_losses(model, corpus.test).cpu()
    row = {
        "tokens": last.tokens,
        "seconds": round(last.seconds, 2),
        "val_loss": round(evaluate_loss(model, corpus.validation, 64), 4),
        "test_loss": round(losses.mean().item(), 4),
    }
    if text == "toy-diary":  # its floor is known: how far above it, and how sure
        surprisal = exact_toy_diary_surprisals(load_text(text))[-len(losses) :]
        above = losses - surprisal
        row["above_floor"] = round(above.mean().item(), 5)
        row["standard_error"] = round(above.std().item() / math.sqrt(len(above)), 5)
    return row


def read_ladder_runs() -> list[dict[str, Any]]:
    """Every run of the committed ladder, in ladder order."""
    return read_json(LADDER_RESULTS)


def read_test_losses(
    corpus: str, last_stage: str | None = None
) -> tuple[list[str], dict[str, list[list[float]]]]:
    """The ladder of one text, as `views.loss_ladder` takes it.

    Args:
        corpus: "tinyshakespeare" or "toy-diary".
        last_stage: the label of the last stage wanted; all of them by default.

    Returns:
        The labels of the stages, and budget -> for each stage its test losses, one a
        seed.
    """
    rows = [row for row in read_ladder_runs() if row["text"] == corpus]
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    if last_stage:
        stages = stages[: stages.index(last_stage) + 1]

    def losses_of(stage: str, budget: str) -> list[float]:
        return [
            row["test_loss"]
            for row in rows
            if (row["stage"], row["budget"]) == (stage, budget)
        ]

    return stages, {
        f"equal {budget}": [losses_of(stage, budget) for stage in stages]
        for budget in BUDGET_KINDS
    }


def read_mean_test_loss(stage: str) -> float:
    """The mean test loss of a stage on Tiny Shakespeare at equal tokens."""
    stages, losses = read_test_losses("tinyshakespeare")
    seeds = losses["equal tokens"][stages.index(stage)]
    return sum(seeds) / len(seeds)


def ladder_chart() -> "Picture":
    """The ladder of Tiny Shakespeare, as the README shows it."""
    from gpt_lib.views import loss_ladder  # here: training needs no matplotlib

    corpus = load_corpus("tinyshakespeare")
    vocab_size = corpus.tokenizer.vocab_size
    line = bigram_loss(corpus.train, corpus.test, vocab_size)
    title = "Every stage of the course, on text it never read"
    return loss_ladder(
        *read_test_losses("tinyshakespeare"), title, {"bigram counts": line}
    )


def planned_ladder_runs() -> Iterator[dict[str, Any]]:
    """Stage, text, budget and seed of every run, in ladder order."""
    for stage in STAGES:
        for text in TRAINING_STEPS:
            for budget in BUDGET_KINDS:
                for seed in LADDER_SEEDS:
                    run = {"stage": stage.label, "text": text, "budget": budget}
                    yield run | {"seed": seed}


def main() -> None:
    """Train what is missing, and save every row as soon as it is there."""
    anew = parse_anew(__doc__.splitlines()[0])
    measure_missing(LADDER_RESULTS, planned_ladder_runs(), train_stage, anew)
    LADDER_PICTURE.write_bytes(ladder_chart().png)


if __name__ == "__main__":
    main()

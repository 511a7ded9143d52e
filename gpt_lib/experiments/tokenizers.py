"""Which vocabulary is best? One GPT, five tokenizers, equal seconds, two texts.

`make tokenizers` (an hour on two cores, the first three minutes with nothing beside it)
measures what is missing in the committed files. Blocks of one shape read 64 tokens,
whatever a token is. How many steps are 60 seconds is measured for all tokenizers by
turns, and then every run has these steps, so that no run suffers from a slow moment of
the machine. Each tokenizer has the best of three learning rates on validation; losses
are compared in bits per byte of the text.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import torch

from gpt_lib import catalog
from gpt_lib.data import DATA, Corpus, load_corpus
from gpt_lib.device import pick_device
from gpt_lib.experiments.interleave import interleave
from gpt_lib.experiments.ladder import last_training_record
from gpt_lib.experiments.results import measure_missing, parse_anew, read_json
from gpt_lib.training import bits_per_byte, evaluate_loss

TOKENIZER_RESULTS = DATA / "results" / "tokenizers.json"
SPEED_RESULTS = DATA / "results" / "tokenizer_speeds.json"
RATE_RESULTS = DATA / "results" / "tokenizer_rates.json"
LEARNING_RATES = (0.002, 0.004, 0.006)
TEXT_LABELS = {
    "tinyshakespeare": "Shakespeare, 1 MB",
    "sotu": "presidents, 12 MB",
}
TOKENIZER_SEEDS = (1, 2, 3)
TRAINING_SECONDS = 60.0
SPEED_ROUNDS = 8
STEPS_A_ROUND = 12
# label -> a kind of tokenizer and the size of its vocabulary, as `gpt-lib train` takes
# them
TOKENIZERS: dict[str, tuple[str, int | None]] = {
    "characters": ("character", None),
    "8,192 words": ("word", 8192),
    "512 byte pairs": ("bpe", 512),
    "4,096 byte pairs": ("bpe", 4096),
    "GPT-2's 50,257": ("gpt2", None),
}


def corpus_of(label: str, text: str) -> Corpus:
    """A text as ids of the tokenizer of a label, learned from its training part."""
    kind, vocab_size = TOKENIZERS[label]
    return load_corpus(text, catalog.make_tokenizer(kind, text, vocab_size))


def step_seconds(corpus: Corpus) -> float:
    """How long a training step takes, by a few of them."""
    recipe = catalog.find_recipe("gpt")
    config = replace(recipe.training, steps=STEPS_A_ROUND, warmup_steps=1)
    model = catalog.build_model("gpt", corpus.tokenizer.vocab_size)
    record = last_training_record(model.to(corpus.train.device), corpus, config)
    return record.seconds / STEPS_A_ROUND


def measure_speeds(text: str) -> dict[str, Any]:
    """The median time of a step for each tokenizer, measured by turns."""
    measures = {
        label: partial(step_seconds, corpus_of(label, text).to(pick_device()))
        for label in TOKENIZERS
    }
    rounds = interleave(measures, SPEED_ROUNDS)
    return {"step_seconds": {label: median(each) for label, each in rounds.items()}}


def steps_of(tokenizer: str) -> int:
    """How many steps a tokenizer has in `TRAINING_SECONDS`."""
    [row] = read_json(SPEED_RESULTS)
    return round(TRAINING_SECONDS / row["step_seconds"][tokenizer])


def train_on_tokens(
    tokenizer: str, text: str, seed: int, learning_rate: float
) -> dict[str, Any]:
    """Train a GPT on ids of a tokenizer: a row of results."""
    corpus, steps = corpus_of(tokenizer, text).to(pick_device()), steps_of(tokenizer)
    recipe = catalog.find_recipe("gpt")
    torch.manual_seed(seed)
    model = catalog.build_model("gpt", corpus.tokenizer.vocab_size)
    model.to(corpus.train.device)
    warmup_steps = min(recipe.training.warmup_steps, steps // 10)
    config = replace(
        recipe.training,
        steps=steps,
        seed=seed,
        warmup_steps=warmup_steps,
        learning_rate=learning_rate,
    )
    last = last_training_record(model, corpus, config)
    row = {
        "vocab_size": corpus.tokenizer.vocab_size,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "steps": steps,
        "tokens": last.tokens,
    }
    for part in ("validation", "test"):
        ids = getattr(corpus, part)
        loss = evaluate_loss(model, ids)
        row[f"{part}_loss"] = round(loss, 4)
        bits = bits_per_byte(loss, ids.cpu(), corpus.tokenizer)
        row[f"{part}_bits_per_byte"] = round(bits, 4)
    return row


def planned_rates() -> Iterator[dict[str, Any]]:
    """One seed on the smaller text for each tokenizer and learning rate."""
    run = {"text": next(iter(TEXT_LABELS)), "seed": TOKENIZER_SEEDS[0]}
    for tokenizer in TOKENIZERS:
        for rate in LEARNING_RATES:
            yield {"tokenizer": tokenizer, **run, "learning_rate": rate}


def best_rate(tokenizer: str) -> float:
    """The learning rate that is best for a tokenizer on the validation part."""
    rows = [row for row in read_json(RATE_RESULTS) if row["tokenizer"] == tokenizer]
    return min(rows, key=lambda row: row["validation_loss"])["learning_rate"]


def planned_runs() -> Iterator[dict[str, Any]]:
    """Tokenizer, text, seed and learning rate of every run."""
    for text in TEXT_LABELS:
        for tokenizer in TOKENIZERS:
            rate = best_rate(tokenizer)
            for seed in TOKENIZER_SEEDS:
                run = {"tokenizer": tokenizer, "text": text, "seed": seed}
                yield {**run, "learning_rate": rate}


def read_tokenizer_rows() -> list[dict[str, Any]]:
    """Every run of the committed comparison."""
    return read_json(TOKENIZER_RESULTS)


def bytes_a_token(row: dict[str, Any]) -> float:
    """How many bytes of the test part a token stands for, in the mean."""
    bits_a_token = row["test_loss"] / math.log(2)
    return bits_a_token / row["test_bits_per_byte"]


def read_tokenizer_losses() -> tuple[list[str], dict[str, list[list[float]]]]:
    """The comparison as `views.loss_ladder` takes it.

    Returns:
        The labels of the tokenizers, and text -> for each of them the bits per byte of
        the test part, one a seed.
    """
    rows = read_tokenizer_rows()

    def bits_of(tokenizer: str, text: str) -> list[float]:
        return [
            row["test_bits_per_byte"]
            for row in rows
            if (row["tokenizer"], row["text"]) == (tokenizer, text)
        ]

    return list(TOKENIZERS), {
        label: [bits_of(tokenizer, text) for tokenizer in TOKENIZERS]
        for text, label in TEXT_LABELS.items()
    }


def main() -> None:
    """Measure the speeds, choose the learning rates, and measure what is missing."""
    anew = parse_anew(__doc__.splitlines()[0])
    speed = [{"text": next(iter(TEXT_LABELS))}]
    measure_missing(SPEED_RESULTS, speed, measure_speeds, anew)
    measure_missing(RATE_RESULTS, planned_rates(), train_on_tokens, anew)
    measure_missing(TOKENIZER_RESULTS, planned_runs(), train_on_tokens, anew)


if __name__ == "__main__":
    main()

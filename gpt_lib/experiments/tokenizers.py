"""Which vocabulary is best? One GPT, five tokenizers, equal seconds, two texts.

`make tokenizers` (an hour on two cores, nothing beside it) measures what is missing in
the committed files. Blocks of one shape read 64 tokens, whatever a token is; each
tokenizer has the best of three learning rates on validation; losses are compared in
bits per byte of the text.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from gpt_lib import catalog
from gpt_lib.data import DATA, Corpus, load_corpus
from gpt_lib.device import pick_device
from gpt_lib.experiments.ladder import Stage, last_training_record, steps_within
from gpt_lib.experiments.results import measure_missing, parse_anew, read_json
from gpt_lib.training import bits_per_byte, evaluate_loss

TOKENIZER_RESULTS = DATA / "results" / "tokenizers.json"
RATE_RESULTS = DATA / "results" / "tokenizer_rates.json"
LEARNING_RATES = (0.002, 0.004, 0.006)
TEXT_LABELS = {
    "tinyshakespeare": "Shakespeare, 1 MB",
    "sotu": "presidents, 12 MB",
}
TOKENIZER_SEEDS = (1, 2, 3)
TRAINING_SECONDS = 60.0
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


def train_on_tokens(
    tokenizer: str, text: str, seed: int, learning_rate: float
) -> dict[str, Any]:
    """Train a GPT for `TRAINING_SECONDS` on ids of a tokenizer: a row of results."""
    corpus = corpus_of(tokenizer, text).to(pick_device())
    recipe = catalog.find_recipe("gpt")
    stage = Stage(tokenizer, "gpt", replace(recipe.training, warmup_steps=1))
    steps = steps_within(TRAINING_SECONDS, stage, corpus)
    torch.manual_seed(seed)
    model = stage.build(corpus.tokenizer.vocab_size).to(corpus.train.device)
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
        "seconds": round(last.seconds, 1),
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
    """Choose the learning rates, and measure what is missing."""
    anew = parse_anew(__doc__.splitlines()[0])
    measure_missing(RATE_RESULTS, planned_rates(), train_on_tokens, anew)
    measure_missing(TOKENIZER_RESULTS, planned_runs(), train_on_tokens, anew)


if __name__ == "__main__":
    main()

"""Speed beside its peers, as ratios measured in one run: `make bench`.

Machines are noisy, so ours and the peer take turns, and the medians are compared.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date

import torch
from torch.nn.functional import cross_entropy

from gpt_lib.apps.export import ROOT
from gpt_lib.bigram import Bigram
from gpt_lib.device import describe, pick_device
from gpt_lib.text import CharTokenizer, load_text, random_batch, split
from gpt_lib.training import TrainingConfig, train

RESULTS = ROOT / "data" / "results" / "bench.json"
ROUNDS = 9


@dataclass(frozen=True)
class Result:
    """One comparison; `ratio` above 1 means that ours is faster."""

    name: str
    unit: str
    peer: str
    ours: float
    peers_figure: float
    ratio: float


def compare(
    name: str, unit: str, peer: str, ours: Callable, theirs: Callable
) -> Result:
    """Both take turns, each giving its speed; the medians make the ratio."""
    ours(), theirs()  # the first run also warms up
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    mine, other = (statistics.median(speeds) for speeds in zip(*pairs))
    return Result(name, unit, peer, mine, other, mine / other)


def bigram_training() -> Result:
    """Our trainer against the loop that everybody writes, on equal batches."""
    device = pick_device()
    text = load_text("tinyshakespeare")
    tokenizer = CharTokenizer.from_text(text)
    train_ids, validation_ids = split(tokenizer.encode(text).to(device))
    config = TrainingConfig(
        steps=600, evaluate_every=10_000, evaluation_batches=1, learning_rate=0.01
    )

    def ours() -> float:
        model = Bigram(tokenizer.vocab_size).to(device)
        *_, last = train(model, train_ids, validation_ids, config)
        return last.tokens_per_second

    def plain_loop() -> float:
        model = Bigram(tokenizer.vocab_size).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
        dice = torch.Generator().manual_seed(config.seed)
        begun = time.perf_counter()
        for _ in range(config.steps):
            x, y = random_batch(train_ids, config.batch, config.context, dice)
            loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for a GPU
        tokens = config.steps * config.batch * config.context
        return tokens / (time.perf_counter() - begun)

    name = "training the bigram, with clipping, schedule and records"
    return compare(name, "tokens/s", "plain loop of PyTorch", ours, plain_loop)


def main() -> None:
    """Measure, print a table, and keep it under data/results."""
    results = [bigram_training()]
    for result in results:
        print(
            f"{result.name}\n  against the {result.peer}: {result.ratio:.2f} x", end=""
        )
        print(f" ({result.ours:,.0f} and {result.peers_figure:,.0f} {result.unit})")
    content = {
        "machine": describe(str(pick_device())),
        "date": date.today().isoformat(),
        "results": [asdict(result) for result in results],
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

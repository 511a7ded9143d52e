"""The race of lesson 14: the best loss in a given time.

`make race SECONDS=100 SEED=1` runs one and adds it to the leaderboard in runs/;
`make races` repeats the committed ones (25 minutes on two cores).
"""

import argparse
import json
import time
from datetime import date
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from gpt_lib.attention import future_leak
from gpt_lib.checkpoints import RUNS
from gpt_lib.device import describe, pick_device
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.muon import Entry, race
from gpt_lib.text import DATA, CharTokenizer, load_text, split
from gpt_lib.training import TrainingConfig, train, validation_loss

if TYPE_CHECKING:
    from gpt_lib.views import Picture

RESULTS = DATA / "results" / "race.json"
LEADERBOARD = RUNS / "leaderboard.json"
MOST_LEAK = 1e-4  # rounding stays below, a look into the future far above
SEEDS, TIMES = (1, 2, 3), (100.0, 180.0)
PLAIN = "GPT, AdamW, 2,000 steps"  # the recipe in nanoGPT's README for a CPU
NANOGPT = TrainingConfig(steps=2000, batch=12, evaluate_every=10**6)


def texts() -> tuple[CharTokenizer, list[Tensor]]:
    """Tiny Shakespeare's tokenizer, and the ids of its two parts on the device."""
    text = load_text("tinyshakespeare")
    tokenizer = CharTokenizer.from_text(text)
    ids = tokenizer.encode(text)
    return tokenizer, [part.to(pick_device()) for part in split(ids)]


def entry_for(seconds: float) -> Entry:
    """The best recipe known for a time: who reads a text often needs more noise."""
    return Entry(noise=0.02 if seconds < 150 else 0.05)


def judged(model: nn.Module, ids: Tensor) -> float:
    """The loss of a full pass over hidden ids (N,).

    Raises:
        ValueError: the model sees the future.
    """
    leak = future_leak(model, ids[None, : min(32, model.context)])
    if not leak <= MOST_LEAK:
        raise ValueError(
            f"disqualified: a later character moves an earlier prediction by {leak:.2g}"
            f" (allowed: {MOST_LEAK})"
        )
    return validation_loss(model, ids)


def run(seconds: float, seed: int, entry: Entry | None = None) -> dict[str, Any]:
    """One race. The clock runs from before the text is read to the last step."""
    begun = time.perf_counter()
    entry = entry or entry_for(seconds)
    tokenizer, (train_ids, validation_ids) = texts()
    torch.manual_seed(seed)
    model = ModernGPT(ModernConfig(tokenizer.vocab_size, **entry.shape))
    model = model.to(train_ids.device)
    laps = race(entry, model, train_ids, seconds, seed, begun)
    with tqdm(
        total=round(seconds), unit="s", bar_format="{l_bar}{bar}|{n}/{total} s"
    ) as bar:
        for lap in laps:
            bar.update(min(round(lap.seconds), bar.total) - bar.n)
            bar.set_description(f"loss {lap.loss:.3f}")
    return {
        "name": entry.name,
        "budget": seconds,
        "seed": seed,
        "val_loss": round(judged(model, validation_ids), 4),
        "seconds": round(lap.seconds, 1),
        "tokens_per_s": round(lap.tokens / lap.seconds),
        "parameters": sum(weights.numel() for weights in model.parameters()),
    }


def run_plain(seed: int) -> dict[str, Any]:
    """The recipe that nanoGPT's README gives for a CPU, with the GPT of lesson 08."""
    begun = time.perf_counter()
    tokenizer, (train_ids, validation_ids) = texts()
    torch.manual_seed(seed)
    model = GPT(GPTConfig.preset("nanogpt-cpu", tokenizer.vocab_size))
    model = model.to(train_ids.device)
    config = TrainingConfig(**vars(NANOGPT) | {"seed": seed})
    *_, last = train(model, train_ids, validation_ids, config)
    seconds = time.perf_counter() - begun
    return {
        "name": PLAIN,
        "budget": round(seconds, 1),
        "seed": seed,
        "val_loss": round(judged(model, validation_ids), 4),
        "seconds": round(seconds, 1),
        "tokens_per_s": round(last.tokens / seconds),
        "parameters": sum(weights.numel() for weights in model.parameters()),
    }


def read_races() -> list[dict[str, Any]]:
    """Every committed race."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))["results"]


def picture() -> "Picture":
    """Loss against seconds, a curve through the medians of each name."""
    from gpt_lib import views

    found: dict[str, dict[float, list[float]]] = {}
    for row in read_races():
        times = found.setdefault(row["name"], {})
        times.setdefault(row["budget"], []).append(row["val_loss"])
    names = [
        f"{name}, {budget:.0f} s" for name, times in found.items() for budget in times
    ]
    losses = [each for times in found.values() for each in times.values()]
    return views.ladder(names, {"by the clock": losses}, "The race on two cores")


def on_the_board(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Add a race to the leaderboard in runs/; all of its budget, best first."""
    LEADERBOARD.parent.mkdir(parents=True, exist_ok=True)
    board = []
    if LEADERBOARD.exists():
        board = json.loads(LEADERBOARD.read_text(encoding="utf-8"))
    board.append({**row, "date": date.today().isoformat()})
    LEADERBOARD.write_text(json.dumps(board, indent=1) + "\n", encoding="utf-8")
    same = [each for each in board if each["budget"] == row["budget"]]
    return sorted(same, key=lambda each: each["val_loss"])


def repeat_all() -> None:
    """Run the committed races, and keep every row as soon as it is there."""
    rows: list[dict[str, Any]] = []

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        machine = describe(str(pick_device()))
        content = {"machine": machine, "date": date.today().isoformat()}
        content["results"] = rows
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    for seed in SEEDS[:1]:
        keep(run_plain(seed))
        # What ours does in the very time that the plain recipe took here.
        keep({**run(rows[-1]["seconds"], seed), "name": "ours in the plain one's time"})
    for seconds in TIMES:
        for seed in SEEDS:
            keep(run(seconds, seed))


def main() -> None:
    """Race once, or repeat the committed races."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=100, help="from 1 up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="repeat the committed races")
    asked = parser.parse_args()
    if asked.seconds < 1 or asked.seed < 0:
        parser.error(
            f"SECONDS={asked.seconds:g} and SEED={asked.seed}: at least 1 and 0"
        )
    if asked.all:
        repeat_all()
        return
    row = run(asked.seconds, asked.seed)
    for place, each in enumerate(on_the_board(row)[:10], 1):
        print(f"{place:2}. {each['val_loss']:.4f}  {each['name']}, {each['date']}")
    print(
        f"val_loss={row['val_loss']:.4f} seconds={row['seconds']:.1f}"
        f" tokens_per_s={row['tokens_per_s']}"
    )


if __name__ == "__main__":
    main()

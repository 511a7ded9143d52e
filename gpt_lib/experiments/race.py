"""The race of lesson 14: the best loss in a given time.

`make race SECONDS=100 SEED=1` runs one, keeps its model in runs/ and adds
it to the leaderboard there; `make bench` repeats the committed ones.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import cache
from itertools import count
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock
from torch import Tensor, nn
from tqdm import tqdm

from gpt_lib.attention import future_leak
from gpt_lib.catalog import keep
from gpt_lib.checkpoints import RUNS, Card, Shelf
from gpt_lib.device import describe, pick_device
from gpt_lib.experiments.results import read_json, read_runs, write_json
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.muon import ENTRIES, CountedGPT, Entry, fast_recipe, race, shape_of
from gpt_lib.speed import measure_roof, operations, pick_precision
from gpt_lib.text import TEXTS, CharTokenizer, load_text, split
from gpt_lib.training import (
    TrainingConfig,
    evaluating,
    train,
    training_step,
    validation_loss,
)

if TYPE_CHECKING:
    from gpt_lib.views import Picture

TEXT = "tinyshakespeare"
LEADERBOARD = RUNS / "leaderboard.json"
MOST_LEAK = 1e-4  # rounding stays below, a look into the future far above
SEEDS = (1, 2, 3)
TIMES = {"cpu": (100.0, 180.0, 300.0), "cuda": (30.0, 60.0)}
PLAIN = "GPT, AdamW, 2,000 steps"
# Shape and batch of the recipes in nanoGPT's README, by the kind of device.
NANOGPT = {"cpu": ("nanogpt-cpu", 12), "cuda": ("lecture", 64)}
ROOF_SIZE = {"cpu": 1024, "cuda": 8192}  # of the product that fills a device


def fitting(table: dict[str, Any], device: torch.device) -> Any:
    """What a table by the kind of device has for this one; a CPU's, if nothing."""
    return table.get(device.type, table["cpu"])


def texts() -> tuple[CharTokenizer, list[Tensor]]:
    """Tiny Shakespeare's tokenizer, and the ids of its two parts on the device."""
    text = load_text(TEXT)
    tokenizer = CharTokenizer.from_text(text)
    ids = tokenizer.encode(text)
    return tokenizer, [part.to(pick_device()) for part in split(ids)]


def without_counts(entry: Entry) -> Entry:
    """The same race for a GPT that begins with nothing."""
    return replace(entry, name="modern GPT, Muon", counts=0)


def far_leak(model: nn.Module, ids: Tensor) -> float:
    """How far other characters in the second half of ids (B, T) move the first."""
    half = ids.size(1) // 2
    changed = ids.clone()
    changed[:, half:] = (ids[:, half:] + 1) % model.vocab_size
    with evaluating(model):
        return (model(changed) - model(ids))[:, :half].abs().max().item()


def judged(model: nn.Module, ids: Tensor) -> float:
    """The loss of a full pass over hidden ids (N,).

    Raises:
        ValueError: the model sees the future, or says what is no number.
    """
    near, whole = ids[None, : min(32, model.context)], ids[None, : model.context]
    with evaluating(model):
        if not model(whole).isfinite().all():
            raise ValueError("disqualified: it says what is no number, or infinite")
    leak = max(future_leak(model, near), far_leak(model, whole))
    if not leak <= MOST_LEAK:
        raise ValueError(
            f"disqualified: a later character moves an earlier prediction by {leak:.2g}"
            f" (allowed: {MOST_LEAK})"
        )
    return validation_loss(model, ids)


@cache
def roof(device: torch.device) -> float:
    """Operations a second of a large matrix product, in the fastest numbers."""
    size = fitting(ROOF_SIZE, device)
    return measure_roof(device, pick_precision(device), size).operations


def utilisation(config: GPTConfig | ModernConfig, tokens_per_s: float) -> float:
    """The fraction of the roof that training at this speed reaches, to three digits."""
    reached = operations(config, 1) * tokens_per_s / roof(pick_device())
    return float(f"{reached:.3g}")  # a slow machine is not at zero


def run(
    seconds: float, seed: int, entry: Entry | None = None, name: str = ""
) -> dict[str, Any]:
    """One race; with a name its model is kept in runs/, and can be talked to.

    The clock runs from before the text is read to the last step.
    """
    begun = time.perf_counter()
    tokenizer, (train_ids, validation_ids) = texts()
    entry = entry or fitting(ENTRIES, train_ids.device)
    torch.manual_seed(seed)
    model = entry.build(train_ids, tokenizer.vocab_size)
    laps = race(entry, model, train_ids, seconds, seed, begun)
    with tqdm(
        total=round(seconds), unit="s", bar_format="{l_bar}{bar}|{n}/{total} s"
    ) as bar:
        for lap in laps:
            bar.update(min(round(lap.seconds), bar.total) - bar.n)
            bar.set_description(f"loss {lap.loss:.3f}")
    tokens_per_s = lap.tokens / lap.seconds
    config = getattr(model, "gpt", model).config
    row = {
        "name": entry.name,
        "budget": seconds,
        "seed": seed,
        "val_loss": round(judged(model, validation_ids), 4),
        "seconds": round(lap.seconds, 1),
        "tokens_per_s": round(tokens_per_s),
        "utilisation": utilisation(replace(config, context=entry.length), tokens_per_s),
        "parameters": sum(weights.numel() for weights in model.parameters()),
    }
    if name:
        steps = lap.tokens // (entry.batch * entry.length)
        card = make_card(model, tokenizer, entry, row, steps)
        keep(Shelf(name).at(steps), model, card)
        row["model"] = name
    return row


def make_card(
    model: ModernGPT | CountedGPT,
    tokenizer: CharTokenizer,
    entry: Entry,
    row: dict[str, Any],
    steps: int,
) -> Card:
    """What a race's model is, and how it was trained."""
    training = TrainingConfig(
        steps=steps,
        batch=entry.batch,
        context=entry.length,
        learning_rate=entry.learning_rate,
        warmup=0,
        final_share=0.0,
        weight_decay=entry.weight_decay,
        seed=row["seed"],
        optimizer="Muon",
    )
    return Card(
        *shape_of(model),
        tokenizer.characters,
        TEXT,
        TEXTS[TEXT].sha256,
        training,
        step=steps,
        seconds=row["seconds"],
        validation_loss=row["val_loss"],
        machine=describe(str(pick_device())),
        date=date.today().isoformat(),
    )


def reserve_name() -> str:
    """The next of race-1, race-2, … that no run has; its folder is there from now."""
    for n in count(1):
        with suppress(FileExistsError):
            Shelf(name := f"race-{n}").folder.mkdir(parents=True)
            return name


def run_plain(seed: int) -> dict[str, Any]:
    """2,000 steps of lesson 08's GPT with AdamW, as nanoGPT's README sets them.

    On a CPU in 32 bits, as there; on a GPU with lesson 11's recipe.
    """
    begun = time.perf_counter()
    tokenizer, (train_ids, validation_ids) = texts()
    torch.manual_seed(seed)
    preset, batch = fitting(NANOGPT, train_ids.device)
    model = GPT(GPTConfig.preset(preset, tokenizer.vocab_size)).to(train_ids.device)
    config = TrainingConfig(steps=2000, batch=batch, evaluate_every=10**6, seed=seed)
    learn = fast_recipe(train_ids.device) if train_ids.is_cuda else training_step
    *_, last = train(model, train_ids, validation_ids, config, learn=learn)
    seconds = time.perf_counter() - begun
    return {
        "name": PLAIN,
        "budget": round(seconds, 1),
        "seed": seed,
        "val_loss": round(judged(model, validation_ids), 4),
        "seconds": round(seconds, 1),
        "tokens_per_s": round(last.tokens / seconds),
        "utilisation": utilisation(model.config, last.tokens / seconds),
        "parameters": sum(weights.numel() for weights in model.parameters()),
    }


def medians(device: str = "cpu") -> dict[tuple[str, str], dict[float, float]]:
    """By name and fastest numbers of a machine: seconds and the median loss.

    Of several machines with the same numbers the one that was measured last.
    """
    found: dict[tuple[str, str], dict[float, float]] = {}
    for race_run in read_runs("race", device):
        numbers = race_run["machine"]["fastest numbers"]
        here: dict[tuple[str, str], dict[float, list[float]]] = {}
        for row in race_run["results"]:
            times = here.setdefault((row["name"], numbers), {})
            times.setdefault(row["budget"], []).append(row["val_loss"])
        for key, times in here.items():
            found[key] = {seconds: median(times[seconds]) for seconds in sorted(times)}
    return found


def picture() -> "Picture":
    """The committed races: a curve for what was run for several times."""
    from gpt_lib import views

    found = medians()
    plain = [loss for key in found if key[0] == PLAIN for loss in found[key].values()]
    return views.curves(
        {
            f"{name} ({numbers})": (list(times), list(times.values()))
            for (name, numbers), times in found.items()
            if len(times) > 1
        },
        "The race, on two cores of two machines",
        "seconds",
        "loss (nats a character)",
        {PLAIN: median(plain)},
    )


def on_the_board(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Add a race to the leaderboard in runs/; all of its budget, best first."""
    LEADERBOARD.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LEADERBOARD.with_suffix(".lock")):  # two races may end at once
        board = read_json(LEADERBOARD)
        board.append({**row, "date": date.today().isoformat()})
        write_json(LEADERBOARD, board)
    same = [each for each in board if each["budget"] == row["budget"]]
    return sorted(same, key=lambda each: each["val_loss"])


def all_races() -> Iterator[dict[str, Any]]:
    """The committed races, from the plain recipe to the longest of ours."""
    device = pick_device()
    entry, times = fitting(ENTRIES, device), fitting(TIMES, device)
    plain = [run_plain(seed) for seed in SEEDS]
    usual = median(row["seconds"] for row in plain)
    yield from ({**row, "budget": usual} for row in plain)
    # What ours does in the very time that the plain recipe took here.
    yield run(usual, SEEDS[0])
    for seed in SEEDS:
        yield run(times[0], seed, without_counts(entry))
    for seconds in times:
        for seed in SEEDS:
            yield run(seconds, seed)


def main() -> None:
    """Race once, and show the leaderboard."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=100, help="from 1 up")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.seconds < 1 or asked.seed < 0:
        parser.error(
            f"SECONDS={asked.seconds:g} must be 1 or more, SEED={asked.seed} 0 or more"
        )
    name = reserve_name()
    try:
        row = run(asked.seconds, asked.seed, name=name)
    finally:
        with suppress(OSError):  # it is not empty: the race has ended well
            Shelf(name).folder.rmdir()
    for place, each in enumerate(on_the_board(row)[:10], 1):
        told = ", ".join(filter(None, (each["name"], each["date"], each.get("model"))))
        print(f"{place:2}. {each['val_loss']:.4f}  {told}")
    print(f"talk to it with: gpt-lib chat {row['model']}")
    print(
        f"val_loss={row['val_loss']:.4f} seconds={row['seconds']:.1f}"
        f" tokens_per_s={row['tokens_per_s']}"
    )


if __name__ == "__main__":
    main()

"""Races by the clock: the best test loss in a given time.

`make race SECONDS=100 SEED=1` runs one as lesson 15 does, saves its model in runs/ and
adds it to the leaderboard there; `make races` runs the committed ones, and continues
where it was stopped. The recipe was chosen among `RACE_CANDIDATES` on the validation
part of the text (`--choose`); the test part is read once, by the finished model.
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
from torch import Tensor
from torch.optim import AdamW
from tqdm import tqdm

from gpt_lib.attention import future_leak
from gpt_lib.bigram import LanguageModel
from gpt_lib.catalog import save_model
from gpt_lib.checkpoints import ModelCard
from gpt_lib.data import DATA, Corpus, load_corpus
from gpt_lib.device import device_info, pick_device
from gpt_lib.experiments.results import measure_missing, read_json, write_json
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.modern import ModernConfig, ModernGPT
from gpt_lib.muon import pick_fastest_train_step
from gpt_lib.race import (
    RACE_CONFIG_BY_DEVICE,
    GPTWithNGramCounts,
    RaceConfig,
    architecture_and_shape,
    train_for_seconds,
)
from gpt_lib.runs import RUNS, CheckpointFolder
from gpt_lib.speed import measure_roofline, pick_precision, training_flops
from gpt_lib.training import (
    TrainingConfig,
    TrainingState,
    eval_mode,
    evaluate_loss,
    train,
    training_step,
)

if TYPE_CHECKING:
    from gpt_lib.views import Picture

RACE_TEXT = "tinyshakespeare"
RACE_RESULTS = DATA / "results" / "races.json"
CHOICE_RESULTS = DATA / "results" / "race_candidates.json"
RACE_PICTURE = DATA / "pictures" / "race.png"
LEADERBOARD_FILE = RUNS / "leaderboard.json"
MAX_LEAK = 1e-4  # rounding stays below, a look into the future far above
RACE_SEEDS = (1, 2, 3)
RACE_SECONDS = {"cpu": (100.0, 180.0, 300.0), "cuda": (30.0, 60.0)}
NGRAM_RACER, PLAIN_RACER = RaceConfig().name, "modern GPT, Muon"
BASELINE_NAME = "GPT, AdamW, 2,000 steps"
# Preset and batch size of the recipes in nanoGPT's README, by the kind of device.
NANOGPT_PRESET_AND_BATCH_SIZE_BY_DEVICE = {
    "cpu": ("nanogpt-cpu", 12),
    "cuda": ("lecture", 64),
}
MATMUL_SIZES = {"cpu": 1024, "cuda": 8192}  # of the product that fills a device


def look_up_by_device(table: dict[str, Any], device: torch.device) -> Any:
    """The entry of a table for a kind of device; that of a CPU for unknown kinds."""
    return table.get(device.type, table["cpu"])


def race_corpus() -> Corpus:
    """Tiny Shakespeare on the device."""
    return load_corpus(RACE_TEXT).to(pick_device())


def config_without_ngrams(config: RaceConfig) -> RaceConfig:
    """The same race for a GPT without n-gram counts."""
    return replace(config, name=PLAIN_RACER, ngram_order=0)


def far_future_leak(model: LanguageModel, ids: Tensor) -> float:
    """How far other characters in the second half of ids (B, T) move the first half's.

    The largest difference of a logit: 0, but for rounding, if nothing sees the future.
    """
    half = ids.size(1) // 2
    changed = ids.clone()
    changed[:, half:] = (ids[:, half:] + 1) % model.vocab_size
    with eval_mode(model):
        return (model(changed) - model(ids))[:, :half].abs().max().item()


def leak_tested_loss(model: LanguageModel, ids: Tensor) -> float:
    """The loss of a full pass over ids (N,), after a leak test.

    Raises:
        ValueError: the model sees the future, or its logits are not finite.
    """
    whole = ids[None, : model.context].long()
    near = whole[:, :32]
    with eval_mode(model):
        if not model(whole).isfinite().all():
            raise ValueError("disqualified: some logits are NaN or infinite")
    leak = max(future_leak(model, near), far_future_leak(model, whole))
    if not leak <= MAX_LEAK:
        raise ValueError(
            f"disqualified: a later character moves an earlier prediction by {leak:.2g}"
            f" (allowed: {MAX_LEAK})"
        )
    return evaluate_loss(model, ids)


def race_losses(model: LanguageModel, corpus: Corpus) -> dict[str, float]:
    """What a finished race reports; ValueError if its model is disqualified."""
    return {
        "val_loss": round(evaluate_loss(model, corpus.validation), 4),
        "test_loss": round(leak_tested_loss(model, corpus.test), 4),
    }


@cache
def peak_flops(device: torch.device) -> float:
    """Operations a second of a large matrix product, in the fastest dtype."""
    size = look_up_by_device(MATMUL_SIZES, device)
    return measure_roofline(device, pick_precision(device), size).flops


def utilisation(config: GPTConfig | ModernConfig, tokens_per_s: float) -> float:
    """The fraction of `peak_flops` that training at this speed reaches, to 3 digits."""
    fraction = training_flops(config, 1) * tokens_per_s / peak_flops(pick_device())
    return float(f"{fraction:.3g}")  # a slow machine is not at zero


def run_race(
    seconds: float, seed: int, config: RaceConfig | None = None, name: str = ""
) -> dict[str, Any]:
    """One race: its row. With a name, the model is saved as that run in runs/.

    The clock runs from before the text is read to the last step.
    """
    start = time.perf_counter()
    corpus = race_corpus()
    config = config or look_up_by_device(RACE_CONFIG_BY_DEVICE, corpus.train.device)
    torch.manual_seed(seed)
    model = config.build_model(corpus.train, corpus.tokenizer.vocab_size)
    records = train_for_seconds(config, model, corpus.train, seconds, seed, start)
    with tqdm(
        total=round(seconds), unit="s", bar_format="{l_bar}{bar}|{n}/{total} s"
    ) as bar:
        for record in records:
            bar.update(min(round(record.seconds), bar.total) - bar.n)
            bar.set_description(f"loss {record.loss:.3f}")
    tokens_per_s = record.tokens / record.seconds
    shape = replace(getattr(model, "gpt", model).config, context=config.sequence_length)
    row = {
        "name": config.name,
        "budget": seconds,
        "seed": seed,
        **race_losses(model, corpus),
        "seconds": round(record.seconds, 1),
        "tokens_per_s": round(tokens_per_s),
        "utilisation": utilisation(shape, tokens_per_s),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }
    if name:
        steps = record.tokens // (config.batch_size * config.sequence_length)
        card = race_model_card(model, corpus, config, row, steps)
        save_model(CheckpointFolder(name).at(steps), model, card)
        row["model"] = name
    return row


def race_model_card(
    model: ModernGPT | GPTWithNGramCounts,
    corpus: Corpus,
    config: RaceConfig,
    row: dict[str, Any],
    steps: int,
) -> ModelCard:
    """What a race's model is, and how it was trained."""
    training = TrainingConfig(
        steps=steps,
        batch_size=config.batch_size,
        context=config.sequence_length,
        learning_rate=config.learning_rate,
        warmup_steps=0,
        final_lr_fraction=0.0,
        weight_decay=config.weight_decay,
        seed=row["seed"],
        optimizer="Muon",
    )
    architecture, shape = architecture_and_shape(model)
    return ModelCard(
        architecture=architecture,
        shape=shape,
        tokenizer=corpus.tokenizer.to_card(),
        text=corpus.name,
        text_sha256=corpus.sha256,
        split=corpus.split,
        training=training,
        step=steps,
        seconds=row["seconds"],
        validation_loss=row["val_loss"],
        test_loss=row["test_loss"],
        machine=device_info(str(pick_device())),
        date=date.today().isoformat(),
    )


def reserve_run_name() -> str:
    """The next of race-1, race-2, … that no run has; makes its folder."""
    for n in count(1):
        with suppress(FileExistsError):
            CheckpointFolder(name := f"race-{n}").folder.mkdir(parents=True)
            return name


def nanogpt_adamw(model: LanguageModel, config: TrainingConfig) -> AdamW:
    """AdamW as nanoGPT sets it: β₂ is 0.99, and only matrices decay.

    Source: Karpathy's nanoGPT, `configure_optimizers`.
    """
    weights = list(model.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim >= 2]},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    decay = config.weight_decay
    return AdamW(groups, betas=(0.9, 0.99), weight_decay=decay, fused=True)


def run_baseline(seed: int) -> dict[str, Any]:
    """2,000 steps of lesson 08's GPT by nanoGPT's recipe for a character model: a row.

    Rates, batches, AdamW's β₂ and what decays are those of nanoGPT's README and
    `config/train_shakespeare_char.py`. What differs is the model: lesson 08's has
    biases, and its unembedding is not tied to its embedding. On a CPU in 32 bits, as
    there; on a GPU with lesson 11's fast step.
    """
    start = time.perf_counter()
    corpus = race_corpus()
    device = corpus.train.device
    torch.manual_seed(seed)
    preset, batch_size = look_up_by_device(
        NANOGPT_PRESET_AND_BATCH_SIZE_BY_DEVICE, device
    )
    model = GPT(GPTConfig.preset(preset, corpus.tokenizer.vocab_size)).to(device)
    config = TrainingConfig(
        steps=2000, batch_size=batch_size, evaluate_every=10**6, seed=seed
    )
    step_function = (
        pick_fastest_train_step(device) if device.type == "cuda" else training_step
    )
    state = TrainingState.start(model, config, {config.optimizer: nanogpt_adamw})
    parts = corpus.train, corpus.validation
    *_, last = train(model, *parts, config, state, step_function)
    seconds = time.perf_counter() - start
    return {
        "name": BASELINE_NAME,
        "budget": round(seconds, 1),
        "seed": seed,
        **race_losses(model, corpus),
        "seconds": round(seconds, 1),
        "tokens_per_s": round(last.tokens / seconds),
        "utilisation": utilisation(model.config, last.tokens / seconds),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def read_races(device: str = "cpu") -> list[dict[str, Any]]:
    """The rows of the committed races on a kind of device."""
    rows = read_json(RACE_RESULTS)
    return [row for row in rows if row["machine"]["device"] == device]


def read_median_losses_by_budget(
    device: str = "cpu",
) -> dict[tuple[str, str], dict[float, float]]:
    """By name and the fastest dtype of a machine: seconds -> the median test loss."""
    rows_by_race: dict[tuple, list[dict[str, Any]]] = {}
    for row in sorted(read_races(device), key=lambda row: row["budget"]):
        # The baseline has a number of steps, so each of its runs has its own seconds.
        budget = None if row["name"] == BASELINE_NAME else row["budget"]
        rows_by_race.setdefault((row["name"], row["dtype"], budget), []).append(row)
    losses: dict[tuple[str, str], dict[float, float]] = {}
    for (name, dtype, _), rows in rows_by_race.items():
        seconds = median(row["budget"] for row in rows)
        losses.setdefault((name, dtype), {})[seconds] = median(
            row["test_loss"] for row in rows
        )
    return losses


def race_chart() -> "Picture":
    """The committed races on CPUs; the line is nanoGPT's recipe."""
    from gpt_lib import views

    losses = read_median_losses_by_budget()
    baseline = [
        loss
        for (name, _), times in losses.items()
        if name == BASELINE_NAME
        for loss in times.values()
    ]
    return views.line_chart(
        {
            f"{name} ({dtype})": (list(times), list(times.values()))
            for (name, dtype), times in losses.items()
            if name == NGRAM_RACER
        },
        "The race, on two cores",
        "seconds",
        "loss (nats a character)",
        {BASELINE_NAME: median(baseline)},
    )


def add_to_leaderboard(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Add a race to the leaderboard in runs/; all races of its budget, best first."""
    LEADERBOARD_FILE.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LEADERBOARD_FILE.with_suffix(".lock")):  # two races may end at once
        rows = read_json(LEADERBOARD_FILE)
        rows.append({**row, "date": date.today().isoformat()})
        write_json(LEADERBOARD_FILE, rows)
    same_budget = [each for each in rows if each["budget"] == row["budget"]]
    # A race of before trained on 90 % and knew no validation part of its own.
    return sorted(same_budget, key=lambda each: each.get("test_loss", each["val_loss"]))


def planned_races(device: torch.device, dtype: str) -> Iterator[dict[str, Any]]:
    """The committed races of a machine, from the baseline to our longest."""
    times = look_up_by_device(RACE_SECONDS, device)
    name_and_budgets = [
        (BASELINE_NAME, None),
        *((NGRAM_RACER, seconds) for seconds in times),
        (PLAIN_RACER, times[0]),
    ]
    for name, budget in name_and_budgets:
        for seed in RACE_SEEDS:
            race = {"device": device.type, "name": name, "seed": seed, "dtype": dtype}
            yield race if budget is None else race | {"budget": budget}


def run_planned_race(
    device: str, name: str, seed: int, dtype: str, budget: float | None = None
) -> dict[str, Any]:
    """What a planned race gives; `dtype` is the fastest of this machine's `device`."""
    if name == BASELINE_NAME:
        return run_baseline(seed)
    config = look_up_by_device(RACE_CONFIG_BY_DEVICE, pick_device())
    config = config_without_ngrams(config) if name == PLAIN_RACER else config
    row = run_race(budget, seed, config)
    return row | {"name": name}


# What was tried on a CPU -> what it changes of the recipe.
NOT_ZERO = {"zero_init": False, "zero_init_unembed": False}
RACE_CANDIDATES: dict[str, dict[str, Any]] = {
    "the recipe of before": {},
    "branches and unembedding not zero": {"shape": NOT_ZERO},
    "rate 0.03": {"learning_rate": 0.03},
    "noise 0.1": {"noise": 0.1},
    "order 7": {"ngram_order": 7},
}
# What was tried at the longest time, with the recipe that was chosen at the shortest.
LONG_RACE_CANDIDATES: dict[str, dict[str, Any]] = {
    "weight decay 0.3": {"weight_decay": 0.3},
    "dropout 0.1": {"shape": {"dropout": 0.1}},
    "noise 0.1": {"noise": 0.1},
    "depth 6": {"shape": {"depth": 6}},
    "sequences of 256": {"sequence_length": 256, "batch_size": 16},
}


def measure_candidate(candidate: str, seed: int, budget: float) -> dict[str, Any]:
    """A candidate's race: its losses on the validation part alone."""
    changes = dict({**RACE_CANDIDATES, **LONG_RACE_CANDIDATES}[candidate])
    shape = RaceConfig().shape | changes.pop("shape", {})
    row = run_race(budget, seed, replace(RaceConfig(), shape=shape, **changes))
    return {key: row[key] for key in ("val_loss", "seconds", "tokens_per_s")}


def choose_recipe() -> None:
    """Race all candidates with one seed, and the best two with the others.

    Last those for the longest time; they are compared with the committed races.
    """
    first, *others = RACE_SEEDS
    run = {"budget": RACE_SECONDS["cpu"][0]}
    planned = [{"candidate": c, "seed": first} | run for c in RACE_CANDIDATES]
    rows = measure_missing(CHOICE_RESULTS, planned, measure_candidate)
    ranked = sorted(rows[: len(planned)], key=lambda row: row["val_loss"])
    best = [row["candidate"] for row in ranked[:2]]
    planned = [{"candidate": c, "seed": seed} | run for c in best for seed in others]
    longest = {"budget": RACE_SECONDS["cpu"][-1]}
    planned += [{"candidate": c, "seed": first} | longest for c in LONG_RACE_CANDIDATES]
    measure_missing(CHOICE_RESULTS, planned, measure_candidate)


def run_committed_races() -> None:
    """Run those that data/results/races.json lacks, and draw them."""
    device = pick_device()
    dtype = str(pick_precision(device)).removeprefix("torch.")
    planned = planned_races(device, dtype)
    measure_missing(RACE_RESULTS, planned, run_planned_race)
    RACE_PICTURE.write_bytes(race_chart().png)


def main() -> None:
    """Race once, and print the leaderboard."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=100, help="from 1 up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="all of data/results")
    parser.add_argument("--choose", action="store_true", help="the candidates")
    options = parser.parse_args()
    if options.seconds < 1 or options.seed < 0:
        parser.error(
            f"SECONDS={options.seconds:g} must be 1 or more, SEED={options.seed} 0 or"
            " more"
        )
    if options.choose or options.all:
        return choose_recipe() if options.choose else run_committed_races()
    name = reserve_run_name()
    try:
        row = run_race(options.seconds, options.seed, name=name)
    finally:
        with suppress(OSError):  # it is not empty: the race has ended well
            CheckpointFolder(name).folder.rmdir()
    for rank, each in enumerate(add_to_leaderboard(row)[:10], 1):
        details = filter(None, (each["name"], each["date"], each.get("model")))
        loss = each.get("test_loss", each["val_loss"])
        print(f"{rank:2}. {loss:.4f}  {', '.join(details)}")
    print(f"talk to it with: gpt-lib chat {row['model']}")
    print(
        f"test_loss={row['test_loss']:.4f} val_loss={row['val_loss']:.4f}"
        f" seconds={row['seconds']:.1f}"
        f" tokens_per_s={row['tokens_per_s']}"
    )


if __name__ == "__main__":
    main()

"""Speed, memory and loss beside peers, as ratios measured in one run: `make bench`.

Machines are noisy, so ours and the peers take turns, and are compared within each.
`python -m gpt_lib.experiments.bench.training step memory` measures these parts alone.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import psutil
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gpt_lib.bigram import Bigram
from gpt_lib.device import pick_device
from gpt_lib.experiments import race, results
from gpt_lib.experiments.bench import generation as bench_generation
from gpt_lib.experiments.bench.peers import PEERS, versions
from gpt_lib.experiments.interleave import ratio, take_turns
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.speed import (
    ATTENTIONS,
    GraphRecipe,
    HalfRecipe,
    Recipe,
    operation_times,
    pick_attention,
)
from gpt_lib.text import DATA, random_batch
from gpt_lib.training import (
    Learn,
    TrainingConfig,
    train,
    training_step,
    validation_loss,
)

ROUNDS, STEPS = 27, 12  # short turns: a machine has slow minutes
OURS = "GPT of lesson 08"
BATCH, SHAPE = 12, GPTConfig.preset("nanogpt-cpu", 65)
# What nanoGPT's README sets for a CPU: 2,000 steps, rate 0.001, a tenth at the end.
NANOGPT = TrainingConfig(steps=2000, batch=BATCH, evaluate_every=10**6)
PRODUCTS = ("mm", "addmm", "bmm")  # of matrices, as PyTorch names them
OUR_RATE = 4e-3  # on the same steps, batches and shape


@dataclass(frozen=True)
class Result:
    """One comparison; `better` says whether a ratio above or below 1 is wished for."""

    name: str
    unit: str
    ours: float
    peer: str
    peers_figure: float
    ratio: float
    better: str = "above 1"


def against_each(
    name: str, unit: str, figures: dict[str, list[float]], better: str = "above 1"
) -> Iterator[Result]:
    """The first figures are ours, the others are the peers'; one for each round."""
    (_, ours), *peers = figures.items()
    for peer, theirs in peers:
        figure = median(ours), peer, median(theirs), ratio(ours, theirs)
        yield Result(name, unit, *figure, better)


def shakespeare() -> list[torch.Tensor]:
    """The ids of Tiny Shakespeare's two parts, on the device."""
    return race.texts()[1]


def bigram_training() -> Iterator[Result]:
    """Our trainer against the loop that everybody writes, on equal batches."""
    device = pick_device()
    train_ids, validation_ids = shakespeare()
    config = TrainingConfig(
        steps=600, evaluate_every=10_000, evaluation_batches=1, learning_rate=0.01
    )

    def ours() -> float:
        model = Bigram(SHAPE.vocab_size).to(device)
        *_, last = train(model, train_ids, validation_ids, config)
        return last.tokens_per_second

    def plain_loop() -> float:
        model = Bigram(SHAPE.vocab_size).to(device)
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

    figures = take_turns({"ours": ours, "plain loop of PyTorch": plain_loop}, ROUNDS)
    name = "training the bigram, with clipping, schedule and records"
    yield from against_each(name, "tokens/s", figures)


def models() -> dict[str, nn.Module]:
    """Ours and the peers', of one shape, on the device."""
    kinds = {OURS: GPT} | PEERS
    return {name: kind(SHAPE).to(pick_device()) for name, kind in kinds.items()}


def tokens_per_second(
    model: nn.Module,
    ids: torch.Tensor,
    learn: Learn = training_step,
    shape: tuple[int, int] = (BATCH, SHAPE.context),
) -> float:
    """Train a few steps on a batch (B, T), the same ones for every model."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    dice = torch.Generator().manual_seed(1)
    x, y = random_batch(ids, *shape, dice)
    learn(model, optimizer, x, y, 1.0)  # the optimizer's memory is made here
    begun = time.perf_counter()
    for _ in range(STEPS):
        loss, _ = learn(model, optimizer, x, y, 1.0)
    loss.item()  # waits for a GPU
    return STEPS * x.numel() / (time.perf_counter() - begun)


Run = Callable[[], float]


def compiled(
    name: str, model: nn.Module, ids: torch.Tensor, learn: Learn
) -> dict[str, Run]:
    """Training the model in machine code, by name; nothing where no compiler is."""
    run = partial(tokens_per_second, torch.compile(model), ids, learn)
    try:
        run()
    except RuntimeError as error:
        print(f"not compiled: {str(error).partition(chr(10))[0]}")
        return {}
    return {name: run}


def steps_of_each(name: str, learn: Learn, precision: torch.dtype) -> Iterator[Result]:
    """Our step by `learn` beside each peer's; compiled, beside theirs compiled, too."""
    train_ids, _ = shakespeare()
    (_, model), *peers = models().items()
    ours = {name: partial(tokens_per_second, model, train_ids, learn)}
    for way in ATTENTIONS:
        label, fresh = f"{name}, compiled, {way} attention", GPT(SHAPE)
        recipe = Recipe(precision, way)
        ours |= compiled(label, fresh.to(pick_device()), train_ids, recipe)
    theirs, faster = {}, {}
    for peer, model in peers:
        theirs[peer] = partial(tokens_per_second, model, train_ids)
        faster |= compiled(f"{peer}, compiled", model, train_ids, training_step)
    found = take_turns(ours | theirs | faster, ROUNDS)
    for way in ours:
        rivals = theirs if way == name else theirs | faster
        wished = "above 1" if "fused" not in way else "none: to compare with plain"
        yield from against_each(
            way, "tokens/s", {each: found[each] for each in (way, *rivals)}, wished
        )


def gpt_training() -> Iterator[Result]:
    """The same training step, with the same optimizer, for each model."""
    name = "training step, 4 layers, 4 heads, width 128, context 64, batch 12, fp32"
    yield from steps_of_each(name, training_step, torch.float32)


def half_training() -> Iterator[Result]:
    """Our step in 16 bits, with what lesson 11 found, against the peers' in 32.

    Nothing where this machine has no arithmetic for 16 bits.
    """
    precision = getattr(torch, results.machine()["fastest numbers"])
    if precision == torch.float32:
        return
    shape = BATCH, SHAPE.heads, SHAPE.context, SHAPE.width // SHAPE.heads
    way = pick_attention(shape, pick_device(), precision)
    name = f"the same in {precision}, the peers in fp32"
    yield from steps_of_each(name, Recipe(precision, way), precision)


def longest(times: dict[str, float], most: int) -> dict[str, float]:
    """The operations that take longest, rounded."""
    first = sorted(times, key=times.get, reverse=True)[:most]
    return {name: round(times[name], 2) for name in first}


def step_profiles() -> Iterator[dict[str, Any]]:
    """Where the time of a training step goes, in ours and in each peer's, by turns."""
    train_ids, _ = shakespeare()
    x, y = random_batch(train_ids, BATCH, SHAPE.context)
    runs = {}
    for name, model in models().items():
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        step = partial(training_step, model, optimizer, x, y, 1.0)
        runs[name] = partial(operation_times, step, x.device)
    for name, rounds in take_turns(runs, ROUNDS).items():
        usual = {kind: median(each[kind] for each in rounds) for kind in rounds[0]}
        row = {
            "name": name,
            "ms": round(sum(usual.values()), 2),
            "products": round(sum(usual.get(kind, 0) for kind in PRODUCTS), 2),
            "longest": longest(usual, most=8),
        }
        print(row, flush=True)
        yield row


def recipe_times() -> Iterator[dict[str, Any]]:
    """A step of lesson 08's GPT, on a GPU the lecture's, in each way of lesson 11."""
    train_ids, _ = shakespeare()
    preset, batch = race.fitting(race.NANOGPT, train_ids.device)
    config = GPTConfig.preset(preset, SHAPE.vocab_size)
    shape = batch, config.context
    precision = getattr(torch, results.machine()["fastest numbers"])
    name = str(precision).removeprefix("torch.")
    ways: dict[str, Learn] = {
        "float32, fused": Recipe(),
        "float32, plain": Recipe(attention="plain"),
        "float32, 4 parts": Recipe(parts=4),
    }
    if precision != torch.float32:
        ways[f"{name}, fused"] = Recipe(precision)
        ways[f"{name}, plain"] = Recipe(precision, "plain")
    if precision == torch.bfloat16:
        ways[f"all in {name}, fused"] = HalfRecipe(precision)
        ways[f"all in {name}, plain"] = HalfRecipe(precision, "plain")
    if precision == torch.bfloat16 and train_ids.is_cuda:
        ways["the same as a graph"] = GraphRecipe(precision)
    model = GPT(config).to(train_ids.device)
    runs = {
        way: partial(tokens_per_second, model, train_ids, learn, shape)
        for way, learn in ways.items()
    }
    x, y = random_batch(train_ids, *shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    for way, speeds in take_turns(runs, ROUNDS).items():
        step = partial(ways[way], model, optimizer, x, y, 1.0)
        ms = round(1000 * x.numel() / median(speeds), 2)
        print(f"{ms:7.2f} ms a step: {way}", flush=True)
        times = operation_times(step, x.device)
        yield {"name": way, "ms": ms, "longest": longest(times, most=3)}


def highest_memory(model: nn.Module, ids: torch.Tensor, batch: int) -> int:
    """The most bytes that this process holds while it trains `model` for 40 steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    highest = 0
    for _ in range(40):
        x, y = random_batch(ids, batch, SHAPE.context)
        training_step(model, optimizer, x, y, clip=1.0)
        highest = max(highest, psutil.Process().memory_info().rss)
    return highest


def grown_memory(name: str, answer: multiprocessing.SimpleQueue) -> None:
    """Put the MiB that training adds to a fresh process.

    A tiny model of the same kind is trained first, so that what libraries load and keep
    for any model, threads and kernels, does not count.
    """
    train_ids = shakespeare()[0].cpu()
    kind = ({OURS: GPT} | PEERS)[name]
    before = highest_memory(kind(replace(SHAPE, width=8, depth=1)), train_ids, 1)
    answer.put((highest_memory(kind(SHAPE), train_ids, BATCH) - before) / 2**20)


def memory_of(name: str) -> float:
    """What `grown_memory` puts, from a fresh process.

    Raises:
        RuntimeError: the process has died.
    """
    spawn = multiprocessing.get_context("spawn")
    answer = spawn.SimpleQueue()
    process = spawn.Process(target=grown_memory, args=(name, answer))
    process.start()
    process.join()
    if process.exitcode:  # it has put nothing, and asking would wait for ever
        raise RuntimeError(f"the process for {name} ended with {process.exitcode}")
    return answer.get()


def memory() -> Iterator[Result]:
    """Each model in three fresh processes, by turns; on the CPU."""
    runs = {name: partial(memory_of, name) for name in (OURS, *PEERS)}
    name, figures = "memory that this training adds", take_turns(runs, rounds=3)
    yield from against_each(name, "MiB", figures, "at most 1.1")


def recipe_loss() -> Iterator[Result]:
    """Full-pass validation loss after nanoGPT's CPU recipe of 2,000 steps."""
    train_ids, validation_ids = shakespeare()
    figures = {}
    for name, kind, rate in [
        (f"{OURS}, rate {OUR_RATE}", GPT, OUR_RATE),
        ("transformers' GPT-2, rate 0.001", PEERS["transformers' GPT-2"], 1e-3),
    ]:
        torch.manual_seed(1)
        model = kind(SHAPE).to(pick_device())
        config = TrainingConfig(**vars(NANOGPT) | {"learning_rate": rate})
        list(train(model, train_ids, validation_ids, config))
        figures[name] = [validation_loss(model, validation_ids)]
    yield from against_each(
        "validation loss, nanoGPT's CPU recipe", "nats", figures, "below 1"
    )


def told(result: Result) -> dict[str, Any]:
    """Print a comparison; gives it as a row."""
    print(
        f"{result.ratio:5.2f} x {result.peer}: {result.name}"
        f" ({result.ours:,.4g} and {result.peers_figure:,.4g} {result.unit};"
        f" wished: {result.better})",
        flush=True,
    )
    return asdict(result)


def rows_of(comparisons: Callable[[], Iterator[Result]]) -> Iterator[dict[str, Any]]:
    """Comparisons as rows."""
    return map(told, comparisons())


PARTS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "bigram": partial(rows_of, bigram_training),
    "step": partial(rows_of, gpt_training),
    "half": partial(rows_of, half_training),
    "profile": step_profiles,
    "recipes": recipe_times,
    "memory": partial(rows_of, memory),
    "recipe": partial(rows_of, recipe_loss),
    "generation": bench_generation.rows,
    "race": race.all_races,
}
# What the README shows; its words stand there as well, and a test compares them.
PICTURES = {"race": race.picture, "generation": bench_generation.picture}


def main() -> None:
    """Measure, print, keep each part when it is complete, and draw."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    asked = parser.parse_args().parts or list(PARTS)
    if unknown := set(asked) - PARTS.keys():
        parser.error(f"no part {min(unknown)!r}: there are {', '.join(PARTS)}")
    for part in asked:
        results.keep(part, list(PARTS[part]()), peers=versions())
    for name, draw in PICTURES.items():
        (DATA / "pictures" / f"{name}.png").write_bytes(draw().png)


if __name__ == "__main__":
    main()

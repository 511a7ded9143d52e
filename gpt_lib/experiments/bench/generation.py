"""How fast texts are written, beside transformers with its cache: `make bench`.

Both get the same prompt and write until their context is full, with sampling, as people
call it: `stream` of lesson 09 here, `generate` there. They take turns. A single text is
also written by nano-gpt, which has no cache, and with the compiled step of lesson 12;
the compiler's time stands apart. That step alone draws no letter. CTranslate2 is a
program that people wrote in C++, and gets the weights of transformers' model. The floor
is a sum of all weights for each token: whoever writes a single text must read them, in
any language.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gpt_lib.cache import CompiledCache, CompiledGPT
from gpt_lib.device import pick_device
from gpt_lib.experiments.bench.peers import PEERS, CTranslate2GPT2
from gpt_lib.experiments.interleave import ratio, take_turns
from gpt_lib.experiments.results import read_runs
from gpt_lib.generation import stream
from gpt_lib.gpt import GPT, GPTConfig

if TYPE_CHECKING:
    from gpt_lib.views.picture import Picture

PEER = "transformers' GPT-2"
SHAPES = {
    "0.8 million": {"width": 128, "heads": 4, "depth": 4},
    "10.7 million": {"width": 384, "heads": 6, "depth": 6},
}
LENGTHS, BATCHES, PROMPT = (64, 256, 1024), (1, 16), 8
ROUNDS = 5
MOST_SECONDS = 20.0  # where a text takes longer, one round is enough

COMPILED, UNCACHED = "ours, compiled", "nano-gpt, without a cache"
STEP, FLOOR = "its step alone, in C++", "floor: each weight read once"
CPP = "CTranslate2, a program in C++"


def ours(model: nn.Module, prompt: Tensor, length: int) -> int:
    """Write with `stream`; gives the number of tokens."""
    steps = list(stream(model, prompt, length - prompt.size(1)))
    return len(steps) * len(prompt)


def steps_alone(cached: CompiledCache, prompt: Tensor, length: int) -> int:
    """The compiled steps of a text of zeros: nothing is drawn."""
    cached.length, id = 0, torch.zeros(1, 1, dtype=torch.long)
    cached.read(prompt)
    for _ in range(length - prompt.size(1)):
        cached.read(id)
    return length - prompt.size(1)


def sums(weights: Tensor, prompt: Tensor, length: int) -> int:
    """No writing at all: what it takes to read each weight once a token."""
    for _ in range(length - prompt.size(1)):
        total = weights.sum()
    total.item()  # waits for a GPU
    return length - prompt.size(1)


def theirs(model: nn.Module, prompt: Tensor, length: int) -> int:
    """Write with `generate` of transformers, and its cache."""
    with torch.inference_mode():
        written = model.inside.generate(
            prompt.to(pick_device()),
            attention_mask=torch.ones_like(prompt).to(pick_device()),
            min_new_tokens=length - prompt.size(1),
            max_new_tokens=length - prompt.size(1),
            do_sample=True,
            use_cache=True,
            pad_token_id=0,
        )
    return written[:, prompt.size(1) :].numel()


def program(model: nn.Module, prompt: Tensor, length: int) -> Callable[[], int]:
    """Writing with CTranslate2 and as many threads as are fastest, one or all."""

    def write(threads: int) -> Callable[[], int]:
        inside = CTranslate2GPT2(model, threads)
        new = length - prompt.size(1)
        return lambda: sum(map(len, inside.generate(prompt, new)))

    ways = [write(threads) for threads in {1, torch.get_num_threads()}]
    for way in ways:
        way()  # warms up
    return max(ways, key=speed)


def speed(work: Callable[[], int]) -> float:
    """Tokens a second."""
    begun = time.perf_counter()
    tokens = work()
    return tokens / (time.perf_counter() - begun)


def compare(
    shape: dict[str, int], length: int, batch: int
) -> tuple[dict[str, list[float]], float | None]:
    """Tokens a second of each way, a figure a round, by turns; seconds to compile."""
    torch.manual_seed(1)
    config = GPTConfig(65, context=length, **shape)
    model = GPT(config).to(pick_device()).eval()
    peer = PEERS[PEER](config).to(pick_device()).eval()
    prompt = torch.randint(65, (batch, PROMPT))
    ways = {
        "ours": partial(ours, model, prompt, length),
        PEER: partial(theirs, peer, prompt, length),
    }
    if pick_device().type == "cpu":
        ways[CPP] = program(peer, prompt, length)
    waited = None
    if batch == 1:
        weights = torch.cat([p.detach().flatten() for p in model.parameters()])
        ways[FLOOR] = partial(sums, weights, prompt, length)
        uncached = PEERS["nano-gpt's GPT"](config).to(pick_device()).eval()
        ways[UNCACHED] = partial(uncached.write, prompt.to(pick_device()), length)
        begun = time.perf_counter()
        compiled = CompiledGPT(model)
        if not compiled.problem:
            waited = time.perf_counter() - begun
            ways[COMPILED] = partial(ours, compiled, prompt, length)
            ways[STEP] = partial(steps_alone, CompiledCache(compiled), prompt, length)
    runs = {name: partial(speed, work) for name, work in ways.items()}
    return take_turns(runs, ROUNDS, MOST_SECONDS), waited


def rows() -> Iterator[dict[str, Any]]:
    """Every shape, length and batch; each is printed."""
    for (name, shape), batch, length in product(SHAPES.items(), BATCHES, LENGTHS):
        found, waited = compare(shape, length, batch)
        ratios = {
            way: round(ratio(speeds, found[PEER]), 2)
            for way, speeds in found.items()
            if way != PEER
        }
        speeds = {way: round(median(each), 1) for way, each in found.items()}
        print(
            f"{name} parameters, batch {batch}, {length} tokens: {speeds};"
            f" x {PEER}: {ratios}",
            flush=True,
        )
        yield {
            "parameters": name,
            "batch": batch,
            "length": length,
            "tokens_per_s": speeds,
            "times_the_peer": ratios,
            "compiled_in_s": waited and round(waited, 1),
        }


def picture() -> "Picture":
    """The committed speeds at which one text of 256 tokens is written."""
    from gpt_lib import views

    run = read_runs("generation")[-1]
    shown = ("0.8 million", 1, 256)
    [speeds] = [
        row["tokens_per_s"]
        for row in run["results"]
        if (row["parameters"], row["batch"], row["length"]) == shown
    ]
    every = UNCACHED, PEER, "ours", COMPILED, STEP, CPP, FLOOR
    ways = [way for way in every if way in speeds]  # not each machine has a compiler
    return views.bars(
        [f"{way}, with its cache" if way == PEER else way for way in ways],
        [speeds[way] for way in ways],
        "Tokens a second, one text of 256",
        "",
    )

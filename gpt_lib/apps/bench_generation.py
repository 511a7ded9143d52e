"""How fast texts are written, beside transformers with its cache: `make bench`.

Both get the same prompt and write until their context is full, with sampling, as people
call it: `stream` of lesson 09 here, `generate` there. They take turns.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from gpt_lib.apps.peers import PEERS
from gpt_lib.cache import Reading
from gpt_lib.device import pick_device
from gpt_lib.generation import next_logits, reading, stream
from gpt_lib.gpt import GPT, GPTConfig

PEER = "transformers' GPT-2"
SHAPES = {
    "0.8 million": {"width": 128, "heads": 4, "depth": 4},
    "10.7 million": {"width": 384, "heads": 6, "depth": 6},
}
LENGTHS, BATCHES, PROMPT = (64, 256, 1024), (1, 16), 8
ROUNDS = 3
MOST_SECONDS = 20.0  # where a text takes longer, one round is enough


def ours(model: GPT, prompt: Tensor, length: int) -> int:
    """Write with `stream`; gives the number of tokens."""
    steps = list(stream(model, prompt, length - prompt.size(1)))
    return len(steps) * len(prompt)


def without_cache(model: GPT, prompt: Tensor, length: int) -> int:
    """The same, but everything is read again for each token."""
    reading.register(GPT)(lambda model: partial(next_logits, model))
    try:
        return ours(model, prompt, length)
    finally:
        reading.register(GPT)(Reading)


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


def speed(work: Callable[[], int]) -> float:
    """Tokens a second."""
    begun = time.perf_counter()
    tokens = work()
    return tokens / (time.perf_counter() - begun)


def compare(shape: dict[str, int], length: int, batch: int) -> dict[str, float]:
    """The median tokens a second of each way, taken by turns."""
    torch.manual_seed(1)
    config = GPTConfig(65, context=length, **shape)
    model = GPT(config).to(pick_device()).eval()
    peer = PEERS[PEER](config).to(pick_device()).eval()
    prompt = torch.randint(65, (batch, PROMPT))
    ways = {
        "ours": partial(ours, model, prompt, length),
        PEER: partial(theirs, peer, prompt, length),
    }
    if batch == 1 and length <= 256:
        ways["ours without a cache"] = partial(without_cache, model, prompt, length)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():  # warm up
        speed(work)
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        for name, work in ways.items():
            found[name].append(speed(work))
        if time.perf_counter() - begun > MOST_SECONDS:
            break
    return {name: statistics.median(speeds) for name, speeds in found.items()}


def rows() -> Iterator[dict[str, Any]]:
    """Every shape, length and batch; each is printed."""
    for (name, shape), batch, length in product(SHAPES.items(), BATCHES, LENGTHS):
        found = compare(shape, length, batch)
        ratio = found["ours"] / found[PEER]
        speeds = {key: round(speed, 1) for key, speed in found.items()}
        print(
            f"{ratio:5.2f} x {PEER}: {name} parameters, batch {batch},"
            f" {length} tokens: {speeds}",
            flush=True,
        )
        yield {
            "parameters": name,
            "batch": batch,
            "length": length,
            "tokens_per_s": speeds,
            "ratio": round(ratio, 2),
        }

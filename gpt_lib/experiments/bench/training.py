"""Training beside other libraries: speed, memory and loss.

Machines are noisy, so ours and the peers take turns, and are compared within a round.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gpt_lib.bigram import Bigram, LanguageModel
from gpt_lib.device import pick_device
from gpt_lib.experiments.bench.comparison import Comparison, peer_comparisons
from gpt_lib.experiments.bench.peers import PEERS
from gpt_lib.experiments.interleave import interleave
from gpt_lib.experiments.race import (
    NANOGPT_PRESET_AND_BATCH_SIZE_BY_DEVICE,
    look_up_by_device,
    race_corpus,
)
from gpt_lib.experiments.results import machine_info
from gpt_lib.gpt import GPT, GPTConfig
from gpt_lib.speed import (
    ATTENTIONS,
    CudaGraphStep,
    MasterWeightStep,
    MixedPrecisionStep,
    fastest_attention_name,
    profile_operators,
)
from gpt_lib.text import random_batch
from gpt_lib.training import (
    StepFunction,
    TrainingConfig,
    evaluate_loss,
    train,
    training_step,
)

ROUNDS, STEPS = 27, 12  # short turns: a machine has slow minutes
OURS = "GPT of lesson 08"
BATCH_SIZE, CONFIG = 12, GPTConfig.preset("nanogpt-cpu", 65)
# What nanoGPT's README sets for a CPU: 2,000 steps, rate 0.001, a tenth at the end.
NANOGPT_TRAINING_CONFIG = TrainingConfig(
    steps=2000, batch_size=BATCH_SIZE, evaluate_every=10**6
)
OUR_LEARNING_RATE = 4e-3  # on the same steps, batches and shape
MATMUL_OPERATORS = ("mm", "addmm", "bmm")  # matrix products, as PyTorch names them


def compare_trainer_with_plain_loop() -> Iterator[Comparison]:
    """Our trainer against the plain PyTorch loop, on equal batches."""
    device, corpus = pick_device(), race_corpus()
    config = TrainingConfig(
        steps=600, evaluate_every=10_000, evaluation_batches=1, learning_rate=0.01
    )

    def ours() -> float:
        model = Bigram(CONFIG.vocab_size).to(device)
        *_, last = train(model, corpus.train, corpus.validation, config)
        return last.tokens_per_second

    def plain_loop() -> float:
        model = Bigram(CONFIG.vocab_size).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
        generator = torch.Generator().manual_seed(config.seed)
        shape = config.batch_size, config.context
        start = time.perf_counter()
        for _ in range(config.steps):
            x, y = random_batch(corpus.train, *shape, generator)
            loss = cross_entropy(model(x).flatten(0, 1), y.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for a GPU
        tokens = config.steps * config.batch_size * config.context
        return tokens / (time.perf_counter() - start)

    figures = interleave({"ours": ours, "plain loop of PyTorch": plain_loop}, ROUNDS)
    name = "training the bigram, with clipping, schedule and records"
    yield from peer_comparisons(name, "tokens/s", figures)


def build_models(attention: str = "fused") -> dict[str, nn.Module]:
    """Ours, with one of `ATTENTIONS`, and the peers', of one shape, on the device."""
    builders = {OURS: partial(GPT, attention=ATTENTIONS[attention])} | PEERS
    return {name: build(CONFIG).to(pick_device()) for name, build in builders.items()}


def measure_training_speed(
    model: LanguageModel,
    ids: Tensor,
    step_function: StepFunction = training_step,
    shape: tuple[int, int] = (BATCH_SIZE, CONFIG.context),
) -> float:
    """Training speed over a few steps on one batch (B, T), the same for every model."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator().manual_seed(1)
    x, y = random_batch(ids, *shape, generator)
    step_function(model, optimizer, x, y, 1.0)  # allocates the optimizer's state
    start = time.perf_counter()
    for _ in range(STEPS):
        loss, _ = step_function(model, optimizer, x, y, 1.0)
    loss.item()  # waits for a GPU
    return STEPS * x.numel() / (time.perf_counter() - start)


def compiled_candidate(
    name: str, model: nn.Module, ids: Tensor, step_function: StepFunction
) -> dict[str, Callable[[], float]]:
    """Training the compiled model, by name; nothing where there is no compiler."""
    measure = partial(measure_training_speed, torch.compile(model), ids, step_function)
    try:
        measure()
    except RuntimeError as error:
        print(f"not compiled: {str(error).partition(chr(10))[0]}")
        return {}
    return {name: measure}


def compare_steps(
    name: str,
    step_function: StepFunction,
    precision: torch.dtype,
    attention: str = "fused",
) -> Iterator[Comparison]:
    """Our step by `step_function` beside each peer's; and ours compiled.

    What is compiled is compared with the peers as they are and compiled.
    """
    ids = race_corpus().train
    (_, model), *peers = build_models(attention).items()
    ours = {name: partial(measure_training_speed, model, ids, step_function)}
    for each, function in ATTENTIONS.items():
        label = f"{name}, compiled, {each} attention"
        model = GPT(CONFIG, attention=function).to(pick_device())
        ours |= compiled_candidate(label, model, ids, MixedPrecisionStep(precision))
    theirs, theirs_compiled = {}, {}
    for peer, model in peers:
        theirs[peer] = partial(measure_training_speed, model, ids)
        label = f"{peer}, compiled"
        theirs_compiled |= compiled_candidate(label, model, ids, training_step)
    figures = interleave(ours | theirs | theirs_compiled, ROUNDS)
    for candidate in ours:
        rivals = theirs if candidate == name else theirs | theirs_compiled
        fused = "fused" in candidate
        target = "none: to compare with plain" if fused else "above 1"
        of_each = {each: figures[each] for each in (candidate, *rivals)}
        yield from peer_comparisons(candidate, "tokens/s", of_each, target)


def compare_float32_steps() -> Iterator[Comparison]:
    """The same training step, with the same optimizer, for each model."""
    name = "training step, 4 layers, 4 heads, width 128, context 64, batch 12, fp32"
    yield from compare_steps(name, training_step, torch.float32)


def compare_16_bit_step_with_peers() -> Iterator[Comparison]:
    """Our step in 16 bits, as lesson 11 chooses it, beside the peers' in 32.

    Nothing on a machine that has no fast arithmetic in 16 bits.
    """
    precision = getattr(torch, machine_info()["fastest dtype"])
    if precision == torch.float32:
        return
    shape = BATCH_SIZE, CONFIG.heads, CONFIG.context, CONFIG.width // CONFIG.heads
    attention = fastest_attention_name(shape, pick_device(), precision)
    name = f"the same in {precision}, the peers in fp32"
    yield from compare_steps(name, MixedPrecisionStep(precision), precision, attention)


def slowest_operators(milliseconds: dict[str, float], count: int) -> dict[str, float]:
    """The operators that take longest, rounded, the slowest first."""
    names = sorted(milliseconds, key=milliseconds.get, reverse=True)[:count]
    return {name: round(milliseconds[name], 2) for name in names}


def profile_training_steps() -> Iterator[dict[str, Any]]:
    """Where the time of a training step goes, in ours and in each peer's, by turns."""
    x, y = random_batch(race_corpus().train, BATCH_SIZE, CONFIG.context)
    candidates = {}
    for name, model in build_models().items():
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        step = partial(training_step, model, optimizer, x, y, 1.0)
        candidates[name] = partial(profile_operators, step, x.device)
    for name, profiles in interleave(candidates, ROUNDS).items():
        operators = {
            operator: median(profile[operator] for profile in profiles)
            for operator in profiles[0]
        }
        products = sum(operators.get(operator, 0) for operator in MATMUL_OPERATORS)
        row = {
            "name": name,
            "ms": round(sum(operators.values()), 2),
            "products": round(products, 2),
            "longest": slowest_operators(operators, 8),
        }
        print(row, flush=True)
        yield row


def time_step_functions() -> Iterator[dict[str, Any]]:
    """A step of lesson 08's GPT, on a GPU the lecture's, by each way of lesson 11."""
    ids = race_corpus().train
    preset, batch_size = look_up_by_device(
        NANOGPT_PRESET_AND_BATCH_SIZE_BY_DEVICE, ids.device
    )
    config = GPTConfig.preset(preset, CONFIG.vocab_size)
    shape = batch_size, config.context
    dtype = machine_info()["fastest dtype"]
    precision = getattr(torch, dtype)
    fused, plain = (
        GPT(config, attention=ATTENTIONS[name]).to(ids.device)
        for name in ("fused", "plain")
    )
    steps: dict[str, tuple[StepFunction, LanguageModel]] = {
        "float32, fused": (MixedPrecisionStep(), fused),
        "float32, plain": (MixedPrecisionStep(), plain),
        "float32, 4 parts": (MixedPrecisionStep(micro_batches=4), fused),
    }
    if precision != torch.float32:
        steps[f"{dtype}, fused"] = MixedPrecisionStep(precision), fused
        steps[f"{dtype}, plain"] = MixedPrecisionStep(precision), plain
    if precision == torch.bfloat16:
        steps[f"all in {dtype}, fused"] = MasterWeightStep(precision), fused
        steps[f"all in {dtype}, plain"] = MasterWeightStep(precision), plain
    if precision == torch.bfloat16 and ids.is_cuda:
        steps["the same as a graph"] = CudaGraphStep(precision), fused
    candidates = {
        name: partial(measure_training_speed, model, ids, step_function, shape)
        for name, (step_function, model) in steps.items()
    }
    x, y = random_batch(ids, *shape)
    for name, speeds in interleave(candidates, ROUNDS).items():
        step_function, model = steps[name]
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        step = partial(step_function, model, optimizer, x, y, 1.0)
        ms = round(1000 * x.numel() / median(speeds), 2)
        print(f"{ms:7.2f} ms a step: {name}", flush=True)
        operators = profile_operators(step, x.device)
        yield {"name": name, "ms": ms, "longest": slowest_operators(operators, 3)}


def measure_training_memory(model: LanguageModel, ids: Tensor, batch_size: int) -> int:
    """The most bytes that this process holds while it trains `model` for 40 steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    peak = 0
    for _ in range(40):
        x, y = random_batch(ids, batch_size, CONFIG.context)
        training_step(model, optimizer, x, y, max_grad_norm=1.0)
        peak = max(peak, psutil.Process().memory_info().rss)
    return peak


def measure_memory_into_queue(name: str, queue: multiprocessing.SimpleQueue) -> None:
    """Put the MiB that training a model adds to this process, a fresh one.

    A tiny model of the same kind is trained first, so that what libraries load once
    for any model, such as threads and kernels, does not count.
    """
    ids = race_corpus().train.cpu()
    build = ({OURS: GPT} | PEERS)[name]
    before = measure_training_memory(build(replace(CONFIG, width=8, depth=1)), ids, 1)
    queue.put(
        (measure_training_memory(build(CONFIG), ids, BATCH_SIZE) - before) / 2**20
    )


def added_training_memory(name: str) -> float:
    """The MiB that training a model adds to a fresh process.

    Raises:
        RuntimeError: the process has died.
    """
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.SimpleQueue()
    process = spawn.Process(target=measure_memory_into_queue, args=(name, queue))
    process.start()
    process.join()
    if process.exitcode:  # it has put nothing: `get` would wait for ever
        raise RuntimeError(f"the process for {name} ended with {process.exitcode}")
    return queue.get()


def compare_memory() -> Iterator[Comparison]:
    """Each model in three fresh processes, by turns; on the CPU."""
    candidates = {name: partial(added_training_memory, name) for name in (OURS, *PEERS)}
    figures = interleave(candidates, rounds=3)
    name = "memory that this training adds"
    yield from peer_comparisons(name, "MiB", figures, "at most 1.1")


def compare_validation_loss() -> Iterator[Comparison]:
    """Full-pass validation loss after nanoGPT's CPU recipe of 2,000 steps."""
    corpus, figures = race_corpus(), {}
    for name, build, learning_rate in [
        (f"{OURS}, rate {OUR_LEARNING_RATE}", GPT, OUR_LEARNING_RATE),
        ("transformers' GPT-2, rate 0.001", PEERS["transformers' GPT-2"], 1e-3),
    ]:
        torch.manual_seed(1)
        model = build(CONFIG).to(pick_device())
        config = replace(NANOGPT_TRAINING_CONFIG, learning_rate=learning_rate)
        list(train(model, corpus.train, corpus.validation, config))
        figures[name] = [evaluate_loss(model, corpus.validation)]
    name = "validation loss, nanoGPT's CPU recipe"
    yield from peer_comparisons(name, "nats", figures, "below 1")

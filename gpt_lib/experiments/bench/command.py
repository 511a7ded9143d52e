"""How long the command line makes one wait, and what saving costs: `make bench`."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from gpt_lib.checkpoints import Run, build, recorded
from gpt_lib.cli.train import make_card
from gpt_lib.device import describe, pick_device
from gpt_lib.experiments.results import write_json
from gpt_lib.text import DATA, load_text, split
from gpt_lib.training import Progress, Record, train

RESULTS = DATA / "results" / "command.json"
ROUNDS = 5


def seconds_to(words: list[str], first_byte: bool = False) -> float:
    """Until a command ends, or has written its first piece of text."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "gpt_lib", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    if first_byte:
        process.stdout.read(len(words[1]) + 1)  # the prompt, and what follows it
        seconds = time.perf_counter() - begun
        process.kill()
    process.communicate()
    return seconds if first_byte else time.perf_counter() - begun


def timed(records: Iterable[Record], waits: list[float]) -> Iterator[Record]:
    """The records; how long the trainer waited for each to be used goes to `waits`."""
    for record in records:
        left = time.perf_counter()
        yield record
        waits.append(time.perf_counter() - left)


def saving_share(preset: str, steps: int) -> float:
    """The share of the time that saving takes, with the estimates of its loss."""
    with tempfile.TemporaryDirectory() as folder:
        run, waits = Run("timed", Path(folder)), []
        card = make_card("tinyshakespeare", preset, {}, {"steps": steps})
        model = build(card.architecture, card.shape).to(pick_device())
        progress = Progress.start(model, card.training)
        ids = card.tokenizer.encode(load_text(card.text))
        parts = [part.to(pick_device()) for part in split(ids)]
        records = timed(train(model, *parts, card.training, progress), waits)
        begun = time.perf_counter()
        for _ in recorded(records, run, model, progress, card, parts[1]):
            pass
        return sum(waits) / (time.perf_counter() - begun)


def figures() -> Iterator[tuple[str, float, str, float]]:
    """Name, figure, unit, and what is wished for at most."""
    helps = [seconds_to(["generate", "--help"]) for _ in range(ROUNDS)]
    yield "generate --help", statistics.median(helps), "s", 0.5
    words = ["generate", "JULIET:", "--length", "2000"]
    firsts = [seconds_to(words, first_byte=True) for _ in range(ROUNDS)]
    yield (
        "generate, cold start to the first character",
        statistics.median(firsts),
        "s",
        3,
    )
    for preset, steps in (("bigram", 2000), ("block", 600), ("nanogpt-cpu", 300)):
        share = 100 * saving_share(preset, steps)
        yield (
            f"saving, of the time of training {preset} for {steps} steps",
            share,
            "%",
            2,
        )


def main() -> None:
    """Measure, print, and keep the figures under data/results."""
    rows = []
    for name, figure, unit, wish in figures():
        rows.append(
            {"name": name, "figure": round(figure, 3), "unit": unit, "wish": wish}
        )
        print(
            f"{figure:6.2f} {unit} {name} (wished: at most {wish} {unit})", flush=True
        )
    machine = describe(str(pick_device()))
    found = {"machine": machine, "date": date.today().isoformat(), "results": rows}
    write_json(RESULTS, found)


if __name__ == "__main__":
    main()

"""How long the command line makes one wait, and what saving costs: `make bench`."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from gpt_lib.checkpoints import build_architecture
from gpt_lib.cli.train_run import plan_new_run
from gpt_lib.data import DATA
from gpt_lib.device import device_info, pick_device
from gpt_lib.experiments.results import write_json
from gpt_lib.prepare import prepare_text
from gpt_lib.runs import CheckpointWriter, TrainingProgress, checkpointed
from gpt_lib.training import StepRecord, TrainingState, train

COMMAND_RESULTS = DATA / "results" / "command.json"
REPEATS = 5


def time_gpt_command(arguments: list[str], first_character: bool = False) -> float:
    """Seconds until a command ends, or has written its first character of text."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "gpt_lib", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    if first_character:
        process.stdout.read(len(arguments[1]) + 1)  # the prompt, and what follows it
        seconds = time.perf_counter() - start
        process.kill()
    process.communicate()
    return seconds if first_character else time.perf_counter() - start


def timed_records(
    records: Iterable[StepRecord], waits: list[float]
) -> Iterator[StepRecord]:
    """The same records; `waits` gets the seconds that the trainer waited for each."""
    for record in records:
        start = time.perf_counter()
        yield record
        waits.append(time.perf_counter() - start)


def checkpoint_time_fraction(preset: str, steps: int) -> float:
    """The fraction of a training's time that saving takes, loss estimates included."""
    with tempfile.TemporaryDirectory() as folder:
        run, waits = CheckpointWriter("timed", Path(folder)), []
        text = prepare_text("tinyshakespeare")
        card, corpus = plan_new_run(text, preset, {}, {"steps": steps})
        model = build_architecture(card.architecture, card.shape).to(pick_device())
        state = TrainingState.start(model, card.training)
        corpus = corpus.to(pick_device())
        records = train(model, corpus.train, corpus.validation, card.training, state)
        records = timed_records(records, waits)
        start = time.perf_counter()
        progress = TrainingProgress(run, model, state, card, corpus.validation)
        for _ in checkpointed(records, progress):
            pass
        return sum(waits) / (time.perf_counter() - start)


def measure_figures() -> Iterator[tuple[str, float, str, float]]:
    """Name, figure, unit, and the most that it should be."""
    times = [time_gpt_command(["generate", "--help"]) for _ in range(REPEATS)]
    yield "generate --help", statistics.median(times), "s", 0.5
    arguments = ["generate", "JULIET:", "--length", "2000"]
    times = [time_gpt_command(arguments, first_character=True) for _ in range(REPEATS)]
    name = "generate, cold start to the first character"
    yield name, statistics.median(times), "s", 3
    for preset, steps in (("bigram", 2000), ("block", 600), ("nanogpt-cpu", 300)):
        percent = 100 * checkpoint_time_fraction(preset, steps)
        name = f"saving, of the time of training {preset} for {steps} steps"
        yield name, percent, "%", 2


def main() -> None:
    """Measure, print, and save the figures under data/results."""
    rows = []
    for name, figure, unit, limit in measure_figures():
        row = {"name": name, "figure": round(figure, 3), "unit": unit, "limit": limit}
        rows.append(row)
        print(f"{figure:6.2f} {unit} {name} (limit: {limit} {unit})", flush=True)
    machine = device_info(str(pick_device()))
    content = {"machine": machine, "date": date.today().isoformat(), "results": rows}
    write_json(COMMAND_RESULTS, content)


if __name__ == "__main__":
    main()

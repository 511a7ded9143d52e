"""Files of results in data/results, and how they are filled.

An experiment writes a list of rows, each as soon as it is measured, so that it can be
stopped and continued. `make bench` writes bench.json: a list of runs, each a part of
the benchmark on one machine. A part that is measured again on the same kind of machine
replaces the older run; other machines' runs stay.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gpt_lib.data import DATA
from gpt_lib.device import device_info, pick_device
from gpt_lib.speed import pick_precision

BENCH_RESULTS = DATA / "results" / "bench.json"
# What two runs on one kind of machine have in common; PyTorch's version may differ.
SAME_MACHINE_KEYS = ("device", "name", "fastest dtype")


def read_json(path: Path) -> list[dict[str, Any]]:
    """A list that `write_json` wrote; empty if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_json(path: Path, content: list | dict) -> None:
    """Write figures to `path`; an older file stays whole until the new one is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def measure_missing(
    path: Path,
    planned: Iterable[dict[str, Any]],
    measure: Callable[..., dict[str, Any]],
    anew: bool = False,
) -> list[dict[str, Any]]:
    """All rows of an experiment, after measuring those that `path` lacks.

    Args:
        path: a list of rows; each new one is saved at once, with machine and date.
        planned: what tells the runs apart, such as {"swap": "nothing", "seed": 1}.
        measure: called with that, gives what was measured.
        anew: forget the rows that are there.
    """
    rows = [] if anew else read_json(path)
    missing = [
        run for run in planned if not any(run.items() <= r.items() for r in rows)
    ]
    device = str(pick_device())
    for run in tqdm(missing, unit="run"):
        row = run | measure(**run)
        tqdm.write("  ".join(str(value) for value in row.values()))
        now = {"machine": device_info(device), "date": date.today().isoformat()}
        rows.append(row | now)
        write_json(path, rows)
    return rows


def parse_anew(description: str) -> bool:
    """Whether the command line of an experiment says `--anew`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--anew", action="store_true", help="forget the rows of before")
    return parser.parse_args().anew


def part_and_machine_key(run: dict[str, Any]) -> tuple[str, ...]:
    """The part of the benchmark that a run measured, and the kind of its machine."""
    return run["part"], *(run["machine"][key] for key in SAME_MACHINE_KEYS)


@cache
def machine_info() -> dict[str, str]:
    """A description of this machine, with the dtype in which it is fastest."""
    device = pick_device()
    dtype = str(pick_precision(device)).removeprefix("torch.")
    return {**device_info(str(device)), "fastest dtype": dtype}


def read_bench_reports(part: str, device: str = "cpu") -> list[dict[str, Any]]:
    """Every run of a part, such as "race", on one kind of device, with its machine."""
    return [
        run
        for run in read_json(BENCH_RESULTS)
        if (run["part"], run["machine"]["device"]) == (part, device)
    ]


def read_bench_rows(part: str, device: str = "cpu") -> list[dict[str, Any]]:
    """The rows of all runs of a part, each with the fastest "dtype" of its machine."""
    return [
        {**row, "dtype": run["machine"]["fastest dtype"]}
        for run in read_bench_reports(part, device)
        for row in run["results"]
    ]


def save_bench_rows(part: str, rows: list[dict[str, Any]], **details: Any) -> None:
    """Save the rows of a part, measured on this machine, in place of older ones."""
    run = {"part": part, "machine": machine_info(), "date": date.today().isoformat()}
    runs = read_json(BENCH_RESULTS)
    runs = [
        old for old in runs if part_and_machine_key(old) != part_and_machine_key(run)
    ]
    write_json(BENCH_RESULTS, [*runs, {**run, **details, "results": rows}])

"""The figures that `make bench` measures: data/results/bench.json.

A list of runs, each a part of the benchmark on one machine. A part that is measured
again on the same kind of machine replaces the older run; other machines' runs stay.
"""

import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

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


def run_identity(run: dict[str, Any]) -> tuple[str, ...]:
    """The part of the benchmark that a run measured, and the kind of its machine."""
    return run["part"], *(run["machine"][key] for key in SAME_MACHINE_KEYS)


@cache
def machine_info() -> dict[str, str]:
    """A description of this machine, with the dtype in which it is fastest."""
    device = pick_device()
    dtype = str(pick_precision(device)).removeprefix("torch.")
    return {**device_info(str(device)), "fastest dtype": dtype}


def read_bench_runs(part: str, device: str = "cpu") -> list[dict[str, Any]]:
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
        for run in read_bench_runs(part, device)
        for row in run["results"]
    ]


def save_bench_rows(part: str, rows: list[dict[str, Any]], **details: Any) -> None:
    """Save the rows of a part, measured on this machine, in place of older ones."""
    run = {"part": part, "machine": machine_info(), "date": date.today().isoformat()}
    runs = read_json(BENCH_RESULTS)
    runs = [old for old in runs if run_identity(old) != run_identity(run)]
    write_json(BENCH_RESULTS, [*runs, {**run, **details, "results": rows}])

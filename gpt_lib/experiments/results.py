"""The figures that `make bench` measures: data/results/bench.json.

A list of runs, each a part of the benchmark on one machine. A part that is measured
again on the same kind of machine replaces what was there; other machines stay.
"""

import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from gpt_lib.device import describe, pick_device
from gpt_lib.speed import pick_precision
from gpt_lib.text import DATA

RESULTS = DATA / "results" / "bench.json"
KIND = ("device", "name", "fastest numbers")  # of a machine; its versions may change


def read_json(path: Path) -> list[dict[str, Any]]:
    """A list that `write_json` wrote; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_json(path: Path, content: list | dict) -> None:
    """Write figures in place of the old ones, which stay whole until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def whose(run: dict[str, Any]) -> tuple[str, ...]:
    """The part of a run, and the kind of its machine."""
    return run["part"], *(run["machine"][key] for key in KIND)


@cache
def machine() -> dict[str, str]:
    """This machine, in words; the sort of numbers it is fastest with, among them."""
    device = pick_device()
    fastest = str(pick_precision(device)).removeprefix("torch.")
    return {**describe(str(device)), "fastest numbers": fastest}


def read_runs(part: str, device: str = "cpu") -> list[dict[str, Any]]:
    """Every run of a part, such as "race", on one kind of device, with its machine."""
    wanted = part, device
    return [
        run
        for run in read_json(RESULTS)
        if (run["part"], run["machine"]["device"]) == wanted
    ]


def read_rows(part: str, device: str = "cpu") -> list[dict[str, Any]]:
    """The results of all runs of a part, each with "numbers": its machine's fastest."""
    return [
        {**row, "numbers": run["machine"]["fastest numbers"]}
        for run in read_runs(part, device)
        for row in run["results"]
    ]


def keep(part: str, results: list[dict[str, Any]], **more: Any) -> None:
    """Write the results of a part on this machine, in place of older ones."""
    here = {"part": part, "machine": machine()}
    runs = [run for run in read_json(RESULTS) if whose(run) != whose(here)]
    runs.append({**here, "date": date.today().isoformat(), **more, "results": results})
    write_json(RESULTS, runs)

"""The figures that `make bench` measures: data/results/bench.json.

A list of runs, each a part of the benchmark on one machine. A part that is measured
again on the same kind of machine replaces what was there; other machines stay.
"""

import json
from datetime import date
from functools import cache
from typing import Any

from gpt_lib.device import describe, pick_device
from gpt_lib.speed import pick_precision
from gpt_lib.text import DATA

RESULTS = DATA / "results" / "bench.json"


@cache
def machine() -> dict[str, str]:
    """This machine, in words; the sort of numbers it is fastest with, among them."""
    device = pick_device()
    fastest = str(pick_precision(device)).removeprefix("torch.")
    return {**describe(str(device)), "fastest numbers": fastest}


def read_runs(part: str, device: str = "cpu") -> list[dict[str, Any]]:
    """Every run of a part, such as "race", on one kind of device, with its machine."""
    if not RESULTS.exists():
        return []
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))
    wanted = part, device
    return [run for run in runs if (run["part"], run["machine"]["device"]) == wanted]


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
    runs = []
    if RESULTS.exists():
        runs = json.loads(RESULTS.read_text(encoding="utf-8"))
    runs = [run for run in runs if {key: run[key] for key in here} != here]
    runs.append({**here, "date": date.today().isoformat(), **more, "results": results})
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")

"""Plant faults in copies of the project, one at a time, and see whether tests notice.

python -m tests.planted_faults                       all of them
python -m tests.planted_faults library nan-is-saved  by area, or by name
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.planted_faults.faults import AREAS, FAULTS
from tests.planted_faults.runner import Result, try_fault

WORDS = {True: "caught", False: "NOT CAUGHT", None: "fails without the fault"}


def main() -> None:
    """Print a line for each fault, and how many were caught; 1 if one was not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"{', '.join(AREAS)}; or a fault")
    parser.add_argument(
        "--out", type=Path, help="append the results to a file, JSON lines"
    )
    options = parser.parse_args()
    if unknown := {*options.names} - {*AREAS} - {fault.name for fault in FAULTS}:
        parser.error(f"no fault and no area: {', '.join(sorted(unknown))}")
    results = []
    for fault in FAULTS:
        if options.names and not {fault.area, fault.name} & {*options.names}:
            continue
        results.append(result := try_fault(fault))
        print_result(result)
        if options.out:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
    count = sum(result.caught is True for result in results)
    print(f"{count} of {len(results)} faults were caught")
    sys.exit(count < len(results))


def print_result(result: Result) -> None:
    """Print a row of the table: area, name, seconds, and what happened."""
    row = f"{result.area:13} {result.name:44} {result.seconds:4.0f} s "
    print(row, WORDS[result.caught], flush=True)
    if not result.caught:
        print(f"    {result.failure or f'exit code {result.code}'}", flush=True)


if __name__ == "__main__":
    main()

"""Planting a fault in a copy of the project, and running the tests on it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpt_lib.course.export import ROOT
from gpt_lib.course.rules import project_files
from gpt_lib.data import DATA
from tests.planted_faults.faults import Fault

SECONDS = 600  # for one selection of tests
FAILED = 1  # pytest's exit code when tests ran and one of them failed


@dataclass(frozen=True)
class Outcome:
    """The end of a run of pytest."""

    code: int | None  # None: it did not end in time
    seconds: float
    output: str

    @property
    def passed(self) -> bool:
        """Whether there were tests, and none failed."""
        return self.code == 0 and " passed" in self.output

    @property
    def failures(self) -> list[str]:
        """The lines that name what failed."""
        return [
            line
            for line in self.output.splitlines()
            if line.startswith(("FAILED ", "ERROR "))
        ]


@dataclass(frozen=True)
class Result:
    """Whether the tests noticed a fault; None: they do not pass without it."""

    area: str
    name: str
    caught: bool | None
    code: int | None
    seconds: float
    failure: str  # the first


def copy_project(root: Path) -> None:
    """Copy the working tree, and texts that were fetched, to the new folder `root`."""
    for path in [*project_files(ROOT), *DATA.glob("*.txt")]:
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    # So that .gitignore counts there as well.
    subprocess.run(["git", "init", "--quiet", root], check=True)


def run_tests(root: Path, arguments: list[str], limit: float) -> Outcome:
    """Run pytest in the project at `root`, for `limit` seconds at most."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not soak"]
    command += ["-p", "no:cacheprovider", f"--basetemp={root}.tmp", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    environment.pop("GPT_RUNS", None)
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
        code = process.returncode
    except subprocess.TimeoutExpired:
        code = None
    finally:
        if process.poll() is None:  # with the processes that its tests started
            os.killpg(process.pid, signal.SIGKILL)
    if code is None:
        output, _ = process.communicate()
    return Outcome(code, time.monotonic() - start, output)


def run_on_copy(fault: Fault | None, arguments: list[str]) -> Outcome:
    """Run tests on a fresh copy of the project, with a fault or without."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder, "project")
        copy_project(root)
        if fault:
            fault.plant(root)
        return run_tests(root, arguments, SECONDS)


@cache
def run_without_fault(*arguments: str) -> Outcome:
    """Run tests on the code as it is, once for equal arguments."""
    return run_on_copy(None, [*arguments])


def try_fault(fault: Fault) -> Result:
    """Plant a fault and see whether its tests fail that pass without it."""
    before = run_without_fault(*fault.caught_by)
    if not before.passed:
        last_line = before.output.strip().rpartition("\n")[2]
        failure = (before.failures or [last_line])[0]
        return Result(
            fault.area, fault.name, None, before.code, before.seconds, failure
        )
    after = run_on_copy(fault, fault.caught_by)
    caught, failure = after.code == FAILED, next(iter(after.failures), "")
    return Result(fault.area, fault.name, caught, after.code, after.seconds, failure)

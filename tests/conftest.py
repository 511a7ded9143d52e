import os
import shutil
import sys

import pytest
import torch
from hypothesis import settings

from gpt_lib.course.export import ROOT
from gpt_lib.course.rules import project_files
from gpt_lib.device import pick_device

os.environ["GPT_EXPORT"] = "check"
# A slow machine is no fault of the code under test.
settings.register_profile("course", deadline=None)
settings.load_profile("course")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers that all use every core get in each other's way.
    torch.set_num_threads(1)


def need_compiler(problem: str) -> None:
    """Without a C++ compiler a test of compiled code is skipped; in CI it fails."""
    if problem:
        reason = f"no C++ compiler that works here: sudo apt install g++ ({problem})"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """`GPT_DEVICE`, or the best device there is: tests run where lessons run."""
    return pick_device()


@pytest.fixture
def project(tmp_path):
    """A copy of this project, to plant faults in."""
    root = tmp_path / "project"
    for path in project_files(ROOT):
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return root


def pytest_sessionfinish() -> None:
    """Close all widgets: those that are left complain while the interpreter ends."""
    if widgets := sys.modules.get("ipywidgets"):
        widgets.Widget.close_all()

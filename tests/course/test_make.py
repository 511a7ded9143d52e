"""`make` names what a machine lacks, and the command that mends it."""

import shutil
import subprocess

import pytest

from gpt_lib.course.export import ROOT

FAKES = {
    "too old": 'case "$1" in -V) echo Python 3.9.2;; *) exit 1;; esac',
    "no venv": 'case "$*" in *ensurepip*) exit 1;; esac',
}


def make(folder, goal, python):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    command = ["make", goal, f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("goal", ["lab", "test", "check"])
@pytest.mark.parametrize(
    ("fake", "said"),
    [
        ("missing", "is not installed: sudo apt install python3 python3-venv"),
        ("too old", "Python 3.9.2 is too old, 3.11.5 or newer is needed"),
        ("no venv", "this Python lacks venv: sudo apt install python3-venv"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_left(tmp_path, goal, fake, said):
    python = tmp_path / "python"
    if fake in FAKES:
        python.write_text(f"#!/bin/sh\n{FAKES[fake]}\n")
        python.chmod(0o755)
    done = make(tmp_path, goal, python)
    assert done.returncode != 0
    assert said in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_make_alone_lists_what_there_is(tmp_path):
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    for goal in (
        "lab",
        "test",
        "check",
        "export",
        "notebooks",
        "restore",
        "bench",
        "ladder",
        "shipped",
    ):
        assert f"\n{goal} " in "\n" + done.stdout

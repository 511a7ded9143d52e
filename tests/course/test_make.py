"""`make` names what a machine lacks; its packages are the ones that are declared."""

import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement

from gpt_lib import catalog
from gpt_lib.course import rules
from gpt_lib.course.export import ROOT
from gpt_lib.experiments.bench import peers

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = PYPROJECT["project"]["optional-dependencies"]
FAKES = {
    "a shim": "echo pyenv: python: command not found >&2; exit 127",
    "too old": 'case "$1" in -V) echo Python 3.9.2;; *) exit 1;; esac',
    "no venv": 'case "$*" in *ensurepip*) exit 1;; esac',
}


def make(folder, goal, python):
    for name in ("Makefile", "requirements.txt", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    command = ["make", goal, f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("goal", ["lab", "test", "check"])
@pytest.mark.parametrize(
    ("fake", "message"),
    [
        ("missing", "does not run: sudo apt install python3 python3-venv"),
        ("a shim", "does not run: sudo apt install python3 python3-venv"),
        ("too old", "Python 3.9.2 is too old, 3.11.5 or newer is needed"),
        ("no venv", "this Python lacks venv: sudo apt install python3-venv"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_left(tmp_path, goal, fake, message):
    python = tmp_path / "python"
    if fake in FAKES:
        python.write_text(f"#!/bin/sh\n{FAKES[fake]}\n")
        python.chmod(0o755)
    done = make(tmp_path, goal, python)
    assert done.returncode != 0
    assert message in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_make_alone_lists_what_there_is(tmp_path):
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    for goal in (
        "lab",
        "test",
        "check",
        "soak",
        "export",
        "notebooks",
        "restore",
        "bench",
        "ladder",
        "shipped",
        "lock",
        "audit",
    ):
        assert f"\n{goal} " in "\n" + done.stdout


def pinned():
    """Name -> version, of all that requirements.txt installs."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_what_is_pinned_is_what_is_declared():
    tools = [each for each in GROUPS["test"] if "==" not in each]  # the rest are peers
    declared = PYPROJECT["project"]["dependencies"] + tools
    requirements = {each.name: each for each in map(Requirement, declared)}
    assert requirements.keys() == pinned().keys()
    for name, version in pinned().items():
        assert requirements[name].specifier.contains(version), name


def test_the_lock_has_every_pinned_package_and_names_no_place():
    """Hashes are not in it: torch's differ by index, and `-e .` cannot have one."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    requirements = {each.name: each for each in map(Requirement, lines)}
    for name, version in pinned().items():
        assert str(requirements[name].specifier) == f"=={version}", name
    assert len(requirements) > 2 * len(pinned())
    assert all(each.url is None for each in requirements.values())
    assert "://" not in text
    assert "gpt-lib" not in requirements
    peers = [each for each in GROUPS["test"] if "==" in each]
    assert peers
    assert all(each in lines for each in peers)


def test_what_the_library_imports_is_declared():
    """But for the peers, and what comes with a package that is declared."""
    modules = set()
    for path in (ROOT / "gpt_lib").rglob("*.py"):
        for name in rules.imports_of(path, ".".join(path.relative_to(ROOT).parts[:-1])):
            modules.add(name.partition(".")[0])
    packages = {
        package
        for module in modules - sys.stdlib_module_names - {"gpt_lib"}
        for package in packages_distributions().get(module, [])
    }
    declared = {Requirement(each).name for each in PYPROJECT["project"]["dependencies"]}
    assert {package.lower() for package in packages} - declared <= {
        "ipython",  # with ipykernel
        "traitlets",  # with ipywidgets
        "nbclient",  # make notebooks, in the group test
        "datasets",  # of the hub: where it is not installed, a message says so
        *peers.PEER_PACKAGES,
    }


def test_the_peers_are_the_group_bench():
    requirements = [Requirement(each) for each in GROUPS["bench"]]
    assert {each.name for each in requirements} == set(peers.PEER_PACKAGES)
    assert all(str(each.specifier).startswith("==") for each in requirements)
    done = subprocess.run(
        ["make", "--dry-run", "bench", "PART=step memory"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "install --quiet --disable-pip-version-check -e '.[bench]'" in done.stdout
    assert "gpt_lib.experiments.bench step memory\n" in done.stdout
    assert "bench_playground" not in done.stdout


def test_a_wheel_carries_the_shipped_models(tmp_path):
    include = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    [(source, target)] = include.items()
    assert catalog.shipped_models_folder(ROOT / "gpt_lib") == ROOT / source
    assert catalog.shipped_models_folder(tmp_path / "gpt_lib") == tmp_path / target

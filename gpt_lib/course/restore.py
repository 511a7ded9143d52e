"""Undo an experiment: `make restore LESSON=02` keeps your copy and brings ours back."""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from gpt_lib.course import export


def restore(name: str, root: Path = export.ROOT) -> Path | None:
    """Bring a lesson and its modules back as last committed.

    Returns:
        Where the learner's notebook was kept, or None if nothing had been changed.

    Raises:
        ValueError: there is no such lesson, or this folder is no git checkout.
    """
    path = find_committed_path(name, root)
    committed = run_git(root, "show", f"HEAD:notebooks/{path.name}")
    copy = None
    if path.exists() and path.read_bytes() != committed:
        copy = root / "notebooks" / "mine" / f"{path.stem}_{time.time_ns()}.ipynb"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy2(path, copy)
    run_git(root, "checkout", "HEAD", "--", f"notebooks/{path.name}")
    for module in export.module_paths(path):
        run_git(root, "checkout", "HEAD", "--", f"gpt_lib/{module.name}")
    return copy


def find_committed_path(name: str, root: Path) -> Path:
    """The lesson's notebook, also where the learner deleted it."""
    output = run_git(root, "ls-tree", "--name-only", "HEAD", "notebooks/").decode()
    names = [Path(line).name for line in output.splitlines()]
    names = [file for file in names if export.LESSON_FILE.fullmatch(file)]
    for file in names:
        if export.is_name_of_lesson(name, file.removesuffix(".ipynb")):
            return root / "notebooks" / file
    raise ValueError(f"there is no lesson {name!r}; the lessons are {', '.join(names)}")


def run_git(root: Path, *arguments: str) -> bytes:
    """The output of a git command."""
    result = subprocess.run(["git", "-C", root, *arguments], capture_output=True)
    if result.returncode:
        reason = result.stderr.decode().strip()
        raise ValueError(f"a lesson can be restored only in a git checkout: {reason}")
    return result.stdout


def main() -> None:
    """Bring one lesson and its module back as last committed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("lesson", help="such as 02: make restore LESSON=02")
    try:
        copy = restore(parser.parse_args().lesson)
    except ValueError as error:
        sys.exit(str(error))
    print("restored;", f"your version is {copy}" if copy else "you had changed nothing")


if __name__ == "__main__":
    main()

"""From a lesson to its module, and the proof that the two agree.

The cells marked `#| export`, in their order and formatted by ruff, are the module.
`make export` writes every module; the last cell of a lesson writes its own. With
`GPT_EXPORT=check` in the environment nothing is written and a difference is an error,
so that re-executing a lesson can never repair the module it is meant to test.
"""

import argparse
import ast
import difflib
import importlib.util
import linecache
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import nbformat
from nbdev.export import nb_export
from nbformat import NotebookNode
from ruff import find_ruff_bin

import gpt_lib

ROOT = Path(gpt_lib.__file__).resolve().parents[1]


def lessons(root: Path = ROOT) -> list[Path]:
    """The notebooks in reading order."""
    return sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def find_lesson(name: str, root: Path = ROOT) -> Path:
    """The notebook of lesson `name`: "02", "bigram" or "02_bigram".

    Raises:
        ValueError: there is no such lesson; the message lists those there are.
    """
    for path in lessons(root):
        if is_called(path.stem, name):
            return path
    known = ", ".join(path.stem for path in lessons(root))
    raise ValueError(f"there is no lesson {name!r}; the lessons are {known}")


def is_called(stem: str, name: str) -> bool:
    """Whether `name` means the lesson `stem`: by number, by word, or whole."""
    return name.removesuffix(".ipynb") in (stem, *stem.split("_", 1))


def code_cells(notebook: NotebookNode) -> list[str]:
    """The sources of the code cells, top to bottom."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def exported_cells(notebook: NotebookNode) -> list[str]:
    """The sources of the cells marked `#| export`."""
    return [source for source in code_cells(notebook) if is_export(source)]


def is_export(source: str) -> bool:
    """Whether nbdev exports a cell with this source."""
    return re.match(r"#\|\s*export\s*$", source, re.MULTILINE) is not None


def misplaced_directives(notebook: NotebookNode) -> list[str]:
    """First lines of the cells that nbdev skips silently: `#| export` not on line 1."""
    directive = re.compile(r"^#\|\s*export\s*$", re.MULTILINE)
    return [
        source.splitlines()[0]
        for source in code_cells(notebook)
        if directive.search(source) and not is_export(source)
    ]


def module_name(notebook: NotebookNode) -> str | None:
    """What `#| default_exp` names, or None for a notebook that exports nothing."""
    for source in code_cells(notebook):
        if found := re.match(r"#\|\s*default_exp\s+(\w+)\s*$", source, re.MULTILINE):
            return found[1]
    return None


def render(path: Path) -> str:
    """The module that the notebook at `path` stands for.

    Raises:
        ValueError: the notebook names no module, or marks a cell where nbdev is blind.
    """
    notebook = nbformat.read(path, as_version=4)
    name = module_name(notebook)
    if name is None:
        raise ValueError(
            f"{path.name} has no `#| default_exp` cell, so it names no module"
        )
    if misplaced := misplaced_directives(notebook):
        raise ValueError(
            f"{path.name}: `#| export` must be line 1 of its cell,"
            f" but one cell begins with {misplaced[0]!r}"
        )
    with tempfile.TemporaryDirectory() as folder:
        # nbdev makes imports relative only in a folder called gpt_lib, and writes the
        # notebook's path as seen from there.
        copy = Path(folder, "notebooks", path.name)
        copy.parent.mkdir()
        nbformat.write(notebook, copy)
        library = Path(folder, "gpt_lib")
        nb_export(copy, lib_path=library, solo_nb=True)
        return format_code((library / f"{name}.py").read_text(encoding="utf-8"))


def format_code(source: str) -> str:
    """`source` as `ruff format` writes it under this project's settings."""
    command = [find_ruff_bin(), "format", "--stdin-filename", "gpt_lib/module.py", "-"]
    done = subprocess.run(
        command, input=source, capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode:
        raise ValueError(f"the exported code is not Python: {done.stderr.strip()}")
    return done.stdout


def difference(path: Path) -> str | None:
    """What first differs between the library and the module at `path`, or None."""
    target = target_of(path)
    if not target.exists():
        return f"gpt_lib/{target.name} is missing: run `make export`"
    ours, theirs = target.read_text(encoding="utf-8"), render(path)
    if ours == theirs:
        return None
    lines = difflib.unified_diff(ours.splitlines(), theirs.splitlines(), n=0)
    changed = next(line for line in list(lines)[2:] if line[0] in "+-")
    return (
        f"gpt_lib/{target.name} is not what {path.name} exports, first at {changed!r}:"
        " run `make export`"
    )


def target_of(path: Path) -> Path:
    """The module file that belongs to the notebook at `path`."""
    name = module_name(nbformat.read(path, as_version=4))
    return path.parents[1] / "gpt_lib" / f"{name}.py"


def load(path: Path, stem: str) -> ModuleType:
    """Run the file at `path` as `gpt_lib.<stem>`; what is imported stays as it is."""
    specification = importlib.util.spec_from_file_location(f"gpt_lib.{stem}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def write(path: Path) -> bool:
    """Export the notebook at `path`; True if its module changed.

    The module is replaced in one step, and only by code that imports.

    Raises:
        ImportError: the exported code does not import; the old module is untouched.
    """
    source, target = render(path), target_of(path)
    if target.exists() and target.read_text(encoding="utf-8") == source:
        return False
    candidate = target.with_name(f".{target.stem}.new.py")
    candidate.write_text(source, encoding="utf-8")
    try:
        load(candidate, target.stem)
        os.replace(candidate, target)
    except Exception as error:
        raise ImportError(
            f"{path.name} was not exported and gpt_lib/{target.name} is unchanged:"
            f" importing the new code raises {type(error).__name__}: {error}"
        ) from error
    finally:
        candidate.unlink(missing_ok=True)
    return True


def bound_names(source: str) -> set[str]:
    """The names that running `source` binds at the top level."""
    try:
        nodes = ast.parse(source).body
    except SyntaxError:  # the kernel keeps what it could not run, too
        return set()
    names: set[str] = set()
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.Assign(targets=targets):
                names |= {ast.unparse(target) for target in targets}
            case ast.AnnAssign(target=target):
                names.add(ast.unparse(target))
    return names


def unsaved(path: Path, cells_run: list[str]) -> str | None:
    """A name that the kernel last bound in another way than the cells of `path` do."""
    latest: dict[str, str] = {}
    for source in filter(is_export, cells_run):
        latest |= dict.fromkeys(bound_names(source), source.strip())
    for source in exported_cells(nbformat.read(path, as_version=4)):
        for name in sorted(bound_names(source)):
            if latest.get(name) != source.strip():
                return name
    return None


def export_lesson(name: str) -> ModuleType:
    """Export lesson `name` from its notebook and return the freshly loaded module.

    What is exported is the file on disk, so it is first compared with the cells this
    kernel ran.

    Raises:
        RuntimeError: the notebook is not saved, or not run, as it stands; or, under
            `GPT_EXPORT=check`, the module differs from the notebook.
        ImportError: the exported code does not import; the old module is kept.
    """
    path = find_lesson(name)
    target = target_of(path)
    if different := unsaved(path, get_cells_run()):
        raise RuntimeError(
            f"{path.name} on disk and this kernel disagree about `{different}`:"
            " run its cell, save first (Ctrl+S), then run this cell again"
        )
    if os.environ.get("GPT_EXPORT") == "check":
        if reason := difference(path):
            raise RuntimeError(reason)
    else:
        write(path)
    module = load(target, target.stem)
    sys.modules[module.__name__] = module
    setattr(gpt_lib, target.stem, module)
    print(f"gpt_lib/{target.name} is this lesson: {', '.join(public_names(module))}")
    return module


def get_cells_run() -> list[str]:
    """What this notebook's kernel has run so far, oldest first."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise RuntimeError(
            "export_lesson is for notebooks; elsewhere use `make export`"
        )
    history = list(shell.user_ns["In"])
    if any(map(is_export, history)):
        return history
    # nbval runs cells without a history; what was compiled is still known, once each.
    compiled = (entry for entry in linecache.cache.values() if len(entry) == 4)
    return ["".join(lines) for _, _, lines, _ in compiled]


def public_names(module: ModuleType) -> list[str]:
    """The functions and classes that `module` itself defines, in reading order."""
    return [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and name[0] != "_"
    ]


def main() -> None:
    """Export the lessons named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("lesson", nargs="*", help="such as 02 or bigram")
    names = parser.parse_args().lesson
    for path in [find_lesson(name) for name in names] or lessons():
        state = "changed" if write(path) else "unchanged"
        print(f"{path.name} -> gpt_lib/{target_of(path).name} ({state})")


if __name__ == "__main__":
    main()

"""From a lesson to its modules, and the proof that they agree.

The cells marked `#| export`, in their order and formatted by ruff, are the lesson's
module; its docstring is the quote (`> `) in the title cell. A lesson with two subjects
marks the cells of the second `#| export NAME`, for gpt_lib/NAME.py, whose docstring is
a quote of its own, below the first one:

    > What the lesson promises.

    > `NAME`: what this module holds.

What a module uses of the lesson's modules before it is imported for it: an imported
name is copied with its import, any other comes `from .first import name`. Such an
import in a cell would bring the library's old version into the kernel.

`make export` writes every module; the last cell of a lesson writes its own. With
`GPT_EXPORT=check` in the environment nothing is written and a difference is an error,
so that re-executing a lesson can never repair the module it is meant to test.
"""

import argparse
import ast
import difflib
import importlib
import importlib.util
import linecache
import os
import re
import subprocess
import symtable
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import nbformat
from nbdev.export import nb_export
from nbformat import NotebookNode, v4
from ruff import find_ruff_bin

import gpt_lib

ROOT = Path(gpt_lib.__file__).resolve().parents[1]
LESSON_FILE = re.compile(r"\d\d[a-z]?_\w+\.ipynb")  # 09_generation, 09b_beam
EXPORT = re.compile(r"#\|\s*export(?:[ \t]+(\w+))?\s*$", re.MULTILINE)
DEFAULT_EXP = re.compile(r"#\|\s*default_exp\s+(\w+)\s*$", re.MULTILINE)
# Everything that is meant as a directive, on whatever line and however it is written.
ANY_DIRECTIVE = re.compile(
    r"^[ \t]*#[ \t]*(?:\|[ \t]*(?:export|default_exp).*|exports?|default_exp.*)$",
    re.MULTILINE | re.IGNORECASE,
)


# Which lessons there are


def lessons(root: Path = ROOT) -> list[Path]:
    """The notebooks in reading order."""
    paths = (root / "notebooks").glob("*.ipynb")
    return sorted(path for path in paths if LESSON_FILE.fullmatch(path.name))


def find_lesson(name: str, root: Path = ROOT) -> Path:
    """The notebook of lesson `name`: "02", "bigram" or "02_bigram".

    Raises:
        ValueError: there is no such lesson; the message lists those there are.
    """
    for path in lessons(root):
        if is_name_of_lesson(name, path.stem):
            return path
    known = ", ".join(path.stem for path in lessons(root))
    raise ValueError(f"there is no lesson {name!r}; the lessons are {known}")


def is_name_of_lesson(name: str, lesson_stem: str) -> bool:
    """Whether `name` means the lesson: by its number, by its word, or whole."""
    return name.removesuffix(".ipynb") in (lesson_stem, *lesson_stem.split("_", 1))


def check_is_lesson(path: Path) -> None:
    """Check that the notebook at `path`, and no other one, is the lesson of its module.

    Raises:
        ValueError: it is a copy, or another notebook has its number or its word.
    """
    module = default_module(nbformat.read(path, as_version=4))
    number, _, word = path.stem.partition("_")
    if not LESSON_FILE.fullmatch(path.name) or module not in (None, word):
        raise ValueError(
            f"{path.name} is a copy, and is not exported: the lesson of"
            f" gpt_lib/{module}.py is called NN_{module}.ipynb, NN its number"
        )
    for other in lessons(path.parents[1]):
        if other.name != path.name and {number, word} & {*other.stem.split("_", 1)}:
            raise ValueError(
                f"{path.name} and {other.name} have the same number or name, and only"
                " one of them can be the lesson: rename or delete the other one"
            )


def copies_of(path: Path) -> list[Path]:
    """Other notebooks beside the lesson at `path` that have its number."""
    number, _, _ = path.stem.partition("_")
    others = path.parent.glob(f"{number}[!0-9a-z]*.ipynb")
    return sorted(other for other in others if other.name != path.name)


# What a notebook says about its modules


def code_cell_sources(notebook: NotebookNode) -> list[str]:
    """The sources of the code cells, top to bottom."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def is_export(source: str) -> bool:
    """Whether a cell with this source is exported."""
    return EXPORT.match(source) is not None


def exported_cells(notebook: NotebookNode) -> list[str]:
    """The sources of the cells marked `#| export`, whatever module they belong to."""
    return [source for source in code_cell_sources(notebook) if is_export(source)]


def cells_by_module(notebook: NotebookNode) -> dict[str, list[str]]:
    """Module -> its cells' sources: the lesson's own module first, then the others.

    Empty for a notebook that names no module with `#| default_exp`.
    """
    first = default_module(notebook)
    if first is None:
        return {}
    cells: dict[str, list[str]] = {first: []}
    for source in exported_cells(notebook):
        cells.setdefault(EXPORT.match(source)[1] or first, []).append(source)
    return cells


def default_module(notebook: NotebookNode) -> str | None:
    """What `#| default_exp` names, or None for a notebook that exports nothing."""
    for source in code_cell_sources(notebook):
        if match := DEFAULT_EXP.match(source):
            return match[1]
    return None


def exported_module_names(notebook: NotebookNode) -> list[str]:
    """The modules that a notebook exports, in the order in which they may import."""
    return list(cells_by_module(notebook))


def misplaced_directives(notebook: NotebookNode) -> list[str]:
    """Lines that are meant as directives and would be skipped silently.

    They are not on line 1, are written in another way, or name a second module as the
    lesson's own.
    """
    lines, modules = [], 0
    for source in code_cell_sources(notebook):
        right = EXPORT.match(source) or DEFAULT_EXP.match(source)
        modules += DEFAULT_EXP.match(source) is not None
        known = right and (modules == 1 or is_export(source))
        for match in ANY_DIRECTIVE.finditer(source):
            if not known or match.start() > 0:
                lines.append(match[0].strip())
    return lines


def docstring_quotes(notebook: NotebookNode) -> list[str]:
    """The quotes in the title cell: the docstrings of the lesson's modules."""
    titles = [cell.source for cell in notebook.cells if cell.source.startswith("# ")]
    quotes = re.findall(r"(?:^> .*\n?)+", titles[0], re.MULTILINE) if titles else []
    return [re.sub(r"^> ", "", quote, flags=re.MULTILINE).strip() for quote in quotes]


def docstring_of(notebook: NotebookNode, name: str) -> str:
    """The docstring of module `name`; that of the lesson's own may be empty.

    Raises:
        ValueError: no quote begins with the name of a second module.
    """
    quotes = docstring_quotes(notebook)
    if name == default_module(notebook):
        return quotes[0] if quotes else ""
    for quote in quotes[1:]:
        if quote.startswith(f"`{name}`: "):
            return quote.removeprefix(f"`{name}`: ")
    raise ValueError(
        f"`#| export {name}` needs a quote of its own in the title cell, below the"
        f" lesson's: > `{name}`: what gpt_lib/{name}.py holds"
    )


def module_paths(path: Path) -> list[Path]:
    """The module files that belong to the notebook at `path`, in reading order."""
    names = exported_module_names(nbformat.read(path, as_version=4))
    return [path.parents[1] / "gpt_lib" / f"{name}.py" for name in names]


# From notebook to source


def render(path: Path) -> dict[str, str]:
    """Module name -> source, for the modules of the notebook at `path`.

    Raises:
        ValueError: the notebook names no module, marks a cell where nbdev does not
            look, or has no docstring for a second module.
    """
    return dict(render_notebook_modules(path.name, path.read_text(encoding="utf-8")))


@cache
def render_notebook_modules(file: str, content: str) -> tuple[tuple[str, str], ...]:
    """Names and sources of the modules of a notebook, from its file's content."""
    notebook = nbformat.reads(content, as_version=4)
    cells = cells_by_module(notebook)
    if not cells:
        raise ValueError(f"{file} has no `#| default_exp` cell, so it names no module")
    if misplaced := misplaced_directives(notebook):
        raise ValueError(
            f"{file}: `#| export` must be line 1 of its cell, alone or with the name of"
            " one module, and `#| default_exp NAME` must be there once, but one cell"
            f" has {misplaced[0]!r}"
        )
    return tuple((name, render_module(file, notebook, name)) for name in cells)


def render_module(file: str, notebook: NotebookNode, name: str) -> str:
    """One module, by nbdev, which with `solo_nb` can write only the first one.

    So nbdev sees a notebook that exports nothing else.
    """
    try:
        quote = docstring_of(notebook, name).replace("\n", "\n> ")
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    sources, imports = (
        cells_by_module(notebook)[name],
        imports_from_earlier_modules(notebook, name),
    )
    sources = [EXPORT.sub("#| export", source, count=1) for source in sources]
    sources = [f"#| default_exp {name}", *imports, *sources]
    title = v4.new_markdown_cell(f"# {file}\n\n> {quote}" if quote else "")
    cells = [title, *map(v4.new_code_cell, sources)]
    with tempfile.TemporaryDirectory() as folder:
        # nbdev makes imports relative only in a folder called gpt_lib, and writes the
        # notebook's path as seen from there.
        copy = Path(folder, "notebooks", file)
        copy.parent.mkdir()
        nbformat.write(v4.new_notebook(cells=cells), copy)
        library = Path(folder, "gpt_lib")
        nb_export(copy, lib_path=library, solo_nb=True)
        module = (library / f"{name}.py").read_text(encoding="utf-8")
    if imports:
        module = run_ruff(["check", "--select=I", "--fix-only", "--quiet"], module)
    return run_ruff(["format"], module)


def run_ruff(command: list[str], source: str) -> str:
    """`source` as ruff changes it under this project's settings."""
    command = [find_ruff_bin(), *command, "--stdin-filename", "gpt_lib/module.py", "-"]
    result = subprocess.run(
        command,
        input=source,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    if result.returncode:
        raise ValueError(f"the exported code is not Python: {result.stderr.strip()}")
    return result.stdout


def imports_from_earlier_modules(notebook: NotebookNode, name: str) -> list[str]:
    """A cell that imports what module `name` uses of its lesson's modules before it.

    Empty where it uses nothing of them.
    """
    cells = cells_by_module(notebook)
    needed = free_names("\n".join(cells[name]))
    lines = []
    for other in reversed(list(cells)[: list(cells).index(name)]):
        for node in parse_statements("\n".join(cells[other])):
            names = sorted(names_bound_by(node) & needed)
            needed -= set(names)
            if isinstance(node, ast.Import | ast.ImportFrom):
                aliases = [
                    alias for alias in node.names if name_bound_by_alias(alias) in names
                ]
                lines += [
                    ast.unparse(restrict_import_to_names(node, [alias]))
                    for alias in aliases
                ]
            elif names:
                lines.append(f"from gpt_lib.{other} import {', '.join(names)}")
    return ["\n".join(["#| export", *lines])] if lines else []


def restrict_import_to_names(
    node: ast.Import | ast.ImportFrom, names: list[ast.alias]
) -> ast.Import | ast.ImportFrom:
    """The same import of fewer names."""
    if isinstance(node, ast.Import):
        return ast.Import(names)
    return ast.ImportFrom(node.module, names, node.level)


def free_names(source: str) -> set[str]:
    """The names that `source` uses but does not bind at its top level."""
    try:
        tables = [symtable.symtable(source, "cells", "exec")]
    except SyntaxError:
        return set()
    names: set[str] = set()
    for table in tables:  # which grows by the tables of functions and classes
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (table is tables[0] or symbol.is_global()):
                names.add(symbol.get_name())
    return names - bound_names(source)


def parse_statements(source: str) -> list[ast.stmt]:
    """The statements of `source`; none if it is not Python."""
    try:
        return ast.parse(source).body
    except SyntaxError:  # the kernel keeps what it could not run, too
        return []


def bound_names(source: str) -> set[str]:
    """The names that running `source` binds at the top level."""
    return set().union(*map(names_bound_by, parse_statements(source)))


def names_bound_by(node: ast.stmt) -> set[str]:
    """The names that a definition, an import or an assignment binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import() | ast.ImportFrom():
            return set(map(name_bound_by_alias, node.names))
        case (
            ast.Assign(targets=[ast.Tuple(elts=targets)]) | ast.Assign(targets=targets)
        ):
            return {ast.unparse(target) for target in targets}
        case ast.AnnAssign(target=target):
            return {ast.unparse(target)}
    return set()


def name_bound_by_alias(alias: ast.alias) -> str:
    """The name that one name of an import binds: `import os.path` binds os."""
    return alias.asname or alias.name.partition(".")[0]


# Between notebook and library


def first_module_difference(path: Path) -> str | None:
    """What first differs between the library and the notebook at `path`, or None."""
    modules = render(path)
    for target in module_paths(path):
        if not target.exists():
            return f"gpt_lib/{target.name} is missing: run `make export`"
        ours, theirs = target.read_text(encoding="utf-8"), modules[target.stem]
        if ours != theirs:
            lines = difflib.unified_diff(ours.splitlines(), theirs.splitlines(), n=0)
            changed = next(line for line in list(lines)[2:] if line[0] in "+-")
            return (
                f"gpt_lib/{target.name} is not what {path.name} exports, first at"
                f" {changed!r}: run `make export`"
            )
    return None


def load_module(path: Path, name: str) -> ModuleType:
    """Run the file at `path` as `gpt_lib.<name>`; what is imported stays as it is."""
    specification = importlib.util.spec_from_file_location(f"gpt_lib.{name}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def register_module(module: ModuleType) -> None:
    """From now on, `import` gives this module."""
    sys.modules[module.__name__] = module
    setattr(gpt_lib, module.__name__.removeprefix("gpt_lib."), module)


@contextmanager
def modules_restored(names: list[str]) -> Iterator[None]:
    """Inside, modules of these names may be installed; afterwards the old ones are."""
    before = {name: sys.modules.get(f"gpt_lib.{name}") for name in names}
    try:
        yield
    finally:
        for name, module in before.items():
            if module:
                register_module(module)
            else:
                sys.modules.pop(f"gpt_lib.{name}", None)
                vars(gpt_lib).pop(name, None)


def export_notebook(path: Path) -> bool:
    """Export the notebook at `path`; True if one of its modules changed.

    A module is replaced in one step, and none of them before all new code imports.

    Raises:
        ImportError: the exported code does not import; the old modules are untouched.
    """
    check_is_lesson(path)
    modules, targets = render(path), module_paths(path)
    candidates = {
        target: target.with_name(f".{target.stem}.new.py") for target in targets
    }
    for leftover in candidates.values():  # of an export that was killed
        leftover.unlink(missing_ok=True)
    changed = [
        target
        for target in targets
        if not target.exists()
        or target.read_text(encoding="utf-8") != modules[target.stem]
    ]
    if not changed:
        return False
    try:
        with modules_restored(list(modules)):
            for target, candidate in candidates.items():
                candidate.write_text(modules[target.stem], encoding="utf-8")
                # A second module imports the first: the new one, not the library's.
                register_module(load_module(candidate, target.stem))
        for target in changed:
            os.replace(candidates[target], target)
    except Exception as error:
        raise ImportError(
            f"{path.name} was not exported and gpt_lib/{target.name} is unchanged:"
            f" importing the new code raises {type(error).__name__}: {error}"
        ) from error
    finally:
        for candidate in candidates.values():
            candidate.unlink(missing_ok=True)
    return True


def find_unsaved_definition(path: Path, cells_run: list[str]) -> str | None:
    """A name that the kernel last bound in another way than the cells of `path` do."""
    latest: dict[tuple[str | None, str], str] = {}
    for source in filter(is_export, cells_run):
        module = EXPORT.match(source)[1]
        for name in bound_names(source):
            latest[module, name] = source.strip()
    for source in exported_cells(nbformat.read(path, as_version=4)):
        module = EXPORT.match(source)[1]
        for name in sorted(bound_names(source)):
            if latest.get((module, name)) != source.strip():
                return name
    return None


def export_lesson(name: str) -> ModuleType:
    """Export lesson `name` from its notebook and return its freshly loaded module.

    A second module is loaded, too: `from gpt_lib import NAME` gives it. What is
    exported is the file on disk, so it is first compared with the cells this kernel
    ran.

    Raises:
        RuntimeError: the notebook is not saved, or not run, as it stands; or, under
            `GPT_EXPORT=check`, a module differs from the notebook.
        ImportError: the exported code does not import; the old modules are kept.
    """
    path, here = find_lesson(name), os.environ.get("JPY_SESSION_NAME")
    if here and Path(here).name != path.name:  # JupyterLab says which notebook this is
        print(f"{Path(here).name} is a copy: the lesson is {path.name}; not exported")
        return importlib.import_module(f"gpt_lib.{module_paths(path)[0].stem}")
    if name := find_unsaved_definition(path, get_cells_run()):
        raise RuntimeError(
            f"{path.name} on disk and this kernel disagree about `{name}`:"
            " run its cell, save first (Ctrl+S), then run this cell again"
        )
    if os.environ.get("GPT_EXPORT") == "check":
        if reason := first_module_difference(path):
            raise RuntimeError(reason)
    else:
        export_notebook(path)
    modules = []
    for target in module_paths(path):
        modules.append(module := load_module(target, target.stem))
        register_module(module)
        names = ", ".join(public_names(module))
        print(f"gpt_lib/{target.name} is this lesson: {names}")
    return modules[0]


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
        state = "changed" if export_notebook(path) else "unchanged"
        targets = ", ".join(f"gpt_lib/{target.name}" for target in module_paths(path))
        print(f"{path.name} -> {targets} ({state})")
        for copy in copies_of(path):
            print(f"left out: {copy.name}, a copy of {path.name}", file=sys.stderr)


if __name__ == "__main__":
    main()

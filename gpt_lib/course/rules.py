"""The rules of the house. Each takes a project's folder and returns one line a fault.

The tests run every rule twice: on this project, where it must find nothing, and on a
copy with its fault planted, where it must find exactly that.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gpt_lib.course import export
from gpt_lib.views.picture import WIDGET_VIEW

# What is written by hand, and what of gpt_lib each part may import. Lesson modules may
# import those of earlier lessons; "lessons" stands for all of them.
MAY_IMPORT = {
    "check": set(),
    "views": set(),
    "catalog": {"lessons"},
    "playground": {"lessons", "catalog", "views"},
    "cli": {"lessons", "catalog", "views", "playground", "experiments"},
    "course": {"lessons", "views"},
    "experiments": {
        "lessons",
        "catalog",
        "views",
        "playground",
        "cli",
        "course",
        "check",
    },
}
HAND_WRITTEN = {"__init__", "__main__", *MAY_IMPORT}
# These parts of the playground serve every face of it: they show nothing themselves.
UI = {"gpt_lib.views", "ipywidgets", "textual", "matplotlib"}
WITHOUT_UI = {"playground/session.py": UI}
MAX_LINES, MAX_BYTES, MIN_COMPARED = 40, 1_000_000, 5
ABSOLUTE_PATH = re.compile(
    r"(?<![\w/.:])/(home|root|tmp|Users|work|usr|opt)/\w|[A-Z]:\\\\"
)


def project_files(root: Path) -> list[Path]:
    """What belongs to the project: what git does not ignore, or all that is there."""
    if not (root / ".git").exists():
        return sorted(path for path in root.rglob("*") if path.is_file())
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True)
    paths = [root / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file()]


def notebooks(root: Path) -> Iterator[tuple[str, NotebookNode]]:
    """Each lesson by its file name, in reading order."""
    for path in export.lessons(root):
        yield path.name, nbformat.read(path, as_version=4)


def cells_and_outputs(
    notebook: NotebookNode,
) -> Iterator[tuple[int, NotebookNode, NotebookNode]]:
    """Every output, with the number of its cell and the cell."""
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            yield number, cell, output


# Notebooks


def executed_in_order(root: Path) -> list[str]:
    """A lesson is committed executed, with counts 1 to n."""
    faults = []
    for name, notebook in notebooks(root):
        counts = [
            cell.execution_count
            for cell in notebook.cells
            if cell.cell_type == "code" and cell.source.strip()
        ]
        if counts != list(range(1, len(counts) + 1)):
            faults.append(f"{name}: not executed top to bottom, counts are {counts}")
    return faults


def no_widget_state(root: Path) -> list[str]:
    """Live widgets are not saved: they would show an error without a kernel."""
    faults = []
    for name, notebook in notebooks(root):
        if "widgets" in notebook.metadata:
            faults.append(f"{name}: saved widget state; run `make notebooks`")
        for number, _, output in cells_and_outputs(notebook):
            if WIDGET_VIEW in output.get("data", {}):
                faults.append(f"{name}: saved widget view in cell {number}")
    return faults


def no_errors(root: Path) -> list[str]:
    """No cell was saved with an error."""
    return [
        f"{name}: error output {output.ename} in cell {number}"
        for name, notebook in notebooks(root)
        for number, _, output in cells_and_outputs(notebook)
        if output.output_type == "error"
    ]


def no_absolute_paths(root: Path) -> list[str]:
    """Nothing in a lesson names a folder of the machine that ran it."""
    faults = []
    for name, notebook in notebooks(root):
        for number, cell in enumerate(notebook.cells, 1):
            texts = [cell.source]
            for output in cell.get("outputs", []):
                texts.append(output.get("text", ""))
                texts.append(output.get("data", {}).get("text/plain", ""))
            if found := ABSOLUTE_PATH.search("\n".join(texts)):
                faults.append(f"{name}: absolute path {found[0]!r} in cell {number}")
    return faults


def short_cells(root: Path) -> list[str]:
    """No code cell is longer than `MAX_LINES`."""
    return [
        f"{name}: cell {number} has {lines} lines, more than {MAX_LINES}"
        for name, notebook in notebooks(root)
        for number, cell in enumerate(notebook.cells, 1)
        if cell.cell_type == "code"
        and (lines := len(cell.source.splitlines())) > MAX_LINES
    ]


def pictures_in_words(root: Path) -> list[str]:
    """Every picture has its words, for screen readers and in text."""
    faults = []
    for name, notebook in notebooks(root):
        for number, cell in enumerate(notebook.cells, 1):
            if cell.cell_type == "markdown" and re.search(r"!\[\s*\]\(", cell.source):
                faults.append(f"{name}: picture without alt text in cell {number}")
        for number, _, output in cells_and_outputs(notebook):
            data = output.get("data", {})
            page, plain = data.get("text/html", ""), data.get("text/plain", "")
            images = re.findall(r"<img\b[^>]*>", page)
            if any(not re.search(r'\balt="[^"]{10,}"', image) for image in images):
                faults.append(f"{name}: <img> without alt text in cell {number}")
            raw = [mime for mime in data if mime.startswith("image/")]
            if raw and not images:
                faults.append(f"{name}: {raw[0]} without <img alt> in cell {number}")
            if plain.startswith("<Figure size") or (images and len(plain) < 10):
                faults.append(f"{name}: picture without words in cell {number}")
    return faults


def small_files(root: Path) -> list[str]:
    """No lesson is larger than `MAX_BYTES`."""
    return [
        f"{path.name}: {path.stat().st_size:,} bytes, more than {MAX_BYTES:,}"
        for path in export.lessons(root)
        if path.stat().st_size > MAX_BYTES
    ]


def standard_kernel(root: Path) -> list[str]:
    """The kernel is `python3`, which every environment has."""
    return [
        f"{name}: kernelspec is not python3"
        for name, notebook in notebooks(root)
        if notebook.metadata.get("kernelspec", {}).get("name") != "python3"
    ]


def directives_on_line_one(root: Path) -> list[str]:
    """`#| export` stands where nbdev sees it."""
    return [
        f"{name}: `#| export` is not on line 1 of the cell that begins {first!r}"
        for name, notebook in notebooks(root)
        for first in export.misplaced_directives(notebook)
    ]


def enough_compared(root: Path) -> list[str]:
    """At least `MIN_COMPARED` outputs are compared, and none of an exported cell."""
    faults = []
    for name, notebook in notebooks(root):
        compared = [
            cell
            for cell in notebook.cells
            if cell.source.startswith("# NBVAL_CHECK_OUTPUT") and cell.outputs
        ]
        if len(compared) < MIN_COMPARED:
            faults.append(f"{name}: only {len(compared)} compared outputs")
        if any("NBVAL" in cell for cell in export.exported_cells(notebook)):
            faults.append(f"{name}: an exported cell is also a compared one")
    return faults


# Export


def library_is_the_notebooks(root: Path) -> list[str]:
    """Every module is what its lesson exports."""
    faults = []
    for path in export.lessons(root):
        try:
            fault = export.difference(path)
        except ValueError as error:
            fault = f"{path.name} cannot be exported: {error}"
        faults += [fault] if fault else []
    return faults


def every_module_has_a_notebook(root: Path) -> list[str]:
    """No module lies about that no lesson exports."""
    exported = Counter(export.module_name(notebook) for _, notebook in notebooks(root))
    faults = [
        f"two notebooks export gpt_lib/{name}.py"
        for name, count in exported.items()
        if count > 1
    ]
    for path in sorted((root / "gpt_lib").iterdir()):
        known = path.stem in HAND_WRITTEN | set(exported) or path.name == "__pycache__"
        if not known:
            faults.append(f"no notebook exports gpt_lib/{path.name}")
    return faults


def one_name(root: Path) -> list[str]:
    """A lesson, its module and its test file share one name."""
    faults = []
    for name, notebook in notebooks(root):
        concept = Path(name).stem.split("_", 1)[1]
        if export.module_name(notebook) != concept:
            faults.append(f"{name} exports another module than {concept}.py")
        if not (root / "tests" / "lessons" / f"test_{concept}.py").exists():
            faults.append(f"tests/lessons/test_{concept}.py is missing")
    return faults


def modules_import(root: Path) -> list[str]:
    """Import each exported module in one fresh process, as a user of `root` would."""
    names = [f"gpt_lib.{export.module_name(book)}" for _, book in notebooks(root)]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name)\n"
        "    except Exception as e:\n"
        "        print(f'{name} fails on import: {type(e).__name__}: {e}')\n"
    )
    command = [sys.executable, "-c", program, *names]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return done.stdout.splitlines() + done.stderr.splitlines()[-1:]


# Architecture


def imports_of(path: Path, package: str) -> set[str]:
    """What the file at `path`, in the dotted `package`, imports, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=module, level=level, names=aliases):
                parents = package.split(".")
                base = ".".join(parents[: len(parents) - level + 1]) if level else ""
                origin = ".".join(filter(None, [base, module]))
                names |= {f"{origin}.{alias.name}" for alias in aliases}
    return names


def imported_parts(path: Path, root: Path) -> set[str]:
    """The parts of gpt_lib that the file at `path` imports: "text", "views", …"""
    package = ".".join(path.relative_to(root).parent.parts)
    names = imports_of(path, package)
    return {name.split(".")[1] for name in names if name.startswith("gpt_lib.")}


def arrows_point_down(root: Path) -> list[str]:
    """Lessons import earlier lessons; each part by hand what `MAY_IMPORT` says."""
    order = [export.module_name(notebook) for _, notebook in notebooks(root)]
    library, faults = root / "gpt_lib", []
    for place, name in enumerate(order):
        for other in sorted(imported_parts(library / f"{name}.py", root)):
            if other not in order[:place]:
                faults.append(
                    f"gpt_lib/{name}.py imports {other}, which is not below it"
                )
    for part, allowed in MAY_IMPORT.items():
        known = {part, *(allowed - {"lessons"})}
        known |= set(order) if "lessons" in allowed else set()
        folder = library / part
        files = folder.rglob("*.py") if folder.is_dir() else [library / f"{part}.py"]
        for path in sorted(files):
            for other in sorted(imported_parts(path, root) - known):
                faults.append(f"{path.relative_to(root)} must not import {other}")
    return faults


def parts_are_known(root: Path) -> list[str]:
    """Every folder of the library has its arrows."""
    folders = {path.parent for path in (root / "gpt_lib").glob("*/*.py")}
    return [
        f"gpt_lib/{folder.name}/ has no entry in MAY_IMPORT"
        for folder in sorted(folders)
        if folder.name not in MAY_IMPORT
    ]


def session_shows_nothing(root: Path) -> list[str]:
    """The playground's session serves every face, so it imports none."""
    faults = []
    for file, forbidden in WITHOUT_UI.items():
        path = root / "gpt_lib" / file
        for name in sorted(imports_of(path, "gpt_lib.playground")):
            if any(f"{name}.".startswith(f"{other}.") for other in forbidden):
                package = ".".join(name.split(".")[: 2 if "gpt_lib" in name else 1])
                faults.append(
                    f"gpt_lib/{file} must show nothing, but imports {package}"
                )
    return faults


# README


def tree_in(readme: str) -> list[str]:
    """The paths that README's annotated tree names, relative to the project."""
    block = re.search(r"```text\n(.*?)```", readme, re.DOTALL)
    paths, parents = [], []
    for line in block[1].splitlines() if block else []:
        name = line.split()[0] if line.split() else ""
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        paths.append("".join(parents[: depth + 1]))
    return paths


def readme_tree(root: Path) -> list[str]:
    """README's tree names what is on disk, and all of it at the upper levels."""
    named = tree_in((root / "README.md").read_text(encoding="utf-8"))
    files = [path.relative_to(root) for path in project_files(root)]
    folders = {str(parent) + "/" for path in files for parent in path.parents[:-1]}
    on_disk = {str(path) for path in files} | folders
    must_be_named = {
        path
        for path in on_disk
        if path.rstrip("/").count("/") == 0
        or re.fullmatch(r"gpt_lib/\w+/|gpt_lib/catalog\.py", path)
    }
    return [
        f"README's tree names {path}, which is not there"
        for path in named
        if path not in on_disk
    ] + [f"README's tree lacks {path}" for path in sorted(must_be_named - set(named))]


def readme_lessons(root: Path) -> list[str]:
    """README's table of lessons has their titles, files and modules."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\d\d) \| \[(.+?)\]\(notebooks/(.+?)\) \| .* \| `(\w+)\.py` \|$",
        readme,
        re.MULTILINE,
    )
    on_disk = []
    for name, notebook in notebooks(root):
        title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
        on_disk.append((name[:2], title, name, export.module_name(notebook)))
    return [
        f"README's lesson table has {row}, which is not on disk"
        for row in rows
        if row not in on_disk
    ] + [f"README's lesson table lacks {row}" for row in on_disk if row not in rows]


NOTEBOOK_RULES = [
    executed_in_order,
    no_widget_state,
    no_errors,
    no_absolute_paths,
    short_cells,
    pictures_in_words,
    small_files,
    standard_kernel,
    directives_on_line_one,
    enough_compared,
]
EXPORT_RULES = [
    library_is_the_notebooks,
    every_module_has_a_notebook,
    one_name,
    modules_import,
]
ARCHITECTURE_RULES = [
    arrows_point_down,
    parts_are_known,
    session_shows_nothing,
    readme_tree,
    readme_lessons,
]

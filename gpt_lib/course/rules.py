"""The rules of the house. Each takes a project's folder and returns one line a fault.

The tests run every rule twice: on this project, where it must find nothing, and on a
copy with its fault planted, where it must find exactly that.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gpt_lib.course import export
from gpt_lib.course.banned_names import BANNED_NAME_PARTS, BANNED_NAMES
from gpt_lib.course.lesson_times import TIMES_PATTERN, describe_times
from gpt_lib.course.prose_numbers import KNOWN_NUMBERS, numbers_in_prose
from gpt_lib.views.picture import WIDGET_VIEW

USED_BY_COMMANDS = (
    "lessons",
    "prepare",
    "pretrained_files",
    "catalog",
    "views",
    "playground",
)
# What is written by hand, and what of gpt_lib each part may import. Lesson modules may
# import those of earlier lessons; "lessons" stands for all of them.
MAY_IMPORT = {
    "check": set(),
    "views": set(),
    "prepare": {"lessons"},
    "pretrained_files": {"lessons"},
    "catalog": {"lessons", "prepare"},
    "playground": {"lessons", "catalog", "views"},
    "cli": {*USED_BY_COMMANDS},
    "course": {"lessons", "views"},
    "experiments": {*USED_BY_COMMANDS, "cli", "course", "check"},
}
HAND_WRITTEN = {"__init__", "__main__", *MAY_IMPORT}
# What a lesson's notebook may import besides the lessons up to its own.
NOTEBOOKS_MAY_IMPORT = ("check", "views", "prepare", "catalog", "course")
NOTEBOOKS_MAY_IMPORT += ("experiments", "pretrained_files")
NOTEBOOKS_MAY_IMPORT += ("playground.notebook", "playground.settings")
# The files beside the playground's folders serve every face of it: they import no UI.
UI_PACKAGES = {"gpt_lib.views", "ipywidgets", "textual", "matplotlib"}
MAX_LINES, MAX_BYTES = 40, 1_000_000
MIN_COMPARED, MIN_COMPARED_OPTIONAL = 5, 3  # optional: with a letter, such as 09b
ABSOLUTE_PATH = re.compile(
    r"(?<![\w/.:])/(home|root|tmp|Users|work|usr|opt)/\w|[A-Z]:\\\\"
)


def project_files(root: Path) -> list[Path]:
    """What belongs to the project: what git does not ignore, or all that is there."""
    if not (root / ".git").exists():
        return sorted(path for path in root.rglob("*") if path.is_file())
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8")
    paths = [root / line for line in result.stdout.splitlines()]
    return [path for path in paths if path.is_file()]


def read_notebooks(root: Path) -> Iterator[tuple[str, NotebookNode]]:
    """Each lesson by its file name, in reading order."""
    for path in export.lessons(root):
        yield path.name, notebook_from_json(path.read_text(encoding="utf-8"))


# The tests look at many copies of the project that differ in one file: what is parsed
# is cached by its content. Nobody may change what these functions return.


@cache
def notebook_from_json(content: str) -> NotebookNode:
    """A notebook, from the content of its file."""
    return nbformat.reads(content, as_version=4)


@cache
def parse_module(source: str) -> ast.Module:
    """The code of a file."""
    return ast.parse(source)


@cache
def parse_cell(source: str) -> ast.Module:
    """The code of a notebook cell, which may await, without its magics."""
    python = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(python, "cell", "exec", flags)


def numbered_outputs(
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
    for name, notebook in read_notebooks(root):
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
    for name, notebook in read_notebooks(root):
        if "widgets" in notebook.metadata:
            faults.append(f"{name}: saved widget state; run `make notebooks`")
        for number, _, output in numbered_outputs(notebook):
            if WIDGET_VIEW in output.get("data", {}):
                faults.append(f"{name}: saved widget view in cell {number}")
    return faults


def no_errors(root: Path) -> list[str]:
    """No cell was saved with an error."""
    return [
        f"{name}: error output {output.ename} in cell {number}"
        for name, notebook in read_notebooks(root)
        for number, _, output in numbered_outputs(notebook)
        if output.output_type == "error"
    ]


def no_absolute_paths(root: Path) -> list[str]:
    """Nothing in a lesson names a folder of the machine that ran it."""
    faults = []
    for name, notebook in read_notebooks(root):
        for number, cell in enumerate(notebook.cells, 1):
            texts = [cell.source]
            for output in cell.get("outputs", []):
                texts.append(output.get("text", ""))
                texts.append(output.get("data", {}).get("text/plain", ""))
            if match := ABSOLUTE_PATH.search("\n".join(texts)):
                faults.append(f"{name}: absolute path {match[0]!r} in cell {number}")
    return faults


def short_cells(root: Path) -> list[str]:
    """No code cell is longer than `MAX_LINES`."""
    return [
        f"{name}: cell {number} has {lines} lines, more than {MAX_LINES}"
        for name, notebook in read_notebooks(root)
        for number, cell in enumerate(notebook.cells, 1)
        if cell.cell_type == "code"
        and (lines := len(cell.source.splitlines())) > MAX_LINES
    ]


def pictures_in_words(root: Path) -> list[str]:
    """Every picture has its words, for screen readers and in text."""
    faults = []
    for name, notebook in read_notebooks(root):
        for number, cell in enumerate(notebook.cells, 1):
            if cell.cell_type == "markdown" and re.search(r"!\[\s*\]\(", cell.source):
                faults.append(f"{name}: picture without alt text in cell {number}")
        for number, _, output in numbered_outputs(notebook):
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


def small_notebooks(root: Path) -> list[str]:
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
        for name, notebook in read_notebooks(root)
        if notebook.metadata.get("kernelspec", {}).get("name") != "python3"
    ]


def directives_on_line_one(root: Path) -> list[str]:
    """`#| export` stands where nbdev sees it."""
    return [
        f"{name}: `#| export` is not on line 1 of the cell that begins {first!r}"
        for name, notebook in read_notebooks(root)
        for first in export.misplaced_directives(notebook)
    ]


def computed_times(root: Path) -> list[str]:
    """A lesson's head has its minutes as they are computed from the lesson."""
    faults = []
    for name, notebook in read_notebooks(root):
        times = TIMES_PATTERN.search(notebook.cells[0].source)
        if not times:
            faults.append(f"{name}: no times in its head")
        elif times[0] != (right := describe_times(notebook, float(times[1]))):
            faults.append(f"{name}: {times[0]!r} in its head should be {right!r}")
    return faults


def enough_compared_outputs(root: Path) -> list[str]:
    """Enough outputs are compared, and none of an exported cell."""
    faults = []
    for name, notebook in read_notebooks(root):
        least = MIN_COMPARED_OPTIONAL if name[2].isalpha() else MIN_COMPARED
        compared = [
            cell
            for cell in notebook.cells
            if cell.source.startswith("# NBVAL_CHECK_OUTPUT") and cell.outputs
        ]
        if len(compared) < least:
            faults.append(
                f"{name}: only {len(compared)} compared outputs of {least} or more"
            )
        if any("NBVAL" in cell for cell in export.exported_cells(notebook)):
            faults.append(f"{name}: an exported cell is also a compared one")
    return faults


def numbers_in_prose_have_a_source(root: Path) -> list[str]:
    """A lesson's code or outputs have its numbers, or a reason is given elsewhere."""
    faults = []
    for name, notebook in read_notebooks(root):
        lesson, _, _ = name.partition("_")
        numbers = [*numbers_in_prose(notebook)]
        known = KNOWN_NUMBERS.get(lesson, {})
        faults += [
            f"{name}: cell {cell} states {number}, which no output above has"
            for cell, number, is_supported in numbers
            if not is_supported and number not in known
        ]
        absent = known.keys() - {number for _, number, _ in numbers}
        faults += [f"{name}: no {number}, as KNOWN_NUMBERS says" for number in absent]
    return faults


# Export


def library_is_the_notebooks(root: Path) -> list[str]:
    """Every module is what its lesson exports."""
    faults = []
    for path in export.lessons(root):
        try:
            fault = export.first_module_difference(path)
        except ValueError as error:
            fault = f"{path.name} cannot be exported: {error}"
        faults += [fault] if fault else []
    return faults


def every_module_has_a_notebook(root: Path) -> list[str]:
    """Each module is exported by one lesson, or is known to be written by hand."""
    faults, exporters = [], defaultdict(list)
    for name, notebook in read_notebooks(root):
        for module in export.exported_module_names(notebook):
            exporters[module].append(name)
            if module in HAND_WRITTEN:
                faults.append(f"{name} exports {module}, which is written by hand")
    faults += [
        f"two notebooks export gpt_lib/{module}.py: {', '.join(names)}"
        for module, names in exporters.items()
        if len(names) > 1
    ]
    for path in sorted((root / "gpt_lib").iterdir()):
        is_known = path.stem in HAND_WRITTEN or path.stem in exporters
        if not is_known and path.name != "__pycache__":
            faults.append(f"no notebook exports gpt_lib/{path.name}")
    return faults


def matching_file_names(root: Path) -> list[str]:
    """A lesson and its first module share a name, each module and its test file too."""
    faults = []
    for name, notebook in read_notebooks(root):
        concept = Path(name).stem.split("_", 1)[1]
        modules = export.exported_module_names(notebook)
        if modules[:1] != [concept]:
            faults.append(f"{name} exports another module than {concept}.py")
        faults += [
            f"tests/lessons/test_{module}.py is missing"
            for module in modules or [concept]
            if not (root / "tests" / "lessons" / f"test_{module}.py").exists()
        ]
    return faults


def exported_modules(root: Path) -> list[str]:
    """The modules of all lessons, in the order in which they may import each other."""
    return [
        name
        for _, book in read_notebooks(root)
        for name in export.exported_module_names(book)
    ]


def modules_import(root: Path) -> list[str]:
    """Import each exported module in one fresh process, as a user of `root` would."""
    names = [f"gpt_lib.{module}" for module in exported_modules(root)]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name)\n"
        "    except Exception as e:\n"
        "        print(f'{name} fails on import: {type(e).__name__}: {e}')\n"
    )
    command = [sys.executable, "-c", program, *names]
    result = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8")
    return result.stdout.splitlines() + result.stderr.splitlines()[-1:]


# Architecture


def imports_of(path: Path, package: str) -> set[str]:
    """What the file at `path`, in the dotted `package`, imports, as dotted names."""
    return imports_in(parse_module(path.read_text(encoding="utf-8")), package)


@cache
def imports_in(tree: ast.Module, package: str) -> set[str]:
    """What code in the dotted `package` imports, as dotted names."""
    names = set()
    for node in ast.walk(tree):
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
    """The parts of gpt_lib that the file at `path` imports: "text", "views", …

    None for a file that is missing, which another rule complains of.
    """
    if not path.exists():
        return set()
    package = ".".join(path.relative_to(root).parent.parts)
    names = imports_of(path, package)
    return {name.split(".")[1] for name in names if name.startswith("gpt_lib.")}


def modules_import_downwards(root: Path) -> list[str]:
    """Lessons import earlier lessons; each part by hand what `MAY_IMPORT` says."""
    order = list(dict.fromkeys(exported_modules(root)))
    library, faults = root / "gpt_lib", []
    for position, name in enumerate(order):
        for other in sorted(imported_parts(library / f"{name}.py", root)):
            if other not in order[:position]:
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


def folders_have_import_rules(root: Path) -> list[str]:
    """Every folder of the library has its arrows."""
    folders = {path.parent for path in (root / "gpt_lib").glob("*/*.py")}
    return [
        f"gpt_lib/{folder.name}/ has no entry in MAY_IMPORT"
        for folder in sorted(folders)
        if folder.name not in MAY_IMPORT
    ]


def notebooks_import_downwards(root: Path) -> list[str]:
    """A notebook imports lessons up to its own; the first one is the front door."""
    faults, modules = [], set()
    for position, (name, notebook) in enumerate(read_notebooks(root)):
        modules |= set(export.exported_module_names(notebook))
        trees = [parse_cell(source) for source in export.code_cell_sources(notebook)]
        names = set().union(*(imports_in(tree, "notebooks") for tree in trees))
        allowed = tuple(
            f"gpt_lib.{part}." for part in (*modules, *NOTEBOOKS_MAY_IMPORT)
        )
        faults += [
            f"{name} must not import {imported}"
            for imported in sorted(names)
            if position and imported.startswith("gpt_lib.")
            if not f"{imported}.".startswith(allowed)
        ]
    return faults


def playground_core_without_ui(root: Path) -> list[str]:
    """What serves every face of the playground imports none."""
    faults = []
    for path in sorted((root / "gpt_lib" / "playground").glob("*.py")):
        for name in sorted(imports_of(path, "gpt_lib.playground")):
            if any(f"{name}.".startswith(f"{other}.") for other in UI_PACKAGES):
                package = ".".join(name.split(".")[: 2 if "gpt_lib" in name else 1])
                faults.append(
                    f"gpt_lib/playground/{path.name} must show nothing, but imports"
                    f" {package}"
                )
    return faults


# Names


def syntax_trees(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Every file of the library and the tests, and every cell, with its name."""
    for folder in ("gpt_lib", "tests"):
        for path in sorted((root / folder).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            yield str(path.relative_to(root)), parse_module(source)
    for name, notebook in read_notebooks(root):
        for number, cell in enumerate(notebook.cells, 1):
            if cell.cell_type == "code":
                yield f"notebooks/{name}, cell {number}", parse_cell(cell.source)


@cache
def find_banned_names(tree: ast.Module) -> tuple[tuple[int, str, str], ...]:
    """Line, name and banned word of each name that is not the field's term."""
    return tuple(
        (line, identifier, word)
        for line, identifier in identifiers(tree)
        if (word := find_banned_word(identifier))
    )


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The names in a piece of code, each with its line; strings are not looked into."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def find_banned_word(identifier: str) -> str | None:
    """What of a name is not the field's term: all of it, or one of its words."""
    if identifier in BANNED_NAMES:
        return identifier
    if identifier.startswith("test_"):  # the name of a test is a sentence
        return None
    words = map(str.lower, re.findall(r"[a-z]+|[A-Z][a-z]*", identifier))
    return next((word for word in words if word in BANNED_NAME_PARTS), None)


def standard_terms(root: Path) -> list[str]:
    """Names are the field's terms. A name is complained of once in a file."""
    terms, faults = BANNED_NAME_PARTS | BANNED_NAMES, {}
    for location, tree in syntax_trees(root):
        for line, identifier, word in find_banned_names(tree):
            where = location if ", cell" in location else f"{location}:{line}"
            fault = f"{where}: {identifier}: say {terms[word]}, not {word}"
            faults.setdefault((location, identifier), fault)
    return list(faults.values())


# README, and the docstring of gpt_lib


def readme_tree_paths(readme: str) -> list[str]:
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
    named = readme_tree_paths((root / "README.md").read_text(encoding="utf-8"))
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
        r"^\| (\d\d[a-z]?) \| \[(.+?)\]\(notebooks/(.+?)\) \| .* \| (`.+`) \|$",
        readme,
        re.MULTILINE,
    )
    on_disk = []
    for name, notebook in read_notebooks(root):
        title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
        modules = ", ".join(
            f"`{each}.py`" for each in export.exported_module_names(notebook)
        )
        on_disk.append((name.split("_")[0], title, name, modules))
    return [
        f"README's lesson table has {row}, which is not on disk"
        for row in rows
        if row not in on_disk
    ] + [f"README's lesson table lacks {row}" for row in on_disk if row not in rows]


def docstring_follows_reading_order(root: Path) -> list[str]:
    """The docstring of gpt_lib lists the modules in their order, with their lessons."""
    docstring = ast.get_docstring(
        ast.parse((root / "gpt_lib" / "__init__.py").read_text(encoding="utf-8"))
    )
    in_docstring = re.findall(r"^ +(\d\d[a-z]?)? +`(\w+)`", docstring, re.MULTILINE)
    on_disk = [
        ("" if position else name.split("_")[0], module)
        for name, notebook in read_notebooks(root)
        for position, module in enumerate(export.exported_module_names(notebook))
    ]
    return [
        f"gpt_lib/__init__.py lists {ours}, on disk there is {theirs}"
        for ours, theirs in zip_longest(in_docstring, on_disk)
        if ours != theirs
    ][:1]


NOTEBOOK_RULES = [
    executed_in_order,
    no_widget_state,
    no_errors,
    no_absolute_paths,
    short_cells,
    pictures_in_words,
    small_notebooks,
    standard_kernel,
    directives_on_line_one,
    enough_compared_outputs,
    numbers_in_prose_have_a_source,
    computed_times,
]
EXPORT_RULES = [
    library_is_the_notebooks,
    every_module_has_a_notebook,
    matching_file_names,
    modules_import,
]
ARCHITECTURE_RULES = [
    modules_import_downwards,
    notebooks_import_downwards,
    folders_have_import_rules,
    playground_core_without_ui,
    standard_terms,
    readme_tree,
    readme_lessons,
    docstring_follows_reading_order,
]

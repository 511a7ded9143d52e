"""Numbers in a lesson's words, and where each comes from.

A number that a lesson states is in an output or in code above it. What comes from
elsewhere (a data sheet, a definition, arithmetic in the same sentence) is listed here,
with the reason. Small whole numbers without a unit are not looked at: they count heads,
lessons and steps.
"""

import ast
import re
from collections.abc import Iterator

from nbformat import NotebookNode

NUMBER = re.compile(r"(?<![\w.,^⁻])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w]|[.,]\d)")
UNIT = re.compile(
    r"\s?(?:[%×]|(?:ms|µs|s|seconds?|minutes?|times|GB|MB|GiB|MiB|KB|nats?|tokens"
    r"|thousand|million|billion|trillion|FLOP)\b)"
)
# Not prose: code, where a link points to, formulas, headings and tables.
NOT_PROSE = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|\$[^$]*\$|^#.*?$|^\|.*?$", re.S | re.M
)
PICTURE = re.compile(r"base64,[^\"]*")
YEARS = range(1900, 2030)

# Lesson -> numbers that no output above has, as they are written -> why that is right.
ARITHMETIC = "arithmetic on the numbers beside it"
KNOWN_NUMBERS: dict[str, dict[str, str]] = {
    "01": {
        "0.17": "measured when the split was chosen (CONTRIBUTING, A claim)",
        "50,000": "GPT-2's vocabulary, rounded",
        "0.6": ARITHMETIC,
        "0.51": ARITHMETIC,
        "256": "the name of a hash",
    },
    "02": {"1000": "an input of the exercise's check"},
    "04": {"0.01": "what the learner is asked to reach"},
    "07": {"256": ARITHMETIC},
    "09": {"1024": ARITHMETIC},
    "09b": {
        "0.20": ARITHMETIC,
        "0.36": ARITHMETIC,
        "0.15": ARITHMETIC,
    },
    "10": {"2.6": "a version of PyTorch"},
    "11": {
        "3.7": ARITHMETIC,
        "65,536": "GradScaler's first scale, 2**16",
        "65,504": "the largest float16",
        "360": ARITHMETIC,
        "4,096": ARITHMETIC,
        "10.8": "the parameters of the lecture's GPT, which lesson 08 counts",
        "2.11": "a version of PyTorch",
        "989": "NVIDIA's data sheet of the H100",
    },
    "12": {
        "8,000": ARITHMETIC,
        "8,256": ARITHMETIC,
        "129": "the position after the last of 128",
        "13": ARITHMETIC,
    },
    "13": {
        "0.85": ARITHMETIC,
        "1.13": ARITHMETIC,
        "3.5": ARITHMETIC,
        "3.54": ARITHMETIC,
        "360": "degrees of a turn",
        "163": ARITHMETIC,
        "38.6": ARITHMETIC,
        "8,320": ARITHMETIC,
        "253": ARITHMETIC,
        "4,225": ARITHMETIC,
    },
    "15": {"253": "counted in lesson 13", "1.47": "nanoGPT's README"},
}


def has_unit(text: str, end: int) -> bool:
    """Whether a unit follows at position `end`."""
    return UNIT.match(text, end) is not None


def stated_numbers(text: str) -> Iterator[str]:
    """The numbers of a text that say a size, a time, a share or a loss."""
    for match in NUMBER.finditer(text):
        number = match[0]
        value = float(number.replace(",", ""))
        if "." not in number and value in YEARS:
            continue
        if "." in number or value >= 100 or has_unit(text, match.end()):
            yield number


def numbers_in(text: str) -> set[float]:
    """Every number of an output or of code."""
    return {float(match[0].replace(",", "")) for match in NUMBER.finditer(text)}


def matches_any(number: str, supported: set[float]) -> bool:
    """Whether one of `supported` rounds to `number`, as itself or as percent."""
    decimals = len(number.partition(".")[2])
    value, half = float(number.replace(",", "")), 0.5001 * 10**-decimals
    return any(
        abs(each - value) <= half or abs(100 * each - value) <= half
        for each in supported
    )


def prediction_calls(source: str) -> Iterator[ast.Call]:
    """The calls of `views.prediction` in a cell."""
    if "views.prediction(" in source:
        for node in ast.walk(ast.parse(source)):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "views.prediction"
            ):
                yield node


def literal_texts(node: ast.AST) -> Iterator[str]:
    """The strings below a node, as written; what an f-string computes is left out."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def prediction_texts(call: ast.Call) -> tuple[str, str]:
    """What a prediction asks, with its wrong choices; and what it claims to be true."""
    arguments = dict(zip(("question", "choices", "answer"), call.args))
    arguments |= {keyword.arg: keyword.value for keyword in call.keywords}
    answer = [*literal_texts(arguments["answer"])]
    asked, claimed = [*literal_texts(arguments["question"])], answer
    if isinstance(choices := arguments["choices"], ast.Dict):
        for choice, explanation in zip(choices.keys, choices.values):
            asked += [text for text in literal_texts(choice) if text not in answer]
            claimed = [*claimed, *literal_texts(explanation)]
    return "\n".join(asked), "\n".join(claimed)


def output_text(cell: NotebookNode) -> str:
    """What a cell printed or showed, in words."""
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        texts += [output.get("text", ""), data.get("text/plain", "")]
        texts.append(PICTURE.sub("", data.get("text/html", "")))
    return "\n".join(texts)


def numbers_in_prose(notebook: NotebookNode) -> Iterator[tuple[int, str, bool]]:
    """The cell, the number, and whether code or an output above has it."""
    predictions = {
        number: [*prediction_calls(cell.source)]
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
    }
    # Settings: a number in code is one wherever it stands, so also below.
    supported = set().union(
        *(
            numbers_in(notebook.cells[number].source)
            for number, calls in predictions.items()
            if not calls
        )
    )
    for number, cell in enumerate(notebook.cells):
        claims, given = "", supported
        if cell.cell_type == "markdown":
            claims = NOT_PROSE.sub("", cell.source)
        elif predictions[number]:
            texts = [prediction_texts(call) for call in predictions[number]]
            given = supported.union(*(numbers_in(asked) for asked, _ in texts))
            claims = "\n".join(claimed for _, claimed in texts)
        else:
            supported |= numbers_in(output_text(cell))
        for stated in stated_numbers(claims):
            yield number, stated, matches_any(stated, given)

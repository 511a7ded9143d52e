"""What the page of the diff explorer shows: a text, and what rules change in it."""

import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import regex

from gpt_lib.views.page import load_page_files
from gpt_lib.views.visible_text import format_count, visible_character, visible_text

PAGE_SOURCES = load_page_files("text_field", "tokens/diff_explorer")
MAX_ROWS, MAX_CHARACTERS = 300, 20_000  # that a page draws before it says where it ends
MAX_PIECE = (
    240  # characters of a piece of a line; the middle of a longer one is left out
)
MAX_PIECES = 100  # of a line
MAX_COMPARED = 500  # lines, or words of a line: the time grows with their square
CONTEXT_LINES = 2  # lines as before that are drawn on each side of a change
REACH = 4  # lines among which a line looks for its new form

SAME, REMOVED, ADDED, FOLDED = " ", "−", "+", "…"  # signs of rows
PLAIN, MARKED, NOTE = "plain", "marked", "note"  # kinds of pieces
RETURN_SIGN = r"⟨\r⟩"  # few fonts have ␍

LINE = regex.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]+")
TOKEN = regex.compile(r"[\r\n]|[\p{L}\p{N}\p{M}_]+|\X")
GRAPHEME = regex.compile(r"\X")
NOT_LETTERS = regex.compile(r"[^\p{L}\p{N}]+")
# Spaces that cannot be seen, or not be counted.
EDGE_SPACES = regex.compile(r"^\s+|\s+\Z|\s{2,}")
# What has no place in a page: control characters, and what turns text around.
CONTROLS = regex.compile(r"(?!\t)[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]")

# A text and the names of rules -> the new text, and name -> number of changes.
Change = Callable[[str, Sequence[str]], tuple[str, dict[str, int]]]
LinePair = tuple[str | None, str | None]  # a line before and after; None: there is none
Position = tuple[int, int]  # in two lists
Part = tuple[slice, slice]  # of two lists
Piece = list[str]  # a kind, and a part of a line as the page shows it


class Row(NamedTuple):
    """A row of the diff: a line, or what stands for several."""

    sign: str
    pieces: list[Piece]
    line_count: int = 1


def diff_explorer_data(
    text: str, change: Change, rules: Mapping[str, str], switched_on: Sequence[str]
) -> dict[str, Any]:
    """The state of the page; see `diff_explorer` for the arguments."""
    if not rules:
        raise ValueError("diff_explorer needs at least one rule")
    if unknown := [name for name in switched_on if name not in rules]:
        raise ValueError(f"switched_on has {unknown[0]!r}; the rules are {[*rules]}")
    names = [name for name in rules if name in switched_on]
    after, numbers = change(text, names)
    counts = {name: numbers.get(name, 0) for name in names}
    return {
        "counts": [
            format_count(counts[name], "change") if name in counts else ""
            for name in rules
        ],
        "rows": [
            {"sign": row.sign, "pieces": row.pieces} for row in diff_rows(text, after)
        ],
        "summary": describe_changes(text, after, counts, len(rules)),
    }


def describe_changes(
    text: str, after: str, counts: Mapping[str, int], rule_count: int
) -> str:
    """Which rules changed how much, and what became of the text."""
    rules = format_count(rule_count, "rule")
    if not counts:
        return f"None of {rules} is on. The text stays as it is."
    each = [f"{name} {count:,}" for name, count in counts.items() if count]
    changes = format_count(sum(counts.values()), "change")
    changes += f": {', '.join(each)}" if each else ""
    size = f"has {format_count(len(after), 'character')}; before it had {len(text):,}"
    result = "stays as it is" if after == text else size
    verb = "is" if len(counts) == 1 else "are"
    return f"{len(counts)} of {rules} {verb} on, {changes}. The text {result}."


# The diff by line


def diff_rows(text: str, after: str) -> list[Row]:
    """The diff of two texts, as much of it as a page draws."""
    lines, new_lines = LINE.findall(text), LINE.findall(after)
    rows, size = [], 0
    for row in rows_of_pairs(compare_lines(lines, new_lines)):
        if len(rows) == MAX_ROWS or size > MAX_CHARACTERS:
            break
        rows.append(row)
        size += sum(len(part) for _, part in row.pieces)
    done = sum(row.line_count for row in rows if row.sign != ADDED)
    new_done = sum(row.line_count for row in rows if row.sign != REMOVED)
    if (done, new_done) != (len(lines), len(new_lines)):
        note = f"The diff ends here, after line {done:,} of {len(lines):,}."
        rows.append(Row(FOLDED, [[NOTE, note]], 0))
    return rows


def compare_lines(lines: Sequence[str], new_lines: Sequence[str]) -> Iterator[LinePair]:
    """The lines of two texts in pairs, in their order."""
    keys, new_keys = [*map(line_key, lines)], [*map(line_key, new_lines)]
    for part, new_part in match_parts(keys, new_keys):
        yield from pair_lines(lines[part], new_lines[new_part])


def line_key(line: str) -> str:
    """What most changes leave of a line: its letters and digits, or all but spaces."""
    letters = unicodedata.normalize("NFKD", line).casefold()
    return NOT_LETTERS.sub("", letters) or line.strip()


def match_parts(items: Sequence[str], new_items: Sequence[str]) -> list[Part]:
    """The parts of two lists that correspond: equal ones, and those between them."""
    is_short = max(len(items), len(new_items)) <= MAX_COMPARED
    anchors = [] if is_short else find_anchors(items, new_items)
    ends = [(0, 0), *anchors, (len(items), len(new_items))]
    parts = []
    for (start, new_start), (stop, new_stop) in pairwise(ends):
        segment, new_segment = items[start:stop], new_items[new_start:new_stop]
        for part, new_part in match_segments(segment, new_segment):
            parts.append((shift(part, start), shift(new_part, new_start)))
    return parts


def find_anchors(items: Sequence[str], new_items: Sequence[str]) -> list[Position]:
    """Where both lists have what each has once, as far as it is in one order.

    The longest sequence that rises in both is found by patience sorting, as by
    `git diff --patience`.
    """
    positions, new_positions = find_unique(items), find_unique(new_items)
    tops, heights, below = [], [], {}
    for item, at in positions.items():
        if item not in new_positions:
            continue
        pair = at, new_positions[item]
        pile = bisect_left(heights, pair[1])
        below[pair] = tops[pile - 1] if pile else None
        heights[pile : pile + 1], tops[pile : pile + 1] = [pair[1]], [pair]
    anchors, pair = [], tops[-1] if tops else None
    while pair:
        anchors.append(pair)
        pair = below[pair]
    return anchors[::-1]


def find_unique(items: Sequence[str]) -> dict[str, int]:
    """Item -> its position, for each that occurs once, in their order."""
    counts = Counter(items)
    return {item: at for at, item in enumerate(items) if counts[item] == 1}


def match_segments(segment: Sequence[str], new_segment: Sequence[str]) -> list[Part]:
    """As `match_parts`, but what is beyond `MAX_COMPARED` items is one part."""
    compared = segment[:MAX_COMPARED], new_segment[:MAX_COMPARED]
    opcodes = SequenceMatcher(None, *compared).get_opcodes()
    parts = [(slice(i1, i2), slice(j1, j2)) for _, i1, i2, j1, j2 in opcodes]
    rest = slice(len(compared[0]), len(segment))
    new_rest = slice(len(compared[1]), len(new_segment))
    return [*parts, (rest, new_rest)]


def shift(part: slice, by: int) -> slice:
    """A part of a list that begins so much later."""
    return slice(part.start + by, part.stop + by)


def common_length(items: Sequence[str], new_items: Sequence[str]) -> int:
    """With how many equal items two lists begin."""
    pairs = enumerate(zip(items, new_items))
    shortest = min(len(items), len(new_items))
    return next((at for at, (item, other) in pairs if item != other), shortest)


def pair_lines(lines: Sequence[str], new_lines: Sequence[str]) -> Iterator[LinePair]:
    """Lines and what they became; one that has nothing similar stands alone."""
    if len(lines) == len(new_lines):
        yield from zip(lines, new_lines)
        return
    begin = 0
    for line in lines:
        within_reach = new_lines[begin : begin + REACH]
        similar = [at for at, new in enumerate(within_reach) if are_similar(line, new)]
        if not similar:
            yield line, None
            continue
        yield from ((None, new) for new in within_reach[: similar[0]])
        yield line, within_reach[similar[0]]
        begin += similar[0] + 1
    yield from ((None, new) for new in new_lines[begin:])


def are_similar(line: str, new_line: str) -> bool:
    """Whether half of the words of one line, at least, are in the other."""
    words, new_words = (
        {*regex.findall(r"\w+", each.casefold())} for each in (line, new_line)
    )
    fewer = min(len(words), len(new_words))
    return 0 < fewer <= 2 * len(words & new_words)


def rows_of_pairs(pairs: Iterable[LinePair]) -> Iterator[Row]:
    """The rows of the diff; they are computed as they are needed."""
    for is_same, run in groupby(pairs, key=lambda pair: pair[0] == pair[1]):
        if is_same:
            yield from same_rows([line for line, _ in run])
            continue
        for line, new_line in run:
            yield from changed_rows(line, new_line)


def same_rows(lines: Sequence[str]) -> list[Row]:
    """Lines as before: all of a few; of more, the first, the last and their number."""
    first, last = lines[:CONTEXT_LINES], lines[-CONTEXT_LINES:]
    folded = len(lines) - len(first) - len(last)
    if folded < 2:
        return [Row(SAME, make_pieces(line, PLAIN)) for line in lines]
    note = f"{folded:,} lines as before"
    return [
        *(Row(SAME, make_pieces(line, PLAIN)) for line in first),
        Row(FOLDED, [[NOTE, note]], folded),
        *(Row(SAME, make_pieces(line, PLAIN)) for line in last),
    ]


# The diff within a line


def changed_rows(line: str | None, new_line: str | None) -> list[Row]:
    """A line as it was and as it became, or one of the two."""
    if line is None:
        return [Row(ADDED, make_pieces(new_line, MARKED))]
    if new_line is None:
        return [Row(REMOVED, make_pieces(line, MARKED))]
    parts = compare_words(line, new_line)
    kinds = [PLAIN if part == new_part else MARKED for part, new_part in parts]
    return [
        Row(REMOVED, line_pieces(line, [part for part, _ in parts], kinds)),
        Row(ADDED, line_pieces(new_line, [part for _, part in parts], kinds)),
    ]


def compare_words(line: str, new_line: str) -> list[tuple[str, str]]:
    """Two lines in parts that are by turns equal and different, beginning to end."""
    tokens, new_tokens = TOKEN.findall(line), TOKEN.findall(new_line)
    pairs = []
    for part, new_part in match_parts(tokens, new_tokens):
        pairs += split_pair("".join(tokens[part]), "".join(new_tokens[new_part]))
    runs = groupby(filter(any, pairs), key=lambda pair: pair[0] == pair[1])
    return [tuple(map("".join, zip(*run))) for _, run in runs]


def split_pair(part: str, new_part: str) -> list[tuple[str, str]]:
    """How two parts begin alike, how they differ, and how they end alike.

    They are split between characters as a reader sees them, such as é and 👍🏽, which
    can be several of Python's.
    """
    letters, new_letters = GRAPHEME.findall(part), GRAPHEME.findall(new_part)
    begin = common_length(letters, new_letters)
    rest, new_rest = letters[begin:], new_letters[begin:]
    end = common_length(rest[::-1], new_rest[::-1])
    stop, new_stop = len(rest) - end, len(new_rest) - end
    pairs = [
        (letters[:begin], letters[:begin]),
        (rest[:stop], new_rest[:new_stop]),
        (rest[stop:], rest[stop:]),
    ]
    return [("".join(old), "".join(new)) for old, new in pairs]


def line_pieces(line: str, parts: Sequence[str], kinds: Sequence[str]) -> list[Piece]:
    """The first parts of a line, and how much of it comes after them."""
    pieces = []
    for part, kind in zip(parts[:MAX_PIECES], kinds):
        pieces += make_pieces(part, kind)
    if rest := len(line) - sum(map(len, parts[:MAX_PIECES])):
        pieces.append([NOTE, f"… {format_count(rest, 'more character')}"])
    return pieces


def make_pieces(part: str, kind: str) -> list[Piece]:
    """A part of a line as a page shows it, without its middle if it is long."""
    show = visible_change if kind == MARKED else visible_line
    left_out = len(part) - MAX_PIECE
    if left_out <= 0:
        text = show(part)
        return [[kind, text]] if text else []
    head, tail = part[: MAX_PIECE // 2], part[-MAX_PIECE // 2 :]
    note = f" … {format_count(left_out, 'character')} … "
    return [[kind, show(head)], [NOTE, note], [kind, show(tail)]]


# What cannot be seen


def visible_line(text: str) -> str:
    """What did not change: as it is, without its line end; controls have signs."""
    return CONTROLS.sub(lambda found: visible_sign(found[0]), text.rstrip("\r\n"))


def visible_change(text: str) -> str:
    """What changed, with signs for all that a reader could not see or count."""
    text = EDGE_SPACES.sub(lambda found: visible_text(found[0]), text)
    return "".join(map(visible_grapheme, GRAPHEME.findall(text)))


def visible_grapheme(grapheme: str) -> str:
    """Signs for one that cannot be seen; a joiner within an emoji stays as it is."""
    if grapheme == " " or visible_sign(grapheme[0]) == grapheme[0]:
        return grapheme
    return "".join(map(visible_sign, grapheme))


def visible_sign(character: str) -> str:
    """A sign, or its code, for a space, a control, or a mark that stands alone."""
    sign = visible_character(character)
    if sign != character or unicodedata.category(character)[0] not in "CMZ":
        return sign
    return RETURN_SIGN if character == "\r" else f"⟨U+{ord(character):04X}⟩"

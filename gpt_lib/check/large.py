"""The exercises of lesson 17b."""

from collections.abc import Callable, Sequence

from gpt_lib.check.exercise import Exercise


def reference_jaccard(a: set, b: set) -> float:
    """Solution: what is common, of all that there is."""
    return len(a & b) / len(a | b) if a | b else 0.0


def mistake_fraction_of_the_smaller(a: set, b: set) -> float:
    """Mistake: a small set that lies within a large one counts as equal to it."""
    return len(a & b) / max(1, min(len(a), len(b)))


def mistake_common_counted_twice(a: set, b: set) -> float:
    """Mistake: what is common is counted in both sets."""
    return len(a & b) / max(1, len(a) + len(b))


jaccard = Exercise(
    solution=reference_jaccard,
    inputs=lambda: [
        ({1, 2, 3}, {2, 3, 4}),
        ({1, 2, 3, 4}, {1}),
        ({1, 2}, {3}),
        ({5, 6, 7}, {7, 6, 5}),
        (set(), {1, 2}),
        (set(), set()),
    ],
    mistakes={
        "of the first": (
            lambda a, b: len(a & b) / max(1, len(a)),
            "You divide by the size of the first set. Then the two sets do not count"
            " alike: divide by all that are in either.",
        ),
        "of the smaller": (
            mistake_fraction_of_the_smaller,
            "You divide by the smaller set. A sentence that stands in a book would be"
            " the whole book.",
        ),
        "counted twice": (
            mistake_common_counted_twice,
            "You divide by both sizes together, which counts what is common twice:"
            " equal sets would have one half in common.",
        ),
        "a number": (
            lambda a, b: len(a & b),
            "That is how many they have in common. A fraction is asked for.",
        ),
        "what differs": (
            lambda a, b: len(a ^ b) / max(1, len(a | b)),
            "That is the fraction in which they *differ*.",
        ),
        "empty sets": (
            lambda a, b: len(a & b) / len(a | b),
            "Of two empty sets the union is empty, too, and you divide by zero: they"
            " have 0 in common.",
        ),
    },
    praise="from 0, nothing in common, to 1, all.",
    errors={"empty sets": "division by zero"},
)


def reference_cut(text: str, position: int) -> int:
    """Solution: white space after something else."""
    for at in range(max(position, 1), len(text)):
        if text[at].isspace() and not text[at - 1].isspace():
            return at
    return len(text)


def cut_where(
    may_cut: Callable[[str, int], bool], end: Callable[[str], int] = len
) -> Callable[[str, int], int]:
    """The first place from a position on where a text may be cut."""

    def mistake_of_the_place(text: str, position: int) -> int:
        places = range(max(position, 1), len(text))
        return next((at for at in places if may_cut(text, at)), end(text))

    return mistake_of_the_place


def cut_inputs() -> list[tuple[str, int]]:
    """A cut in the middle of a word, of white space, at a cut, and none."""
    return [
        ("one two three", 5),
        ("a  \n b c", 2),
        ("one two", 3),
        ("onetwothree", 4),
        (" one", 0),
        ("end of it \n", 9),
        ("one\ttwo three", 2),
    ]


cut = Exercise(
    solution=reference_cut,
    inputs=cut_inputs,
    mistakes={
        "any white space": (
            cut_where(lambda text, at: text[at].isspace()),
            "You cut within white space. `\\n\\n` may be one token: the character"
            " before must be something else.",
        ),
        "behind the space": (
            cut_where(
                lambda text, at: text[at - 1].isspace() and not text[at].isspace()
            ),
            "You cut *behind* the white space. A space belongs to the word after it:"
            " ` two` is one token.",
        ),
        "spaces alone": (
            cut_where(lambda text, at: text[at] == " " and text[at - 1] not in " \n\t"),
            "Only a space counts for you. A tab or a new line is white space, too.",
        ),
        "backwards": (
            lambda text, position: next(
                (
                    at
                    for at in range(position, 0, -1)
                    if at < len(text) and text[at].isspace()
                    if not text[at - 1].isspace()
                ),
                len(text),
            ),
            "You look back from the position. The next place *from* it is asked for.",
        ),
        "from the beginning": (
            lambda text, _: reference_cut(text, 0),
            "You look from the beginning of the text, and not from `position` on.",
        ),
        "after the position": (
            lambda text, position: reference_cut(text, position + 1),
            "The position itself may be a place to cut, and you begin behind it.",
        ),
        "minus one": (
            cut_where(
                lambda text, at: text[at].isspace() and not text[at - 1].isspace(),
                end=lambda _: -1,
            ),
            "Where there is no such place, the end of the text is asked for, not -1.",
        ),
    },
    praise="no token goes on over that place.",
)

IsCopy = Callable[[str, str], bool]


def are_alike(a: str, b: str) -> bool:
    """Whether all but one word of two texts is the same."""
    first, second = a.split(), b.split()
    return len(first) == len(second) and sum(map(str.__ne__, first, second)) <= 1


def reference_without_copies(
    train: Sequence[str], test: Sequence[str], is_copy: IsCopy
) -> list[str]:
    """Solution: each training text against each test text."""
    return [a for a in train if not any(is_copy(a, b) for b in test)]


def mistake_copies_within_training(
    train: Sequence[str], test: Sequence[str], is_copy: IsCopy
) -> list[str]:
    """Mistake: copies of other training texts go, and those of test texts stay."""
    return [a for n, a in enumerate(train) if not any(is_copy(a, b) for b in train[:n])]


def without_copies_inputs() -> list[tuple[list[str], list[str], IsCopy]]:
    """Copies that are exact, that are near, of each other, and none."""
    return [
        (["a b c", "d e f", "a b x"], ["a b c"], are_alike),
        (["d e f", "g h i"], ["g h j", "k l m"], are_alike),
        (["n o p", "n o q", "r s t"], ["u v w", "r s t"], are_alike),
        (["a b c", "d e f"], [], are_alike),
        (["n o p", "x y z"], ["n o p", "n o q"], are_alike),
    ]


without_copies = Exercise(
    solution=reference_without_copies,
    inputs=without_copies_inputs,
    mistakes={
        "exact copies only": (
            lambda train, test, is_copy: [a for a in train if a not in test],
            "Near-copies stay: one word was changed, and you ask whether the texts are"
            " equal. Ask `is_copy`.",
        ),
        "test is cleaned": (
            lambda train, test, is_copy: reference_without_copies(test, train, is_copy),
            "You gave back test texts. The test part stays as it is, or results could"
            " not be compared: it is the training part that loses.",
        ),
        "within training": (
            mistake_copies_within_training,
            "You looked for copies among the training texts. Those do no harm to the"
            " test: compare with the *test* texts.",
        ),
        "the copies": (
            lambda train, test, is_copy: [
                a for a in train if any(is_copy(a, b) for b in test)
            ],
            "Those are the copies. What is *not* a copy is asked for.",
        ),
        "first test text": (
            lambda train, test, is_copy: reference_without_copies(
                train, test[:1], is_copy
            ),
            "You compared with the first test text only.",
        ),
        "copy of all": (
            lambda train, test, is_copy: [
                a for a in train if not all(is_copy(a, b) for b in test)
            ],
            "You take away what is a copy of *all* test texts. One is enough.",
        ),
        "both must be alike in place": (
            lambda train, test, is_copy: [
                a
                for n, a in enumerate(train)
                if n >= len(test) or not is_copy(a, test[n])
            ],
            "You compared the texts at equal places. A copy may stand anywhere.",
        ),
    },
    praise="no training text has a copy in the test.",
)

"""Text as a page shows it: spaces and line breaks have signs, numbers have units."""


def visible_character(character: str) -> str:
    """A sign for a character that a reader could not see: space, new line, tab."""
    return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(character, character)


def visible_text(text: str) -> str:
    """Text whose spaces and line breaks can be seen."""
    return "".join(map(visible_character, text))


def format_count(number: int, noun: str) -> str:
    """A number with its noun, such as "1 token" and "2,000 tokens"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def format_percent(fraction: float) -> str:
    """A fraction, such as a probability, in percent; never rounded down to 0."""
    return "<0.1 %" if 0 < fraction < 0.001 else f"{100 * fraction:.1f} %"

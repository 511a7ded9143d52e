"""Faults to plant in a copy of the project, each with the tests that must notice it.

They are plain data, in a .toml file for each area. A fault that nobody notices is a gap
in the tests: see `python -m tests.planted_faults --help`.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

AREAS = (
    "export",
    "notebooks",
    "architecture",
    "exercises",
    "library",
    "checkpoints",
    "commands",
    "corpus",
    "views",  # last: some need a browser
)


@dataclass(frozen=True)
class Fault:
    """A change for the worse, in one file."""

    area: str
    name: str
    what: str  # in words, so that it can be planted again where the code has changed
    file: str
    old: str  # it stands `count` times in the file; the first is replaced
    new: str
    caught_by: list[str]  # arguments of pytest: the quickest selection that must fail
    count: int = 1

    def plant(self, root: Path) -> None:
        """Put the fault into the project at `root`.

        Raises:
            ValueError: the file has changed, and `old` is not there as it should be.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if (count := text.count(self.old)) != self.count:
            raise ValueError(
                f"{self.name}: `old` stands {count} times in {self.file}, not"
                f" {self.count}: plant this fault where the code is now"
            )
        path.write_text(text.replace(self.old, self.new, 1), encoding="utf-8")


def read_faults(area: str) -> list[Fault]:
    """The faults of an area."""
    path = Path(__file__).with_name(f"{area}.toml")
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    return [Fault(area, **row) for row in rows]


FAULTS = [fault for area in AREAS for fault in read_faults(area)]

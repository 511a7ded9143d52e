"""`python -m gpt_lib.experiments.bench`: every part of the benchmark, or those named.

Each part is saved in data/results/bench.json as soon as it is complete.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from gpt_lib.data import DATA
from gpt_lib.experiments.bench import command_latency, corpus, tokenizers, training
from gpt_lib.experiments.bench.comparison import Comparison, print_comparison
from gpt_lib.experiments.bench.generation import generation_chart, generation_rows
from gpt_lib.experiments.bench.peers import peer_versions
from gpt_lib.experiments.results import save_bench_rows

# What is compared with peers, each comparison a row.
COMPARISONS: dict[str, Callable[[], Iterator[Comparison]]] = {
    "bigram": training.compare_trainer_with_plain_loop,
    "step": training.compare_float32_steps,
    "mixed-precision": training.compare_16_bit_step_with_peers,
    "memory": training.compare_memory,
    "loss": training.compare_validation_loss,
    "tokens": tokenizers.compare_tokenizers,
    "loaders": corpus.compare_loaders,
}
# What gives rows of its own.
MEASUREMENTS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "profile": training.profile_training_steps,
    "step-variants": training.time_step_functions,
    "generation": generation_rows,
    "corpus": corpus.corpus_rows,
}
PART_NAMES = (*COMPARISONS, *MEASUREMENTS)
# What the README shows; it has their descriptions as well, and a test compares them.
PICTURES = {"generation": generation_chart}


def measure_part(part: str) -> list[dict[str, Any]]:
    """The rows of a part, measured now."""
    if part in COMPARISONS:
        return list(map(print_comparison, COMPARISONS[part]()))
    return list(MEASUREMENTS[part]())


def main() -> None:
    """Measure, print, save each part when it is complete, and draw."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("parts", nargs="*", help=", ".join((*PART_NAMES, "command")))
    parts = parser.parse_args().parts or [*PART_NAMES, "command"]
    if unknown := set(parts) - {*PART_NAMES, "command"}:
        parser.error(
            f"no part {min(unknown)!r}: there are {', '.join((*PART_NAMES, 'command'))}"
        )
    for part in parts:
        if part == "command":
            command_latency.main()  # which has a file of its own
        else:
            save_bench_rows(part, measure_part(part), peers=peer_versions())
    for name, draw in PICTURES.items():
        (DATA / "pictures" / f"{name}.png").write_bytes(draw().png)


if __name__ == "__main__":
    main()

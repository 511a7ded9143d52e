"""Have the files of the course in place, and say so: part of `make lab`.

The first text alone; with `--all`, every file that a lesson or a test reads.
"""

import sys

from gpt_lib.data import PUBLIC_TEXTS, load_text


def main() -> None:
    """Fetch what is not there yet, and verify it either way."""
    try:
        text = load_text("tinyshakespeare")
        print(f"Tiny Shakespeare: {len(text):,} characters, verified by its sha256")
        if "--all" in sys.argv:
            from gpt_lib.corpus import load_sotu_entries
            from gpt_lib.tokens import gpt2_tokenizer

            for name in PUBLIC_TEXTS:
                load_text(name)
            load_sotu_entries()
            print(f"{', '.join(PUBLIC_TEXTS)}: verified alike")
            print(f"GPT-2's tokens: {gpt2_tokenizer().vocab_size:,}, verified alike")
    except ConnectionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

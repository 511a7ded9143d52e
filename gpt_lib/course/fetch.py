"""Have the course's first text in place, and say so: part of `make lab`."""

import sys

from gpt_lib.data import load_text


def main() -> None:
    """Fetch Tiny Shakespeare unless it is there, and verify it either way."""
    try:
        text = load_text("tinyshakespeare")
    except ConnectionError as error:
        sys.exit(str(error))
    print(f"Tiny Shakespeare: {len(text):,} characters, verified by its sha256")


if __name__ == "__main__":
    main()

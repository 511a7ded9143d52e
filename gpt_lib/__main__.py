"""`gpt-lib` and `python -m gpt_lib`: the command line, in a world that may be broken.

Streams may be closed, full, or unable to show a character; Ctrl-C may come at any time.
"""

import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command that was typed."""
    prepare_streams()
    try:
        from gpt_lib.cli import app  # here: Ctrl-C may come while it is imported

        app(prog_name="gpt-lib")
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell says of a program that Ctrl-C ended
    except OSError as error:
        with suppress(OSError):
            print(f"gpt-lib: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        flush_streams()


def prepare_streams() -> None:
    """A closed stream becomes an empty one; what cannot be shown becomes a "?"."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="replace" if mode == "w" else "strict")


def flush_streams() -> None:
    """Write what is left; where that fails, the error is printed only once."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()

"""The files and the numbers of a live page: neither needs ipywidgets or matplotlib.

A live view is made of a module `NAME_data.py`, which computes what its page shows, as
a dict of JSON types, and loads the page's files; of these, `NAME.js` and `NAME.css`;
and of `NAME.py`, with a widget that carries the dict to the page. To serve pages
without Jupyter the first two are enough, with a `model` for the page that has `get`,
`set`, `on`, `off`, `save_changes` and `send` (https://anywidget.dev/en/afm).
"""

import base64
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

FOLDER = Path(__file__).parent


class PageFiles(NamedTuple):
    """The files of a page, as text."""

    script: str  # a JavaScript module whose default export has `render({model, el})`
    style: str  # CSS


def load_page_files(*names: str, extra_css: str = "") -> PageFiles:
    """The page that some files make together, after `page_helpers.js` and `.css`.

    Args:
        names: files in this folder, without their suffix; each has a `.js`, and a
            `.css` if it needs one. The last exports `render`.
        extra_css: further CSS.
    """
    paths = [FOLDER / name for name in ("page_helpers", *names)]
    scripts = [path.with_suffix(".js").read_text(encoding="utf-8") for path in paths]
    sheets = [path.with_suffix(".css") for path in paths]
    styles = [sheet.read_text(encoding="utf-8") for sheet in sheets if sheet.exists()]
    return PageFiles("\n".join(scripts), "\n".join([*styles, extra_css]))


def encode_floats(values: ArrayLike) -> str:
    """Numbers as float32, row after row, in base64: JSON has no NaN and no infinity.

    `floatsOf` in page_helpers.js reads them.
    """
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def error_message(error: Exception) -> str:
    """What a page says of an error: that a text cannot be read is said as it is."""
    if isinstance(error, ValueError):
        return str(error)
    return f"{type(error).__name__}: {error}"

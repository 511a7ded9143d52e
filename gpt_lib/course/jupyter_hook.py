"""What JupyterLab saves of a view: its fallback, not the live widget.

A saved widget cannot be revived without its kernel: a reopened notebook would show an
error in its place. So this small server extension, enabled by jupyter_hook.json, drops
the widget from every output that has a static picture or text as well.
"""

from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def keep_only_fallbacks(model: dict[str, Any], **_: Any) -> None:
    """A pre-save hook of Jupyter: leaves only fallbacks in a notebook's content."""
    if model["type"] != "notebook" or not model.get("content"):
        return
    for cell in model["content"]["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                data.pop(WIDGET_VIEW, None)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "gpt_lib.course.jupyter_hook"}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(keep_only_fallbacks)
    # Extensions such as jupytext replace the contents manager by one of their own.
    server.config.ContentsManager.setdefault(
        "pre_save_hook", f"{__name__}.keep_only_fallbacks"
    )

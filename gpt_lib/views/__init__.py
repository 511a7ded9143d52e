"""Pictures and widgets. They take numbers and strings and know no lesson."""

from importlib import import_module
from typing import Any

MODULES = {  # public name -> the module that defines it, imported at first use
    "HtmlPanel": "picture",
    "Picture": "picture",
    "TreeNode": "tokens.token_tree_data",
    "WidgetWithFallback": "picture",
    "attention_map": "attention.attention_map",
    "attention_mixer": "attention.attention_mixer",
    "attention_steps": "attention.attention_steps",
    "bar_chart": "charts.basic",
    "bigram_table": "tokens.bigram_table",
    "diff_explorer": "tokens.diff_explorer",
    "heatmap": "charts.basic",
    "line_chart": "charts.basic",
    "loss_curve": "charts.loss_curve",
    "loss_heatmap": "tokens.loss_heatmap",
    "loss_ladder": "charts.loss_ladder",
    "merge_explorer": "tokens.merge_explorer",
    "next_token": "tokens.next_token",
    "context_target_table": "questions.context_target_table",
    "picture_of_probabilities": "tokens.next_token",
    "prediction": "questions.prediction",
    "roofline_chart": "charts.roofline_chart",
    "sampling_explorer": "tokens.sampling_explorer",
    "generated_text": "tokens.generated_text",
    "token_columns": "tokens.token_columns",
    "token_tree": "tokens.token_tree",
    "train_and_plot": "charts.loss_curve",
    "training_scrubber": "charts.training_scrubber",
    "visible_character": "visible_text",
}
__all__ = sorted(MODULES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562).

    So a module that only computes what a page shows can be imported without ipywidgets
    and matplotlib.
    """
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]

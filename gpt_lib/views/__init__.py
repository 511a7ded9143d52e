"""Pictures and widgets. They take numbers and strings and know no lesson."""

from gpt_lib.views.attention import attention_map
from gpt_lib.views.charts import bars, curves, grid
from gpt_lib.views.heat import heat_text
from gpt_lib.views.ladder import ladder
from gpt_lib.views.loss import loss_curve, watch
from gpt_lib.views.mixer import mixer
from gpt_lib.views.picture import Panel, Picture, View, visible
from gpt_lib.views.playground import Playground
from gpt_lib.views.predict import predict
from gpt_lib.views.table import pair_table
from gpt_lib.views.text import questions

__all__ = [
    "Panel",
    "Picture",
    "Playground",
    "View",
    "attention_map",
    "bars",
    "curves",
    "grid",
    "heat_text",
    "ladder",
    "loss_curve",
    "mixer",
    "pair_table",
    "predict",
    "questions",
    "visible",
    "watch",
]

"""A GPT in small steps: every module is one lesson, exported from its notebook.

Reading order, which is also the order in which a module may import another:

 1. `device`       where tensors live, and whether that place computes right
 2. `text`         text as numbers: data, tokenizer, batches, and losses to compare with
 3. `bigram`       the smallest language model, counted and trained
 4. `training`     one trainer and one evaluator for every model of the course
 5. `averaging`    three equal ways to look back, and the causal softmax that stays
 6. `attention`    one head, and the test that no model sees the future
 7. `heads`        many heads computed as one, and positions
 8. `block`        communicate, then compute, on a residual stream
 9. `gpt`          the whole model, its config, and what it expected of a text
10. `generation`   from logits to text: sampling, streams, beams
11. `checkpoints`  a run on disk: written whole, read without trust, resumed exactly
12. `speed`        what a machine can do, and a recipe for a faster step
13. `cache`        what was read once is not read again
14. `modern`       today's parts, each with a switch
15. `muon`         AdamW and Muon written out, and training by the clock

Beside them, written by hand: `catalog` (every model by name), `check` (exercises that
name the mistake), `views` (pictures and widgets), `playground` (writing with models, in
a notebook and in a terminal), `cli` (the command `gpt-lib`), `course` (from notebook to
library) and `experiments` (what fills `data/results`).
"""

"""A GPT in small steps: each module is exported from the notebook of one lesson.

Reading order, which is also the order in which a module may import another:

Part I, Start
    00  `device`       where tensors live, and whether that device computes right
    01  `text`         text as numbers: tokenizers, batches, baseline losses
        `data`         where texts come from, and the parts that a training reads
    02  `bigram`       the smallest language model, counted and trained
    03  `training`     one trainer and one evaluator for every model of the course
Part II, The transformer
    04  `averaging`    three equal ways to look back, and the causal softmax that stays
    05  `attention`    one head, and the test that no model sees the future
    06  `heads`        many heads computed as one, and positions
    07  `block`        communicate, then compute, on a residual stream
    08  `gpt`          the whole model, its config, and what it expected of a text
Part III, Writing and keeping
    09  `generation`   from logits to text: sampling, stopping, streaming
    09b `beam`         optional: the likeliest text, by beam search
    10  `checkpoints`  a model on disk: written atomically, read without trust
        `runs`         a training run with a name: saved as it goes, resumed exactly
Part IV, Fast
    11  `speed`        what a machine can do, and a faster training step
    12  `cache`        the KV cache: no key or value is computed twice
    12b `compiled`     optional: a decoding step without Python
Part V, Better
    13  `modern`       RoPE, RMSNorm, QK-norm, GQA and more, each with a switch
    14  `muon`         AdamW and Muon written out
    15  `race`         an n-gram model inside a GPT, and training by the clock
Part VI, Real tokens, real weights
    16  `tokens`       a vocabulary learned by counting pairs, and GPT-2's own
    17  `corpus`       documents from files, and the batches that are made of them
        `cleaning`     rules that clean a text, each with a name and a count
        `stopping`     training that ends when it gets no better
    17b `large`        optional: texts larger than memory, tokenized into a file
        `copies`       near-duplicates, by MinHash

Written by hand: `prepare` (a text as it is trained on), `pretrained_files` (where what
others have trained comes from), `catalog` (every model by name), `check` (exercises
that name the mistake), `views` (pictures and widgets), `playground` (writing with
models, in a notebook and in a terminal), `cli` (the command `gpt-lib`), `course` (from
notebook to library, and the rules of the house) and `experiments` (what fills
data/results).
"""

"""Words that this library does not use, each with the field's standard term for it.

Whoever knows nanoGPT must be able to read this code without a dictionary, and whoever
learned here must be able to read nanoGPT. The rule `standard_terms` holds it.
"""

# Looked for as a part of names, too: "chances" in next_chances.
BANNED_NAME_PARTS = {
    "dice": "generator",
    "luck": "uniform",
    "chance": "probability",
    "chances": "probabilities",
    "surprise": "surprisal",
    "share": "fraction",
    "told": "message, label or line",
    "kept": "what it is, such as kv_cache or beams",
    "shown": "what it is, such as options",
    "noted": "captured or exported",
    "tidy": "prune",
    "twin": "fallback",
    "twins": "fallbacks",
    "loudness": "scale or rms",
    "roof": "roofline",
}
# Looked for as a whole: they are good English in other names.
BANNED_NAMES = {
    "checked": "what it is, or a verb",
    # device, text, bigram
    "choose_device": "resolve_device",
    "distrust": "reason_to_distrust",
    "TEXTS": "PUBLIC_TEXTS",
    "entropy_lines": "baseline_losses",
    "write_diary": "generate_toy_diary",
    "count_pairs": "bigram_counts",
    "pair_probabilities": "bigram_probabilities",
    # training
    "evaluating": "eval_mode",
    "gradient_length": "gradient_norm",
    "final_share": "final_lr_fraction",
    "set_rate": "set_learning_rate",
    "Progress": "TrainingState",
    "Record": "StepRecord",
    # attention, heads, block, gpt
    "OneHead": "OneHeadModel",
    "MultiHead": "MultiHeadAttention",
    "ManyHeads": "MultiHeadModel",
    "OneBlock": "OneBlockModel",
    "query_key_value": "qkv",
    "widen": "up",
    "narrow": "down",
    # generation
    "seen_by": "crop_to_context",
    "Sampling": "SamplingConfig",
    "Writer": "TextGenerator",
    # checkpoints, runs
    "Shelf": "CheckpointFolder",
    "Trained": "LoadedModel",
    "NothingDrawn": "SkipInit",
    "put_aside": "save_now",
    "claim": "lock",
    # speed
    "seconds_of": "time_call",
    "Roof": "Roofline",
    "measure_roof": "measure_roofline",
    "operation_times": "profile_operators",
    "backward_in_parts": "accumulate_gradients",
    "attending": "an argument, attention=",
    "HalfRecipe": "MasterWeightStep",
    "GraphRecipe": "CudaGraphStep",
    "ahead": "prefetch",
    # cache, compiled
    "laid_out": "transposed_weight",
    "check_room": "check_capacity",
    "allowed_slots": "causal_mask",
    "left_padded": "left_pad",
    "noted_step": "export_step",
    "machine_code": "compile_exported_program",
    # modern
    "FewPasses": "RMSNormFunction",
    "bend": "activation",
    "quiet": "zero_init",
    "Entrance": "InputEmbedding",
    "key_heads": "kv_heads",
    # muon, race
    "fast_recipe": "pick_fastest_train_step",
    "back_off": "interpolate",
    "Counts": "KneserNey",
    "CountedGPT": "GPTWithNGramCounts",
    "Practice": "OutOfFoldTrainingModel",
    "Lap": "RaceRecord",
    # views, playground, experiments
    "heat_text": "loss_heatmap",
    "shaper": "sampling_explorer",
    "judged": "leak_tested_loss",
    "Lane": "Column",
    "take_turns": "interleave",
}

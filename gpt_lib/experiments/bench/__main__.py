"""`python -m gpt_lib.experiments.bench`: every part, or those that are named."""

from gpt_lib.experiments.bench.training import main

main()

"""Re-executing a lesson as a test must never repair the module it is meant to test."""

import os

os.environ["GPT_EXPORT"] = "check"

"""Tokens: their probabilities, losses, trees, and tables of pairs."""

"""The kinds of data that a model can learn from."""

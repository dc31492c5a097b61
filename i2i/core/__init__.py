"""The vocabulary: what a model, an objective, a batch and a label are, and how parts are
registered."""

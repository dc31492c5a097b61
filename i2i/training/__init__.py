"""From a model and data to a run: the trainer, its loop, and what belongs to them."""

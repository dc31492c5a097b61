"""How good images are: pure functions of tensors, and learned features."""

"""Generators as ONNX files: written from a trained network, in fp32 or int8, and run again.

An exported file needs nothing beside it. Its one input, "images", is (N, C, H, W) in float32,
images in -1..1, with the planes of a condition behind their channels for a model of many domains;
its one output, "translated", is (N, C', H, W) in -1..1. H and W are multiples of what the file says
of itself (`description`), and so is everything else that a user of it must know.

`graph` writes a network, `quantise` makes integers of its convolutions, `judging` says what that
costs, and `session` runs what was written. The libraries are those of the extra `onnx`.
"""

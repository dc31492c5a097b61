"""Generators as files for others: ONNX, 8 bits, the formats of the authors."""

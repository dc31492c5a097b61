"""Generators in ONNX files, as they are used."""

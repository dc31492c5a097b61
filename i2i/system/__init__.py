"""The machine: processor, memory, files."""

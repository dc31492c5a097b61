"""Data sets by name: cards, downloads, archives, files of known formats."""

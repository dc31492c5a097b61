"""Data sets in tar files, for those that do not fit one disk: `pack`, `index`, and their paths."""

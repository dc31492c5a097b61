"""Parts for i2i, one of each kind; the entry points of the distribution name `parts`."""

"""Image files: reading, writing, looking at them without decoding."""

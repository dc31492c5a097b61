"""Images: found, checked, read, transformed alike, ordered and loaded."""

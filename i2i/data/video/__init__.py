"""Videos: their frames one after another, and what belongs to them beside (PyAV, FFmpeg)."""

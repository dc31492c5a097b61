"""Image-to-image translation: one trainer, pluggable networks, objectives and data."""

__version__ = "0.1.0"

"""Where files live that can always be made again: the demo images, what a check has found."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of i2i in the user's cache; it need not exist yet.

    $I2I_CACHE if that is set, else $XDG_CACHE_HOME/i2i if that is set, else what the platform
    suggests: ~/Library/Caches/i2i on macOS, %LOCALAPPDATA%\\i2i on Windows, ~/.cache/i2i elsewhere.
    """
    if own := os.environ.get("I2I_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "i2i"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "i2i"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "i2i"
    return Path.home() / ".cache" / "i2i"

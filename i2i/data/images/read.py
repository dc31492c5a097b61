"""From a file to pixels.

An image is a file whose name ends as a registered format wants it (`i2i.data.images.formats`); it
is turned upright as its EXIF orientation asks and then brought to the number of channels that a
network wants. Every such conversion is a decision, and `to_channels` lists them all. Translation
builds on the same function (`images`), so that a network meets the same colours in training and in
use.
"""

import contextlib
import io
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from i2i.data.images.declared import require_room
from i2i.data.images.formats import image_suffixes, open_file
from i2i.data.images.paths import Paths
from i2i.data.kinds.folders import is_results, may_hold_data
from i2i.data.shards.path import ShardPath
from i2i.errors import DataError, did_you_mean

Pixels = npt.NDArray[np.uint8]

OF_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
"""Files that nobody has put where they are, in small letters."""
# fmt: off
UNREAD_SUFFIXES = frozenset(
    {
        ".apng", ".arw", ".avi", ".avif", ".cr2", ".cr3", ".dcm", ".dicom", ".dng", ".exr",
        ".gif", ".h5", ".hdr", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jxl", ".mat",
        ".mha", ".mkv", ".mov", ".mp4", ".nef", ".nii", ".npy", ".npz", ".nrrd", ".orf", ".pbm",
        ".pgm", ".pnm", ".ppm", ".psd", ".raw", ".rw2", ".svs", ".tga", ".webm",
    }
)
# fmt: on
"""Files that hold images or films, but are not read: they are counted and named."""

# Pillow guards against compressed bombs that strangers upload, and warns from 89 megapixels on,
# where honest panoramas and satellite images begin. These are the person's own files: allow half
# a gigapixel without a word (1.6 GB as RGB), and leave Pillow's refusal at twice that in place.
Image.MAX_IMAGE_PIXELS = 2**29

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_ORIENTATION = 0x0112
_SAMPLES_PER_PIXEL = 0x0115

GEO_KEYS = 0x87AF
"""The tag that makes a TIFF a GeoTIFF."""


def require_folder(folder: Path) -> None:
    """Raise DataError unless `folder` is one, suggesting a neighbour with a similar name."""
    if folder.is_dir():
        return
    if folder.exists():
        raise DataError(f"'{folder}' is a file; a folder with images was expected.")
    near = sorted(p.name for p in folder.parent.iterdir()) if folder.parent.is_dir() else []
    what = "file or folder" if folder.suffix else "folder"
    raise DataError(f"There is no {what} '{folder}'.{did_you_mean(folder.name, near)}")


def typed_path(text: str) -> str:
    """Return a path as a person may type or paste it, without quotes around it and with ~ expanded.

    Raises:
        DataError: it is the address of something on the network.
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise DataError(
            f"'{text}' is an address on the network: download it, and name the file or folder."
        )
    if text.startswith("file:"):
        raise DataError(f"'{text}' is an address: write the path without 'file:'.")
    return os.path.expanduser(text) if text.startswith("~") else text  # noqa: PTH111


def list_images(folder: Path) -> Paths:
    """Return all images under `folder`, in sub-folders too, in natural order (2 before 10).

    Links to folders are followed, each folder once. Files and folders whose name begins with a dot
    are skipped, and so are folders that are never data (`i2i.data.kinds.folders`).

    Raises:
        DataError: `folder` is not there or is not a folder.
    """
    require_folder(folder)
    suffixes = image_suffixes()
    return _in_order(folder, (name for name in file_names(folder) if ends_as(name, suffixes)))


def images_among(places: Sequence[Path]) -> Sequence[Path]:
    """The images that files and folders are, or hold.

    Raises:
        DataError: one of them is not there.
    """
    if len(places) == 1 and not places[0].is_file():
        return list_images(places[0])
    return [
        path for place in places for path in ([place] if place.is_file() else list_images(place))
    ]


def any_image(folder: Path) -> bool:
    """Say whether `list_images` would find any; the folder need not be there."""
    suffixes = image_suffixes()
    return any(ends_as(name, suffixes) for name in file_names(folder))


def list_files(folder: Path) -> Paths:
    """As `list_images`, but all files, whatever their names end in; without those that systems
    put into folders of images (`OF_SYSTEMS`).

    Raises:
        DataError: `folder` is not there or is not a folder.
    """
    require_folder(folder)
    names = file_names(folder)
    return _in_order(folder, (n for n in names if n.rpartition("/")[2].lower() not in OF_SYSTEMS))


def _in_order(folder: Path, names: Iterable[str]) -> Paths:
    names = list(names)
    # Where numbers have leading zeros, so that names differ in the digits at the same places only,
    # the natural order is that of the letters.
    alike = len({name.translate(_ALIKE) for name in names}) == 1
    names.sort(key=None if alike else natural_key)
    return Paths.of(folder, names)


def passed_over(folders: Iterable[Path]) -> list[Path]:
    """Return the files under some folders that are probably images of a kind that is not read."""
    unread = UNREAD_SUFFIXES - image_suffixes()
    return [
        folder / name
        for folder in dict.fromkeys(folders)
        for name in file_names(folder)
        if ends_as(name, unread)
    ]


def counted_by_suffix(files: Iterable[PurePath]) -> str:
    """Return how many files of which kinds there are: "8 .npy, 2 .gif"."""
    counts = Counter(path.suffix.lower() or "without an ending" for path in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())


def nothing_here(folder: Path) -> str:
    """Say that there is no image in a folder, and what lies there instead, in one sentence."""
    files = [PurePath(name) for name in file_names(folder)]
    if not files:
        return f"There is no image in '{folder}'."
    others = UNREAD_SUFFIXES - image_suffixes()
    cure = ""
    if any(path.suffix.lower() in others for path in files):
        cure = " Save these as JPEG, PNG or TIFF first, RAW in the program that develops it."
    return (
        f"There is no image in '{folder}': of the files there ({counted_by_suffix(files)}) none "
        f"is of a kind that is read ({', '.join(sorted(image_suffixes()))}).{cure}"
    )


def file_names(folder: Path) -> Iterator[str]:
    """The names of all files under a folder that are no data of systems or of i2i, relative to it,
    with `/` between folders, in no order."""
    if isinstance(folder, ShardPath):
        yield from folder.file_names()
        return
    seen = set()
    own = is_results(folder)
    top = os.fspath(folder)
    waiting = [""]  # folders by their names, with `/` behind
    while waiting:
        inside = waiting.pop()
        here = os.path.join(top, inside)  # noqa: PTH118 (this is asked for very many)
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        folders = []
        # What cannot be listed holds nothing, as for `os.walk`, which lists all of a folder first.
        with contextlib.suppress(OSError), os.scandir(here) as entries:
            for entry in entries:
                name = entry.name
                if _is_folder(entry):
                    if may_hold_data(Path(entry.path), own):
                        folders.append(f"{inside}{name}/")
                elif name[0] != ".":
                    yield inside + name
        waiting += reversed(folders)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_image(name: str) -> bool:
    """Say whether a file of this name is taken for an image."""
    return name[0] != "." and ends_as(name, image_suffixes())


def ends_as(name: str, suffixes: Collection[str]) -> bool:
    """Say whether the suffix of a name, in small letters, is one of these."""
    # A third of the time of `os.path.splitext`, which is asked a million times.
    dot = name.rfind(".")
    return dot >= 0 and name[dot:].lower() in suffixes


_NUMBER = re.compile(r"([0-9]+)")
_ALIKE = str.maketrans("123456789", "0" * 9)


def natural_key(name: str) -> str:
    """Return what to sort `name` by, so that numbers in it count as numbers.

    Capitals count no more than small letters, unless all else is equal. One text, since lists of
    the parts take three times the memory and time.
    """
    parts = _NUMBER.split(name)
    for at in range(0, len(parts), 2):
        parts[at] = parts[at].lower() + "\0"
    for at in range(1, len(parts), 2):
        digits = parts[at].lstrip("0")
        parts[at] = chr(1 + len(digits)) + digits  # a longer number is a larger one
    # Names that differ only in case or leading zeros still need one order on every machine.
    return "".join([*parts, "\0", name])


def read_image(path: Path, channels: int) -> Pixels:
    """Read an image, upright, as (H, W, channels) uint8; for the conversions see `to_channels`.

    Raises:
        DataError: the file is missing, truncated, not an image, or cannot be converted.
    """
    image = open_image(path)
    try:
        return to_pixels(image, channels)
    except DataError as error:
        raise DataError(f"'{path}' cannot be used: {error}") from error
    except MemoryError as error:
        raise DataError(
            f"'{path}' cannot be used: its {image.width} x {image.height} pixels take more memory "
            "than there is."
        ) from error


def open_image(path: Path | io.BytesIO) -> Image.Image:
    """Decode an image completely and turn it upright; of several frames take the first.

    Arguments:
        path: the file, or what is in it.

    Raises:
        DataError: the file is missing, truncated or not an image.
    """
    try:
        # From a path Pillow maps some TIFFs into memory, and turns those wrongly (13.0).
        with path.open("rb") if isinstance(path, Path) else path as file, open_file(file) as image:
            size = path.stat().st_size if isinstance(path, Path) else path.getbuffer().nbytes
            require_room(image, size)
            require_all_bands(image)
            image.load()
            return upright(image)
    except MemoryError as error:
        raise DataError(
            f"{_quoted(path)} cannot be read: there is too little memory for it."
        ) from error
    except Exception as error:  # decoders of broken files raise nearly anything
        raise DataError(f"{_quoted(path)} cannot be read: {reason(error)}.") from error


def _quoted(path: Path | io.BytesIO) -> str:
    return f"'{path}'" if isinstance(path, Path) else "The image"


def is_broken(why: str) -> bool:
    """Say whether a `reason` is about the file itself, rather than about what it holds."""
    return not why.startswith(("it has ", "An image of "))


def require_all_bands(image: Image.Image) -> None:
    """Raise DataError for a TIFF with more bands than Pillow gives: it drops the others in silence.

    To be asked before the image is loaded.
    """
    bands = getattr(image, "tag_v2", {}).get(_SAMPLES_PER_PIXEL, 1)
    read = len(image.getbands())
    if bands > read:
        raise DataError(
            f"it has {bands} bands, of which only {read} would be read: say that there are as many "
            f"(data.A.channels = {bands}, or data.B.channels)"
        )


def reason(error: Exception) -> str:
    """Say in a few words why Pillow could not read a file."""
    if isinstance(error, UnidentifiedImageError):
        return "it is no image of a known format"
    if isinstance(error, IsADirectoryError):
        return "it is a folder, and one file was expected"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation 1..8 of a loaded image; 1 where there is none or it is broken.

    Pillow turns a TIFF upright while it loads, so this must not be asked before.
    """
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (a broken EXIF block is no reason to refuse good pixels)
        return 1
    return value if value in range(1, 9) else 1


def upright(image: Image.Image) -> Image.Image:
    """Turn a loaded image as its EXIF orientation asks."""
    return image if orientation(image) == 1 else ImageOps.exif_transpose(image)


def to_pixels(image: Image.Image, channels: int) -> Pixels:
    """Return a writable (H, W, channels) uint8 array; for the conversions see `to_channels`."""
    pixels: Pixels = np.array(to_channels(image, channels))
    return pixels.reshape(image.height, image.width, channels)


def to_channels(image: Image.Image, channels: int) -> Image.Image:
    """Convert an image to 1 (grey), 3 (RGB) or 4 (RGBA) channels of 8 bits.

    - A palette becomes the colours it stands for.
    - Transparency (an alpha channel, or a transparent palette entry or key colour) is composited
      over white, unless 4 channels are wanted; 4 channels of an opaque image have alpha 255.
    - Grey becomes RGB by repetition; RGB becomes grey as ITU-R 601 luma,
      0.299 R + 0.587 G + 0.114 B.
    - Black and white (1 bit) becomes 0 and 255; CMYK becomes RGB without a colour profile.
    - Integers of 16 bits are divided by 257 and rounded, so that 65535 becomes 255.
    - Floating point images are taken as 0..1 and become round(255 x).

    Raises:
        DataError: `channels` is another number, values lie outside of 0..65535 (integer) or 0..1
            (floating point), or Pillow cannot convert the mode.
    """
    if channels not in _MODES:
        raise DataError(f"channels (={channels}) must be 1 (grey), 3 (RGB) or 4 (RGBA).")
    mode = _MODES[channels]
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(to_integers(image, 255).astype(np.uint8))
    try:
        if channels != 4 and image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert(mode)
    except ValueError as error:
        raise DataError(
            f"An image of mode {image.mode!r} cannot be converted to {mode}; save it as RGB."
        ) from error


def to_integers(image: Image.Image, white: int) -> npt.NDArray[np.float64]:
    """Scale an image of mode "F" (0..1) or "I..." (0..65535) to 0..`white`, rounded.

    Raises:
        DataError: values lie outside.
    """
    values = np.asarray(image)
    most, kind = (1, "floating point") if image.mode == "F" else (65535, "integer")
    if not (values.min() >= 0 and values.max() <= most):  # not: NaN must be refused as well
        raise DataError(
            f"An image of {kind} values must lie within 0..{most}; "
            f"{values.min()}..{values.max()} was found: scale the values and save it again."
        )
    scaled: npt.NDArray[np.float64] = np.rint(values * (white / most))
    return scaled

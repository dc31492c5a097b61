"""TIFF with any bands, of any depth: what Pillow does not read, by tifffile.

Bands lie side by side in a pixel, or in planes, or each in a page of its own; in strips or tiles;
in the classic format or BigTIFF.
"""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from i2i.core.registry import register_image_format
from i2i.data.images.declared import require_declared
from i2i.data.images.formats import DecodedFile, ImageFormat, NoBandsError
from i2i.errors import DataError

GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)
"""ModelPixelScale, ModelTiepoint, ModelTransformation, the three of GeoKeys (OGC GeoTIFF 1.1), and
GDAL's metadata and value of "no data"."""

_SCALE, _TRANSFORMATION = 33550, 34264
_RESOLUTION = (282, 283, 296)  # pixels per unit across and down, and the unit


class Tag(NamedTuple):
    """A tag of a TIFF as it is copied to another file."""

    code: int
    dtype: int
    values: int
    value: Any


@register_image_format("tiff")
class Tiff(ImageFormat):
    """The first image of a TIFF; pages of one size and type that each hold one band are its bands.

    Pillow reads the same files where values become 8 bits.
    """

    suffixes = (".tif", ".tiff")
    in_pillow = False

    def accepts(self, head: bytes) -> bool:
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def read(self, data: bytes) -> DecodedFile:
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            pages = whole_pages(file)
            first = pages[0]
            bands = len(pages) if _is_band(first) else 1
            alike = [
                page for page in pages if (page.shape, page.dtype) == (first.shape, first.dtype)
            ]
            if bands > 1 and len(alike) != len(pages):
                bands = 1
            require_plain(first)
            each = first.samplesperpixel * bands * first.dtype.itemsize
            require_declared(first.imagewidth, first.imagelength, each, len(data))
            chosen = pages[:bands]
            planes = [_interleaved(page, page.asarray()) for page in chosen]
            values = planes[0] if bands == 1 else np.concatenate(planes, axis=2)
            info: dict[str, Any] = {
                "tags": kept_tags(first),
                "planar": first.planarconfig == 2,
                "paged": bands > 1,
                "pages": len(pages),
                "alpha": has_alpha(first),
            }
            if 34675 in first.tags:
                info["icc_profile"] = bytes(first.tags[34675].value)
        return DecodedFile(values, info)

    def write(self, image: DecodedFile, path: Path) -> None:
        import tifffile

        values, info = np.ascontiguousarray(image.values), image.info
        channels = values.shape[2]
        settings: dict[str, Any] = {
            "photometric": "rgb" if channels in (3, 4) else "minisblack",
            "compression": "zlib",
            "predictor": values.dtype.kind in "iu",
            "extratags": [(*tag, True) for tag in info.get("tags", ()) if tag.code in GEO_TAGS],
            "software": False,
            "metadata": None,
        }
        resolution = {
            tag.code: tag.value for tag in info.get("tags", ()) if tag.code in _RESOLUTION
        }
        if len(resolution) == len(_RESOLUTION):
            settings["resolution"] = tuple(resolution[code] for code in _RESOLUTION[:2])
            settings["resolutionunit"] = resolution[_RESOLUTION[2]]
        if profile := info.get("icc_profile"):
            settings["iccprofile"] = profile
        with tifffile.TiffWriter(path, bigtiff=values.nbytes > 2**31) as file:
            if info.get("paged") and channels > 1:
                settings["photometric"] = "minisblack"
                for band in range(channels):
                    file.write(np.ascontiguousarray(values[:, :, band]), **settings)
                return
            if channels == 1:
                values = values[:, :, 0]
            elif channels in (2, 4) or channels > 4:
                extra = channels - (3 if settings["photometric"] == "rgb" else 1)
                alpha = channels in (2, 4) and info.get("alpha", channels == 4)
                kinds = ["unassalpha" if alpha else "unspecified"]
                settings["extrasamples"] = kinds * extra
            planar = bool(info.get("planar")) and channels > 1
            settings["planarconfig"] = "separate" if planar else "contig"
            if channels == 1:
                del settings["planarconfig"]
            file.write(
                np.ascontiguousarray(values.transpose(2, 0, 1)) if planar else values, **settings
            )


def whole_pages(file: Any) -> list[Any]:
    """The pages of an open file that are images of their own: no reduced ones, and no masks."""
    pages = [page for page in file.pages if hasattr(page, "tags") and not page.subfiletype & 0b101]
    if not pages:
        raise DataError("there is no image in it")
    return pages


def require_plain(page: Any) -> None:
    """Raise NoBandsError for values that are not those of bands, and DataError for no image."""
    import tifffile

    kinds = tifffile.PHOTOMETRIC
    others = (kinds.PALETTE, kinds.SEPARATED, kinds.YCBCR, kinds.CIELAB, kinds.MINISWHITE)
    if page.photometric in others or page.bitspersample == 1:
        raise NoBandsError(f"it holds {page.photometric.name} colours")
    if page.dtype is None or page.dtype.kind not in "biuf":
        raise DataError(f"it holds values of the type {page.dtype}, where numbers were expected")
    if page.ndim not in (2, 3) or page.imagedepth != 1:
        raise DataError(f"it has values of the shape {page.shape}, where an image was expected")


def has_alpha(page: Any) -> bool:
    """Whether the last band is alpha, which is not multiplied into the others."""
    return any(int(kind) == 2 for kind in (page.extrasamples or ()))


def kept_tags(page: Any, across: float = 1.0, down: float = 1.0) -> tuple[Tag, ...]:
    """The tags of a page that its translation keeps: where on earth it is, and its resolution.

    Arguments:
        page: of tifffile.
        across, down: how many times more pixels the result has in a row, and rows.
    """
    tags = [page.tags[code] for code in (*GEO_TAGS, *_RESOLUTION) if code in page.tags]
    return rescaled(
        tuple(Tag(tag.code, int(tag.dtype), tag.count, tag.value) for tag in tags), across, down
    )


def tags_of(path: Path) -> tuple[Tag, ...]:
    """Those of a file; none where it is no TIFF that can be read."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return kept_tags(whole_pages(file)[0])
    except Exception:  # noqa: BLE001 (whatever is wrong, the pixels were read)
        return ()


def rescaled(tags: tuple[Tag, ...], across: float, down: float) -> tuple[Tag, ...]:
    """Tags for an image with other numbers of pixels over the same ground."""
    if across == down == 1:
        return tags
    changed = []
    for tag in tags:
        value = tag.value
        if tag.code == _SCALE:
            value = (value[0] / across, value[1] / down, *value[2:])
        elif tag.code == _TRANSFORMATION and len(value) == 16:
            rows = np.array(value).reshape(4, 4)
            rows[:, 0] /= across
            rows[:, 1] /= down
            value = tuple(rows.reshape(-1).tolist())
        elif tag.code in _RESOLUTION[:2]:
            top, bottom = value
            factor = across if tag.code == _RESOLUTION[0] else down
            value = (round(top * factor), bottom) if float(factor).is_integer() else value
        elif tag.code == 33922 and len(value) >= 6:
            points = np.array(value).reshape(-1, 6)
            points[:, 0] *= across
            points[:, 1] *= down
            value = tuple(points.reshape(-1).tolist())
        changed.append(tag._replace(value=value))
    return tuple(changed)


def _is_band(page: Any) -> bool:
    return bool(page.samplesperpixel == 1)


def _interleaved(page: Any, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(H, W, C) of what a page gives: (H, W), (H, W, C), or planes (C, H, W)."""
    if values.ndim == 2:
        return values[:, :, None]
    return values.transpose(1, 2, 0) if page.planarconfig == 2 else values

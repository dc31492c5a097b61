"""Images that are no files of their own, such as those in MNIST's format."""

import numpy as np

from i2i.core.progress import progress
from i2i.data.images.check import CheckResult
from i2i.data.images.content_hash import hash_pixels
from i2i.data.images.probe import FLAT, ImageInfo
from i2i.data.inspection.survey import Survey
from i2i.data.kinds.image_set import ImageStore
from i2i.errors import DataError


def check_stored(survey: Survey) -> CheckResult:
    """Look at all images of a survey that are no files; nothing of it is remembered."""
    found = CheckResult()
    with progress("checking images") as update:
        for done, (path, (store, index)) in enumerate(survey.stored.items(), 1):
            try:
                found.looks[path] = look_at_stored(store, index, survey.store_layout)
            except DataError as error:
                found.bad[path] = str(error)
            update(done, len(survey.stored))
    found.sizes.update({path: (look.width, look.height) for path, look in found.looks.items()})
    return found


def look_at_stored(store: ImageStore, index: int, layout: str) -> ImageInfo:
    """What is known of an image in an array: the digest is that of its pixels.

    It has no fingerprint: what holds for photos does not for digits of 28 x 28 pixels, among which
    many look alike.

    Raises:
        DataError: it cannot be read.
    """
    pixels = np.asarray(store.read(index, 3))
    if grey := bool((pixels == pixels[..., :1]).all()):
        pixels = pixels[..., :1]
    height, width, _ = pixels.shape
    return ImageInfo(
        bytes=pixels.nbytes,
        mtime_ns=0,
        width=width,
        height=height,
        mode="L" if grey else "RGB",
        bits=8,
        orientation=1,
        format=layout,
        frames=1,
        profile=False,
        digest=hash_pixels(pixels),
        grey=grey,
        flat=bool((np.ptp(pixels, axis=(0, 1)) <= FLAT).all()),
        complete=True,
        low=int(pixels.min()),
        high=int(pixels.max()),
    )

"""The formats that Pillow reads by itself."""

from i2i.core.registry import register_image_format
from i2i.data.images.formats import ImageFormat


@register_image_format("pillow")
class Pillow(ImageFormat):
    """Files with one of these names are images of a data set."""

    suffixes = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")

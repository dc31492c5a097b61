"""Numbers with their nouns."""


def counted(count: int, one: str, many: str) -> str:
    """ "1 image has", "3 images have"."""
    return f"{count} {one if count == 1 else many}"


def of(count: int, total: int) -> str:
    """ "3 of 120 images"."""
    return f"{count} of {counted(total, 'image', 'images')}"

"""Numbers with their nouns."""


def counted(count: int, one: str, many: str) -> str:
    """ "1 picture has", "3 pictures have"."""
    return f"{count} {one if count == 1 else many}"


def of(count: int, total: int) -> str:
    """ "3 of 120 pictures"."""
    return f"{count} of {counted(total, 'picture', 'pictures')}"

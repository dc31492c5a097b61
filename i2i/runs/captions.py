"""Names in pictures: files and folders of people are called in all languages."""

import unicodedata
from functools import lru_cache

from PIL import ImageFont

SIZE = 14

FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf"),  # Linux
    *("NotoSansCJK-Regular.ttc", "DroidSansFallbackFull.ttf"),
    *("Arial Unicode.ttf", "Helvetica.ttc", "PingFang.ttc"),  # macOS
    *("segoeui.ttf", "arial.ttf", "msyh.ttc", "malgun.ttf", "meiryo.ttc"),  # Windows
)
"""Fonts that a system may have, looked for where Pillow's own lacks a letter."""

LACKING = "?"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def font_for(text: str) -> Font:
    """Pillow's own font, which is the same everywhere, if it has all letters of a text; else that
    of the system's which lacks fewest."""
    if not _lacking(own := _own(), text):
        return own
    known = [own, *(font for name in FONTS if (font := _of_system(name)) is not None)]
    return min(known, key=lambda font: _lacking(font, text))


def spelled(text: str, font: Font) -> str:
    """A text in letters that a font has: "Sommer" for "Sömmer", a question mark for what it lacks
    altogether."""
    text = unicodedata.normalize("NFC", text)
    return "".join(_plain(each, font) if _lacking(font, each) else each for each in text)


def _plain(letter: str, font: Font) -> str:
    bare = "".join(
        each for each in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(each)
    )
    return bare if bare and not _lacking(font, bare) else LACKING


def _lacking(font: Font, text: str) -> int:
    """Of how many letters a font has no picture but the one that stands for all such."""
    letters = set(unicodedata.normalize("NFC", text)) - {"\n"}
    return sum(_picture(font, each) == _picture(font, "\uffff") for each in letters)


def _picture(font: Font, letter: str) -> bytes:
    mask = font.getmask(letter)
    return bytes(mask) if mask.size[0] else b" "


@lru_cache
def _own() -> Font:
    return ImageFont.load_default(size=SIZE)


@lru_cache
def _of_system(name: str) -> Font | None:
    try:
        return ImageFont.truetype(name, SIZE)
    except OSError:
        return None

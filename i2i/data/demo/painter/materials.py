"""What the painter's scenes are made of: the label palette, and the stuff that each label covers.

A *label* is what a label map shows, one flat colour each. A *material* is finer (glass and frame
are both the label "window") and says how its surface looks in every rendering. A material never
says more than label, shape and position do: whoever sees only the label map can know its colour.
"""

from typing import NamedTuple

RGB = tuple[int, int, int]

LABELS: dict[str, RGB] = {
    "sky": (96, 168, 240),
    "cloud": (214, 232, 250),
    "sun": (255, 224, 32),
    "mountain": (128, 120, 168),
    "far hill": (120, 192, 152),
    "near hill": (72, 160, 96),
    "meadow": (136, 208, 72),
    "path": (224, 192, 136),
    "water": (24, 80, 200),
    "fence": (168, 112, 56),
    "trunk": (104, 64, 32),
    "broadleaf": (24, 128, 32),
    "birch": (184, 224, 0),
    "conifer": (0, 80, 64),
    "bush": (128, 144, 16),
    "brick wall": (200, 80, 48),
    "plaster wall": (248, 232, 192),
    "timber wall": (216, 160, 208),
    "stone wall": (152, 152, 152),
    "tiled roof": (232, 24, 24),
    "slate roof": (64, 56, 96),
    "chimney": (120, 16, 48),
    "window": (0, 224, 240),
    "shutter": (0, 152, 152),
    "door": (255, 0, 160),
}
"""The fixed palette of the label maps: class -> colour. Nothing else occurs in them."""


class Material(NamedTuple):
    """How one kind of surface looks.

    `colour` is its albedo by daylight and `autumn` that in autumn (by default the same); `snow` is
    how much of it winter covers, `grain` and `patches` are the strength of the fine and the coarse
    texture, `haze` is how much air lies between it and the eye, and `tone` how dark a pencil makes
    it; all of these lie in 0..1.
    """

    label: str
    colour: RGB
    snow: float = 0.0
    grain: float = 0.1
    patches: float = 0.08
    haze: float = 0.0
    tone: float = 0.25
    autumn: RGB | None = None


MATERIALS: dict[str, Material] = {
    "sky": Material("sky", (190, 212, 232), grain=0, patches=0, tone=0.05),
    "cloud": Material("cloud", (190, 212, 232), grain=0, patches=0, tone=0),
    "sun": Material("sun", (255, 244, 200), grain=0, patches=0, tone=0),
    "mountain": Material("mountain", (112, 112, 124), 0.72, 0.16, 0.2, haze=0.5, tone=0.3),
    "peak": Material("mountain", (226, 230, 238), 0.95, 0.05, 0.05, haze=0.3, tone=0),
    "far hill": Material("far hill", (98, 138, 92), 0.82, 0.1, 0.16, 0.42, 0.22, (168, 138, 82)),
    "near hill": Material("near hill", (96, 146, 66), 0.9, 0.12, 0.14, 0.2, 0.3, (178, 148, 70)),
    "meadow": Material("meadow", (122, 170, 74), 0.97, 0.13, 0.12, tone=0.1, autumn=(160, 160, 84)),
    "path": Material("path", (208, 184, 142), 0.55, 0.12, 0.08, tone=0.03, autumn=(206, 176, 132)),
    "water": Material("water", (58, 112, 150), 0.3, 0.03, 0.04, tone=0.35, autumn=(72, 98, 118)),
    "fence": Material("fence", (146, 108, 68), 0.1, 0.12, tone=0.2, autumn=(122, 90, 66)),
    "trunk": Material("trunk", (98, 72, 50), 0.08, 0.2, tone=0.7),
    "pale trunk": Material("trunk", (214, 210, 200), 0.08, 0.16, tone=0.1),
    "broadleaf": Material("broadleaf", (66, 122, 44), 0.3, 0.28, 0.16, 0, 0.5, (206, 98, 28)),
    "birch": Material("birch", (142, 172, 62), 0.3, 0.28, 0.16, 0, 0.3, (236, 184, 44)),
    "conifer": Material("conifer", (34, 84, 58), 0.25, 0.3, 0.15, 0, 0.75, (42, 82, 52)),
    "bush": Material("bush", (96, 128, 42), 0.45, 0.34, 0.2, 0, 0.5, (172, 52, 34)),
    "brick": Material("brick wall", (178, 92, 68), 0, 0.16, 0.12, tone=0.35),
    "plaster": Material("plaster wall", (240, 222, 180), 0, 0.05, 0.08, tone=0.04),
    "timber": Material("timber wall", (236, 228, 214), 0, 0.05, 0.06, tone=0.04),
    "beam": Material("timber wall", (96, 62, 42), 0, 0.12, tone=0.75),
    "stone": Material("stone wall", (164, 158, 148), 0, 0.16, 0.16, tone=0.25),
    "tiles": Material("tiled roof", (196, 84, 54), 0.93, 0.14, 0.14, tone=0.45),
    "slate": Material("slate roof", (88, 98, 116), 0.93, 0.14, 0.12, tone=0.65),
    "chimney": Material("chimney", (150, 82, 66), 0, 0.16, tone=0.5),
    "frame": Material("window", (244, 242, 236), 0, 0.02, 0, tone=0),
    "glass": Material("window", (74, 96, 116), 0, 0.03, 0.1, tone=0.8),
    "shutter": Material("shutter", (64, 112, 104), 0, 0.06, 0.04, tone=0.55),
    "door": Material("door", (124, 62, 42), 0, 0.08, 0.04, tone=0.7),
}

INDEX = {name: index for index, name in enumerate(MATERIALS)}

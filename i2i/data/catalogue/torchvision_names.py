"""The data sets that torchvision downloads, by name: how torchvision makes each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Arguments = Mapping[str, Any]
Splits = tuple[Arguments, Arguments | None]
"""What chooses the images to train on, and those to validate with if they lie apart."""


@dataclass(frozen=True)
class Named:
    """How torchvision makes a data set."""

    maker: str  # a class of torchvision.datasets
    splits: Splits
    images: str  # how many to train on and to validate with, as a person would write it
    title: str
    labels: str = ""  # the attribute with a label, or (file, label), for each image
    classes: str = ""  # the attribute with the names of the labels; "" where they are numbers
    transposed: bool = False  # rows and columns are exchanged
    downloads: bool = True  # else the files have to be fetched by hand
    needs: str = ""  # a package that does not come with torchvision


def _split(train: str, validation: str, **both: Any) -> Splits:
    return {"split": train, **both}, {"split": validation, **both}


def _emnist(split: str, images: str, title: str) -> Named:
    # Images of this data set are stored transposed, and torchvision leaves them so.
    splits = {"split": split, "train": True}, {"split": split, "train": False}
    return Named("EMNIST", splits, images, title, "targets", "classes", transposed=True)


def _lsun(category: str, images: int) -> Named:
    splits = {"classes": [f"{category}_train"]}, {"classes": [f"{category}_val"]}
    title = f"LSUN: {category.replace('_', ' ')}"
    return Named("LSUN", splits, f"{images} + 300", title, downloads=False, needs="lmdb")


_FLAG: Splits = ({"train": True}, {"train": False})
_BACKGROUND: Splits = ({"background": True}, {"background": False})
_ONE: Splits = ({}, None)
_TEST = _split("train", "test")
_VAL = _split("train", "val")
_VALID = _split("train", "valid")
_TRAINVAL = _split("trainval", "test")
_UNLABELED = _split("unlabeled", "test")
_ALIGNED = _split("train", "test", image_set="deepfunneled")
_320 = _split("train", "val", size="320px")
_GREY = "60000 + 10000"

TORCHVISION: dict[str, Named] = {
    # name: class, splits, images, title, labels, their names
    "mnist": Named("MNIST", _FLAG, _GREY, "handwritten digits, grey, 28 x 28", "targets"),
    "fashion-mnist": Named(
        "FashionMNIST", _FLAG, _GREY, "clothing, grey, 28 x 28", "targets", "classes"
    ),
    "kmnist": Named(
        "KMNIST", _FLAG, _GREY, "Japanese characters, grey, 28 x 28", "targets", "classes"
    ),
    "emnist-balanced": _emnist("balanced", "112800 + 18800", "digits and letters, grey, 28 x 28"),
    "emnist-letters": _emnist("letters", "124800 + 20800", "letters, grey, 28 x 28"),
    "emnist-digits": _emnist("digits", "240000 + 40000", "digits, grey, 28 x 28"),
    "usps": Named("USPS", _FLAG, "7291 + 2007", "handwritten digits, grey, 16 x 16", "targets"),
    "semeion": Named("SEMEION", _ONE, "1593", "handwritten digits, binary, 16 x 16", "labels"),
    "omniglot": Named(
        "Omniglot", _BACKGROUND, "19280 + 13180", "characters of 50 alphabets, 105 x 105"
    ),
    "cifar10": Named(
        "CIFAR10", _FLAG, "50000 + 10000", "10 classes, 32 x 32", "targets", "classes"
    ),
    "cifar100": Named(
        "CIFAR100", _FLAG, "50000 + 10000", "100 classes, 32 x 32", "targets", "classes"
    ),
    "stl10": Named("STL10", _TEST, "5000 + 8000", "10 classes, 96 x 96", "labels", "classes"),
    "stl10-unlabeled": Named("STL10", _UNLABELED, "100000 + 8000", "many things, 96 x 96"),
    "svhn": Named(
        "SVHN", _TEST, "73257 + 26032", "house numbers, 32 x 32", "labels", needs="scipy"
    ),
    "gtsrb": Named("GTSRB", _TEST, "26640 + 12630", "traffic signs of 43 kinds", "_samples"),
    "celeba": Named("CelebA", _VALID, "162770 + 19867", "faces, 178 x 218", needs="gdown"),
    "lfw": Named("LFWPeople", _ALIGNED, "9525 + 3708", "faces, 250 x 250"),
    "flowers102": Named(
        "Flowers102",
        _VAL,
        "1020 + 1020",
        "flowers of 102 kinds",
        "_labels",
        "classes",
        needs="scipy",
    ),
    "oxford-pets": Named(
        "OxfordIIITPet",
        _TRAINVAL,
        "3680 + 3669",
        "cats and dogs of 37 breeds",
        "_labels",
        "classes",
    ),
    "food101": Named(
        "Food101", _TEST, "75750 + 25250", "101 dishes, up to 512 x 512", "_labels", "classes"
    ),
    "dtd": Named("DTD", _VAL, "1880 + 1880", "textures of 47 kinds", "_labels", "classes"),
    "fgvc-aircraft": Named(
        "FGVCAircraft", _TRAINVAL, "6667 + 3333", "aircraft of 100 kinds", "_labels", "classes"
    ),
    "imagenette": Named(
        "Imagenette", _320, "9469 + 3925", "10 classes of ImageNet", "_samples", "classes"
    ),
    "caltech101": Named("Caltech101", _ONE, "8677", "101 kinds of things", "y", "categories"),
    "caltech256": Named("Caltech256", _ONE, "30607", "257 kinds of things", "y", "categories"),
    "sun397": Named("SUN397", _ONE, "108754", "scenes of 397 kinds", "_labels", "classes"),
    "eurosat": Named(
        "EuroSAT", _ONE, "27000", "land from a satellite, 10 kinds, 64 x 64", "targets", "classes"
    ),
    "country211": Named(
        "Country211", _VALID, "31650 + 10550", "photos from 211 countries", "targets", "classes"
    ),
    "lsun-bedroom": _lsun("bedroom", 3033042),
    "lsun-bridge": _lsun("bridge", 818687),
    "lsun-church-outdoor": _lsun("church_outdoor", 126227),
    "lsun-classroom": _lsun("classroom", 168103),
    "lsun-conference-room": _lsun("conference_room", 229069),
    "lsun-dining-room": _lsun("dining_room", 657571),
    "lsun-kitchen": _lsun("kitchen", 2212277),
    "lsun-living-room": _lsun("living_room", 1315802),
    "lsun-restaurant": _lsun("restaurant", 626331),
    "lsun-tower": _lsun("tower", 708264),
}
"""What can be named as a data root -> how torchvision makes it."""

"""Models of label maps, and of more than colours, over HTTP: the files of `i2i translate`."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from app_server import KnownModels, running
from PIL import Image

from i2i.app import api
from i2i.app.client import Client, ServerError
from i2i.app.limits import Limits
from i2i.app.service import Service
from i2i.inference.folder import translate_folder
from i2i.inference.load import build_translator
from i2i.inference.translator import Translator
from i2i.models.build import build_model
from shrunk import shrunk

PALETTE = 'data.B.palette=["#ff0000", "#00ff00", "#0000ff"]'


def translator_of(*settings: str) -> Translator:
    torch.manual_seed(0)
    options = shrunk("pix2pix", *settings)
    return build_translator(options, build_model(options))


@pytest.mark.parametrize(
    ("settings", "highest", "mode"),
    [
        (("data.A.kind=labels", "data.A.classes=3"), 3, "L"),
        (("data.B.kind=labels", PALETTE), 256, "RGB"),
        (("data.A.channels=1", "data.A.range=[0, 4095]", "data.A.dtype=uint16"), 4096, "I;16"),
    ],
)
def test_what_is_more_than_colours_is_what_translate_writes(
    settings: tuple[str, ...], highest: int, mode: str, tmp_path: Path
) -> None:
    shape = (16, 24, 3) if mode == "RGB" else (16, 24)
    values = np.random.default_rng(0).integers(0, highest, shape)
    Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.uint8)).save(
        tmp_path / "map.png"
    )
    translate_folder(translator_of(*settings), tmp_path / "map.png", tmp_path / "made.png")
    service = Service(KnownModels({"maps": lambda: translator_of(*settings)}), Limits())
    with running(api.build(service, token=None), Limits()) as url:
        client = Client(url)
        made = client.translate(tmp_path / "map.png")
        with pytest.raises(ServerError, match="i2i translate"):
            client.translate(tmp_path / "map.png", seed=3)
        if highest == 3:
            wrong = io.BytesIO()
            Image.fromarray(np.full((16, 16), 9, np.uint8)).save(wrong, "PNG")
            with pytest.raises(ServerError, match="none of the 3 classes: 9"):
                client.translate(wrong.getvalue())
    with Image.open(tmp_path / "made.png") as expected:
        assert made.mode == expected.mode
        assert np.array_equal(np.asarray(made), np.asarray(expected))

"""What a translator takes: paths, bytes, arrays, tensors, images, lists; and what it refuses."""

import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from known import Recorder, layers, negative, noise, save, translator
from PIL import Image
from torch import nn

from i2i.errors import CheckpointError, DataError, OptionsError, ProcessError
from i2i.inference.folder import translate_folder
from i2i.inference.load import load_sampler, load_translator


def test_paths_and_bytes_give_images(tmp_path: Path) -> None:
    pixels = noise(5, 7)
    path = save(pixels, tmp_path / "a.png")
    file = BytesIO(path.read_bytes())
    for given in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), file):
        result = negative()(given)
        assert isinstance(result, Image.Image)
        np.testing.assert_array_equal(np.array(result), 255 - pixels)
    with pytest.raises(DataError, match=r"absent\.png' cannot be read: No such file"):
        negative()(tmp_path / "absent.png")
    with pytest.raises(DataError, match=r"The image cannot be read: it is no image"):
        negative()(b"nothing")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float16", "float32", "float64"])
def test_arrays_keep_their_form(dtype: str) -> None:
    kind = np.dtype(dtype)
    values = np.random.default_rng(0).random((2, 5, 7, 3))
    images = values * 2 - 1 if kind.kind == "f" else values * np.iinfo(kind).max
    images = images.astype(kind)
    expected = -images if kind.kind == "f" else np.iinfo(kind).max - images
    for given, wanted in ((images, expected), (images[0], expected[0])):
        for view in (given, given[..., ::-1, :]):
            result = negative()(view)
            assert result.dtype == kind
            tolerance = 1e-3 if kind.kind == "f" else 0
            mirrored = wanted if view is given else wanted[..., ::-1, :]
            np.testing.assert_allclose(result, mirrored, rtol=0, atol=tolerance)
    read_only = np.zeros((4, 4, 3), np.uint8)
    read_only.flags.writeable = False
    assert (negative()(read_only) == 255).all()


def test_grey_arrays_need_no_channel() -> None:
    grey = noise(6, 5, 1)
    np.testing.assert_array_equal(negative(channels=1)(grey), 255 - grey)
    np.testing.assert_array_equal(negative(channels=1)(grey[:, :, 0]), 255 - grey[:, :, 0])
    colour = translator(Recorder(lambda x: x.expand(-1, 3, -1, -1)), channels=1, output_channels=3)
    assert colour(grey[:, :, 0]).shape == (6, 5, 3)


def test_lists_of_mixed_sizes_and_kinds(tmp_path: Path) -> None:
    pixels = [noise(5, 7), noise(9, 3), noise(4, 4)]
    path = save(pixels[2], tmp_path / "c.png")
    tensor = torch.from_numpy(pixels[1]).permute(2, 0, 1)
    array, back, image = negative()([pixels[0], tensor, path])
    np.testing.assert_array_equal(array, 255 - pixels[0])
    assert torch.equal(back, 255 - tensor)
    np.testing.assert_array_equal(np.array(image), 255 - pixels[2])
    assert negative()([]) == []


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_floating_point_out_of_range_is_refused_with_the_range(kind: str) -> None:
    images = torch.linspace(0, 255, 3 * 8 * 8).reshape(3, 8, 8)
    given = images if kind == "tensor" else images.permute(1, 2, 0).numpy()
    with pytest.raises(DataError, match=r"values of 0\.\.255: .* within -1\.\.1"):
        negative()(given)
    nothing = given * float("nan")
    with pytest.raises(DataError, match=r"nan\.\.nan"):
        negative()(nothing)
    overshot = (images / 127.5 - 1) * 1.2  # as bicubic resizing leaves them
    assert torch.equal(negative()(overshot), -overshot)


def test_what_is_no_image_is_refused() -> None:
    for wrong, words in (
        (3, "A int cannot be translated: expected a path"),
        (np.zeros((3, 8, 8), np.uint8), r"\(3, 8, 8\): expected \(H, W, 3\)"),
        (np.zeros((8, 8), np.uint8), r"\(8, 8\): expected"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
        (np.zeros((8, 8, 3), np.int64), "int64: expected uint8"),
        (np.zeros((8, 8, 3), bool), "bool: expected uint8"),
    ):
        with pytest.raises(DataError, match=words):
            negative()(wrong)
    with pytest.raises(OptionsError, match=r"labels of shape \(1, 2\) mean nothing"):
        negative()(torch.zeros(1, 3, 8, 8), labels=torch.zeros(1, 2))
    with pytest.raises(DataError, match="2 images, but 1 labels"):
        negative()([noise(4, 4), noise(4, 4)], labels=torch.zeros(1, 2))


def test_a_file_of_several_images_is_refused_where_one_is_given_back(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(8, 8)) for _ in range(3)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    for given in (tmp_path / "a.tif", (tmp_path / "a.tif").read_bytes()):
        with pytest.raises(DataError, match="holds 3 images, where one was expected"):
            negative()(given)


def test_results_that_are_not_finite_are_said() -> None:
    for value in (float("nan"), float("inf")):
        sick = layers(nn.Conv2d(3, 3, 1))
        nn.init.constant_(sick[0].weight, value)
        with pytest.raises(CheckpointError, match=r"192 of 192 .*weights are not.*0\.weight"):
            translator(sick)(torch.zeros(3, 8, 8))
    overflow = Recorder(lambda x: x + float("inf"))
    with pytest.raises(CheckpointError, match="weights are finite, but too large"):
        translator(overflow)(torch.zeros(3, 8, 8))
    with pytest.raises(CheckpointError, match="try the precision fp32 instead of bf16"):
        translator(overflow, precision="bf16")(torch.zeros(3, 8, 8))


def test_of_a_folder_the_image_that_gives_no_finite_result_fails_alone(tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 255), ("c", 0)):
        save(np.full((8, 8, 3), value, np.uint8), tmp_path / "in" / f"{name}.png")
    sick = translator(Recorder(lambda x: torch.where(x > 0.9, x / 0, x)))
    report = translate_folder(sick, tmp_path / "in", tmp_path / "out")
    assert report.translated == 2
    [failure] = report.failed
    assert failure.path.name == "b.png"
    assert "192 of 192 values as NaN or infinite" in failure.reason


def test_a_network_without_multiple_is_one_of_any_size() -> None:
    own = nn.Conv2d(3, 3, 3, padding=1)
    assert translator(own)(torch.zeros(3, 9, 11)).shape == (3, 9, 11)


def test_loaders_return_one_thing_that_knows_where_it_comes_from(tmp_path: Path) -> None:
    from i2i.models.build import build_model
    from i2i.runs.checkpoint import save_checkpoint
    from i2i.runs.folder import Run
    from i2i.training.build import build_trainer
    from shrunk import shrunk

    for recipe, load in (("pix2pix", load_translator), ("dcgan", load_sampler)):
        options = shrunk(recipe)
        trainer = build_trainer(options, build_model(options))
        run = Run(tmp_path / recipe)
        run.best.parent.mkdir(parents=True)
        about = {"options": options.to_dict(), "data": "", "best": None}
        save_checkpoint(run.checkpoint(4), about | trainer.state_dict())
        loaded = load(run.folder, device="cpu")
        assert loaded.checkpoint == run.checkpoint(4)
        assert loaded.description.startswith(str(run.checkpoint(4)))
        again, why = loaded  # as version 0.1 had it
        assert again is loaded
        assert why == loaded.description
    image = load_translator(tmp_path / "pix2pix", device="cpu")(Image.new("RGB", (20, 10)))
    assert image.size == (20, 10)


def test_a_translator_that_is_sent_to_another_process_says_where_to_load_it() -> None:
    with pytest.raises(ProcessError, match=r"another process.*i2i\.load_translator there"):
        pickle.dumps(negative())

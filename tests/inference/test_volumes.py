"""Medical volumes: slices that are the right way round, and back in the same place."""

import itertools
import random
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from torch import Tensor, nn

from i2i.data.volumes.dicom import Dicom
from i2i.data.volumes.nifti import Nifti
from i2i.data.volumes.volume import AXES, Axis, Cut, from_slices, to_slices
from i2i.errors import DataError
from i2i.inference.folder import translate_folder
from i2i.inference.translator import Translator
from volumes import AIR, WINDOW, save_nifti, save_series, scene


class Watching(nn.Module):
    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = sign
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        return self.sign * images


def translator(network: nn.Module | None = None, channels: int = 1, **cut: Any) -> Translator:
    made = Translator(
        network or Watching(),
        input_channels=channels,
        output_channels=channels,
        norm="instance",
        dropout=False,
        device="cpu",
    )
    made.cut = Cut(**({"window": WINDOW} | cut))
    return made


def affines() -> list[Any]:
    """All ways in which axes can lie, with millimetres of their own."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = np.eye(3)[:, order] * signs * (0.9, 1.1, 2.0)
            affine[:3, 3] = (3, -20, 7)
            found.append(affine)
    return found


@pytest.mark.parametrize("axis", AXES)
def test_slices_show_the_patient_the_usual_way_round(axis: Axis, tmp_path: Path) -> None:
    for affine in affines():
        # A spot at the right, front and top of the patient, wherever that is in the file.
        values = np.zeros((4, 5, 6), np.int16)
        steps = affine[:3, :3].sum(axis=0)  # RAS+: where the index counts to the right, front, top
        spot = tuple(n - 1 if step > 0 else 0 for n, step in zip(values.shape, steps, strict=True))
        values[spot] = 1000
        save_nifti(tmp_path / "a.nii", values, affine)
        volume = Nifti(tmp_path / "a.nii").volume
        slices = to_slices(volume.values, axis, (0, 1000))
        assert tuple(np.argwhere(slices)[0]) == (0, 0, 0)  # first slice, top, left
        assert slices.max() == 65535
    lengths = {"sagittal": 0, "coronal": 1, "axial": 2}
    assert len(slices) == np.array(volume.values.shape)[lengths[axis]]


def test_values_in_the_window_survive_the_slices() -> None:
    values = scene((7, 5, 6)).astype(np.float32)
    for axis in AXES:
        back = from_slices(to_slices(values, axis, WINDOW), axis, WINDOW)
        np.testing.assert_allclose(back, values, atol=2024 / 65535)
    cut = from_slices(to_slices(values, "axial", (0, 100)), "axial", (0, 100))
    np.testing.assert_allclose(cut, values.clip(0, 100), atol=100 / 65535)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("axis", AXES)
def test_nifti_comes_back_in_its_place(suffix: str, axis: Axis, tmp_path: Path) -> None:
    values = scene((7, 5, 6))
    affine = affines()[21]
    affine[:3, :3] = affine[:3, :3] @ np.array([[0.98, 0.2, 0], [-0.2, 0.98, 0], [0, 0, 1]])
    save_nifti(tmp_path / f"a{suffix}", values, affine)
    asked = translator(Watching(-1), axis=axis)
    report = translate_folder(asked, tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    assert report.failed == ()
    before, after = (nibabel.load(tmp_path / f"{name}{suffix}") for name in "ab")
    assert after.get_data_dtype() == np.int16
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-6)
    assert after.header.get_zooms() == pytest.approx(before.header.get_zooms())
    expected = AIR + 1000 - values.astype(int)
    assert np.abs(np.asarray(after.dataobj) - expected).max() == 0
    assert bytes(after.header["descrip"].item()) == b""
    across = {"sagittal": 0, "coronal": 1, "axial": 2}[axis]
    [index] = np.flatnonzero(np.abs(affine[across, :3]) > 0.5)
    shapes: Any = asked.network.shapes
    assert sum(shape[0] for shape in shapes) == values.shape[index]


def test_volumes_of_unknown_units_are_windowed_by_their_quantiles(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((20, 20, 20)).astype(np.float32)
    values[3, 3, 3] = 1e6  # a hot voxel
    save_nifti(tmp_path / "a.nii.gz", values)
    report = translate_folder(
        translator(window=None, channels=3), tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    )
    assert report.streamed == (f"{tmp_path / 'a.nii.gz'}: 20 slices (axial)",)
    found = np.asarray(nibabel.load(tmp_path / "b.nii.gz").dataobj)
    low, high = np.quantile(values, (0.005, 0.995))
    np.testing.assert_allclose(found, values.clip(low, high), atol=2e-4)


@pytest.mark.parametrize("along", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1)])
def test_dicom_series_comes_back_as_a_series(along: tuple[float, ...], tmp_path: Path) -> None:
    values = scene((6, 7, 5))
    paths = save_series(tmp_path / "in" / "ct", values, along=along)
    report = translate_folder(translator(), tmp_path / "in", tmp_path / "out")
    assert (report.translated, report.failed) == (1, ())
    found = [pydicom.dcmread(tmp_path / "out" / "ct" / path.name) for path in paths]
    for number, (path, data) in enumerate(zip(paths, found, strict=True)):
        before = pydicom.dcmread(path)
        np.testing.assert_array_equal(data.pixel_array.astype(int) - 1024, values[number])
        for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert data[tag].value == before[tag].value
        assert data.SOPClassUID == before.SOPClassUID
        assert data.SOPInstanceUID != before.SOPInstanceUID
        text = str(data)
        assert all(word not in text for word in ("Doe", "4711", "1970", "Hospital", "1.2.3"))
    for tag in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert len({data[tag].value for data in found}) == 1
    again = Dicom(tmp_path / "out" / "ct" / path.name for path in paths)  # a volume again
    assert again.volume.values.shape == Dicom(paths).volume.values.shape
    translate_folder(translator(), tmp_path / "in", tmp_path / "kept", keep_metadata=True)
    kept = pydicom.dcmread(tmp_path / "kept" / "ct" / paths[0].name)
    assert kept.PatientName == "Doe^Jane"
    assert kept.SeriesInstanceUID != "1.2.3"


def test_other_units_than_those_of_the_input_get_a_scale(tmp_path: Path) -> None:
    paths = save_series(tmp_path / "ct", scene((4, 6, 5)))
    translate_folder(translator(made=(0.0, 2.5)), tmp_path / "ct", tmp_path / "out")
    data = pydicom.dcmread(tmp_path / "out" / paths[0].name)
    values = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    expected = (scene((4, 6, 5))[0] - WINDOW[0]) / (WINDOW[1] - WINDOW[0]) * 2.5
    np.testing.assert_allclose(values, expected, atol=1e-4)
    save_nifti(tmp_path / "a.nii", scene((4, 6, 5)))
    translate_folder(translator(made=(0.0, 2.5)), tmp_path / "a.nii", tmp_path / "b.nii")
    floating = nibabel.load(tmp_path / "b.nii")
    assert floating.get_data_dtype() == np.float32
    scaled = (scene((4, 6, 5)) - WINDOW[0]) / (WINDOW[1] - WINDOW[0]) * 2.5
    np.testing.assert_allclose(np.asarray(floating.dataobj), scaled, atol=1e-4)


def test_same_values_make_the_same_volume_of_both_kinds(tmp_path: Path) -> None:
    values = scene((6, 7, 5))  # slices, rows (to the back), columns (to the left)
    paths = save_series(tmp_path / "ct", values)
    affine = np.diag([-0.75, -0.5, 2.5, 1.0])
    affine[:3, 3] = (-5, 7, 11)
    save_nifti(tmp_path / "a.nii", values.transpose(2, 1, 0), affine)
    np.testing.assert_array_equal(
        Dicom(paths).volume.values, Nifti(tmp_path / "a.nii").volume.values
    )


def test_several_series_of_a_folder_are_told_apart_and_gaps_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save_series(folder / "both", scene((3, 6, 5)), uid="1.2.3")
    for path in save_series(tmp_path / "more", scene((4, 8, 5)), uid="1.2.4"):
        path.rename(folder / "both" / f"other{path.name}")
    save_series(folder / "gap", scene((6, 6, 5)), uid="1.2.5", skip=3)
    (folder / "broken.dcm").write_bytes(b"DICM")
    report = translate_folder(translator(), folder, tmp_path / "out")
    assert report.translated == 2
    reasons = {path.name: reason for path, reason in report.failed}
    assert reasons.keys() == {"gap", "broken.dcm"}
    assert reasons["gap"].startswith("its slices are not equally far from each other")
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 7
    again = translate_folder(translator(), folder, tmp_path / "out", skip_existing=True)
    assert (again.translated, again.skipped) == (0, 2)


def test_what_is_no_volume_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    save_nifti(folder / "time.nii", np.zeros((3, 3, 3, 4), np.int16))
    save_nifti(folder / "flat.nii", np.zeros((3, 3, 3), np.int16))
    (folder / "text.nii.gz").write_text("no volume")
    (folder / "empty.nii").write_bytes(b"")
    report = translate_folder(translator(window=None), folder, tmp_path / "out")
    reasons = {path.name: reason for path, reason in report.failed}
    assert reasons["time.nii"].startswith("it has 4 dimensions (3, 3, 3, 4)")
    assert reasons["flat.nii"] == "all of its values are 0"
    assert reasons.keys() == {"time.nii", "flat.nii", "text.nii.gz", "empty.nii"}
    assert all("\n" not in reason for reason in reasons.values())
    whole = translate_folder(translator(), folder / "flat.nii", tmp_path / "c.nii", size=8)
    assert whole.failed[0].reason.startswith("a volume is neither resized")


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_damage_anywhere_gives_a_translation_or_a_sentence(kind: str, tmp_path: Path) -> None:
    if kind == "nifti":
        save_nifti(tmp_path / "a.nii", scene((4, 5, 6)))
        sample = tmp_path / "a.nii"
    else:
        [sample] = save_series(tmp_path / "one", scene((1, 6, 5)))
    data = sample.read_bytes()
    draw = random.Random(0)
    folder = tmp_path / "in"
    for number in range(60):
        damaged = bytearray(data)
        for _ in range(draw.choice((1, 8, 64))):
            damaged[draw.randrange(len(data))] = draw.randrange(256)
        length = draw.choice((len(data), draw.randrange(len(data))))
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / sample.name).write_bytes(damaged[:length])
    report = translate_folder(translator(), folder, tmp_path / "out")
    assert report.translated + len(report.failed) == 60
    assert report.translated
    assert report.failed
    assert all("\n" not in reason for _, reason in report.failed)
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.parametrize(("name", "module"), [("a.nii", "nibabel"), ("a.dcm", "pydicom")])
def test_without_the_library_a_sentence_says_how_to_get_it(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"pip install 'i2i-toolkit\[medical\]'"):
        Nifti(tmp_path / name) if module == "nibabel" else Dicom([tmp_path / name])

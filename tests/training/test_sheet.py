import numpy as np
import torch

from i2i.training.sheet import picture_sheet


def test_pictures_stand_in_columns_and_rows() -> None:
    shades = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1)
    grey = shades.expand(3, 1, 60, 70)
    red = torch.stack([shades[:, 0], -torch.ones(3, 1, 1), -torch.ones(3, 1, 1)], dim=1)
    sheet = np.asarray(picture_sheet({"input": grey, "output": red.expand(3, 3, 60, 70)}))
    assert sheet.shape == (20 + 3 * 64, 4 + 2 * 74, 3)
    for row, value in enumerate((0, 128, 255)):
        middle = 20 + row * 64 + 30
        assert sheet[middle, 4 + 35].tolist() == [value] * 3
        assert sheet[middle, 4 + 74 + 35].tolist() == [value, 0, 0]
    assert sheet[:20].min() < 128  # the headings

"""How far a picture is from the truth: one value for each picture of a batch.

Pictures are (N, C, H, W) in -1..1, and every measure returns (N,) in float32.
"""

from torch import Tensor


def l1_distance(images: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference, 0..2: the same scale as the term `l1` of an objective."""
    return (images.float() - truth.float()).abs().mean(dim=(1, 2, 3))


def psnr(images: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB: 10 log10(peak^2 / mean squared difference), peak = 2.

    Equal pictures give 120 dB rather than infinity, so that a mean over pictures stays finite.
    """
    error = (images.float() - truth.float()).square().mean(dim=(1, 2, 3))
    return 10 * (4 / error.clamp_min(4e-12)).log10()


def ssim_index(images: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity, at most 1 (equal pictures).

    Wang, Bovik, Sheikh, Simoncelli: Image Quality Assessment: From Error Visibility to Structural
    Similarity, 2004; as published with an 11 x 11 Gaussian window inside the picture, which must
    therefore be at least 11 pixels high and wide.
    """
    from kornia.metrics import ssim  # takes half a second to import

    index: Tensor = ssim((images.float() + 1) / 2, (truth.float() + 1) / 2, 11, padding="valid")
    return index.mean(dim=(1, 2, 3))

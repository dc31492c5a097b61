"""What the networks have in common: normalisation, up-sampling, and the checks on their arguments.

Whatever is chosen here is one module at one place in the network, so that the numbering of the
layers, hence the names of the weights, stays the published one.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.errors import DataError, OptionsError, did_you_mean

NORMS = ("batch", "instance", "none")
UPSAMPLINGS = ("transposed", "resize")


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that can, outside training, normalise each image by itself.

    While training it is `nn.BatchNorm2d` and nothing else. In eval mode `per_image` decides:
    False normalises with the running statistics, True with the statistics of each image, which
    is what training mode computes for a batch of one, and leaves the running ones alone.

    Where `shares` processes train together, each on its share of a batch, `mean_of_all` (a tensor
    -> its mean over the processes, differentiable) makes the statistics those of the whole batch.
    `nn.SyncBatchNorm` is for CUDA alone, knows nothing of single images, and cannot be
    differentiated twice, as a gradient penalty does.
    """

    per_image: bool = False
    mean_of_all: Callable[[Tensor], Tensor] | None = None
    shares: int = 1

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.BatchNorm2d's name for it)
        """Normalise (N, C, H, W); per image, H * W must be more than one."""
        if self.per_image and not self.training:
            flat = F.instance_norm(
                input.flatten(2), weight=self.weight, bias=self.bias, eps=self.eps
            )
            return flat.reshape(input.shape)
        if self.training and self.mean_of_all is not None:
            return self._normalise_together(input, self.mean_of_all)
        return super().forward(input)

    def _normalise_together(
        self, images: Tensor, mean_of_all: Callable[[Tensor], Tensor]
    ) -> Tensor:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        exact = images.float() if images.dtype.itemsize < 4 else images
        variance, mean = torch.var_mean(exact, dim=(0, 2, 3), correction=0)
        # E[x^2] - E[x]^2 loses digits where the mean is large, so these few numbers have more.
        mean, variance = mean.double(), variance.double()
        moments = mean_of_all(torch.stack([mean, variance + mean.square()]))
        mean, variance = moments[0].to(exact), (moments[1] - moments[0].square()).to(exact)
        with torch.no_grad():
            count = self.shares * images.numel() // images.shape[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = self.weight * scale
        shift = -mean * scale
        if self.affine:
            shift = self.bias + shift
        return (exact * scale[:, None, None] + shift[:, None, None]).to(images.dtype)


class InstanceNorm2d(nn.InstanceNorm2d):
    """`nn.InstanceNorm2d` that has, outside training, the same choice as `BatchNorm2d` above.

    The choice matters only if it gathers running statistics (`track_running_stats=True`).

    Moreover its gradient is right in every memory format: for a batch of one in `channels_last`,
    torch 2.15 computes a wrong one on the CPU without a word. With an image's pixels in one
    dimension there is no such format, and the bug is gone.
    """

    per_image: bool = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.InstanceNorm2d's name for it)
        """Normalise (N, C, H, W); H * W must be more than one."""
        leave_alone = self.per_image and not self.training
        flat = F.instance_norm(
            input.flatten(2),
            None if leave_alone else self.running_mean,
            None if leave_alone else self.running_var,
            self.weight,
            self.bias,
            use_input_stats=self.training or self.per_image or not self.track_running_stats,
            momentum=self.momentum or 0.0,
            eps=self.eps,
        )
        return flat.reshape(input.shape)


def normalisation(norm: str, channels: int) -> nn.Module:
    """Return the normalisation called `norm` for `channels` channels.

    "batch" has a learnt scale and shift and running statistics; "instance" has none of them, as
    published, so that it computes the same in training and eval mode; "none" is the identity.

    Raises:
        OptionsError: `norm` is none of these.
    """
    match norm:
        case "batch":
            return BatchNorm2d(channels)
        case "instance":
            return InstanceNorm2d(channels)
        case "none":
            return nn.Identity()
    raise unknown("norm", norm, NORMS)


def has_bias(norm: str) -> bool:
    """Say whether the convolutions of a network have a bias: only with "instance".

    Batch normalisation brings a shift of its own. Instance normalisation cancels the bias and
    "none" could use one, yet the published weights have it with the former and not with the latter.
    A generator's last convolution and a discriminator's first have one always, and so has a
    PatchGAN's last.
    """
    return norm == "instance"


def upsampling(
    upsample: str, in_channels: int, out_channels: int, kernel_size: int, *, bias: bool
) -> nn.Module:
    """Return a module that maps (N, in_channels, H, W) to (N, out_channels, 2H, 2W).

    "transposed" is the published transposed convolution of stride 2 with `kernel_size` 3 or 4.
    "resize" repeats each pixel and convolves 3x3 after padding by reflection; it cannot draw the
    checkerboards that overlapping kernels give the former (Odena et al., "Deconvolution and
    checkerboard artifacts", Distill 2016).

    Raises:
        OptionsError: `upsample` is none of these.
    """
    match upsample:
        case "transposed":
            return nn.ConvTranspose2d(
                in_channels,
                out_channels,
                kernel_size,
                stride=2,
                padding=1,
                output_padding=kernel_size % 2,
                bias=bias,
            )
        case "resize":
            return nn.Sequential(
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.ReflectionPad2d(1),
                nn.Conv2d(in_channels, out_channels, 3, bias=bias),
            )
    raise unknown("upsample", upsample, UPSAMPLINGS)


class Enlarging(nn.Module):
    """The last layers of a generator whose images are larger than what it translates.

    A convolution 3x3 of features and input, doublings by `upsampling`, each of these with a
    normalisation and a ReLU, and a convolution 7x7 that sees the input once more, its pixels
    repeated: what a network has halved before does not know every pixel any more.

    Args:
        upscale: how many times wider and higher, a power of 2.
        in_channels: of the images to translate.
        channels: of the features.
        out_channels: of the translations.
        norm, upsample: as those of the network.
        adds_input: add the input, its pixels repeated, to what is in -1..1 then; of as many
            channels as the output.

    Raises:
        OptionsError: an unknown name; or it is to add an input of other channels.
    """

    def __init__(
        self,
        upscale: int,
        in_channels: int,
        channels: int,
        out_channels: int,
        *,
        norm: str,
        upsample: str,
        adds_input: bool,
    ) -> None:
        super().__init__()
        if adds_input and in_channels != out_channels:
            raise OptionsError(
                f"generator.adds_input (=true) adds an input of {in_channels} channels to a result "
                f"of {out_channels}: set it to false."
            )
        self.adds_input = adds_input
        bias = has_bias(norm)
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels + in_channels, channels, 3, bias=bias),
            normalisation(norm, channels),
            nn.ReLU(inplace=True),
        ]
        for _ in range(upscale.bit_length() - 1):
            layers += [
                upsampling(upsample, channels, channels, kernel_size=4, bias=bias),
                normalisation(norm, channels),
                nn.ReLU(inplace=True),
            ]
        self.up = nn.Sequential(*layers)
        self.enlarge = nn.Upsample(scale_factor=upscale, mode="nearest")
        self.image = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(channels + in_channels, out_channels, 7), nn.Tanh()
        )

    def forward(self, features: Tensor, images: Tensor) -> Tensor:
        """Map features (N, channels, H, W) and images (N, in_channels, H, W) to translations
        (N, out_channels, upscale * H, upscale * W) in -1..1, or in -2..2 if it adds the
        input."""
        larger = self.up(torch.cat([features, images], dim=1))
        enlarged = self.enlarge(images)
        made: Tensor = self.image(torch.cat([larger, enlarged], dim=1))
        return enlarged + made if self.adds_input else made


def enlarging(
    upscale: int,
    in_channels: int,
    channels: int,
    out_channels: int,
    norm: str,
    upsample: str,
    *,
    adds_input: bool,
) -> Enlarging | None:
    """The last layers of a generator with these options (see `Enlarging`); None where images keep
    their size.

    Raises:
        OptionsError: as for `Enlarging`; or it is to add an input of its own size.
    """
    if upscale > 1:
        how = {"norm": norm, "upsample": upsample}
        return Enlarging(upscale, in_channels, channels, out_channels, **how, adds_input=adds_input)
    if adds_input:
        raise OptionsError("generator.adds_input (=true) goes with generator.upscale above 1.")
    return None


def unknown(option: str, value: str, known: Iterable[str]) -> OptionsError:
    """Return the error that says that `option` cannot be `value`, and what it can be."""
    known = list(known)
    hint = did_you_mean(value, known)
    return OptionsError(f"{option} is {value!r}, but must be one of {', '.join(known)}.{hint}")


def require_at_least(option: str, value: int, minimum: int) -> None:
    """Raise an OptionsError if `value`, given as `option`, is below `minimum`."""
    if value < minimum:
        raise OptionsError(f"{option} is {value}, but must be at least {minimum}.")


def require_size(images: Tensor, *, minimum: int, multiple: int = 1) -> None:
    """Raise a DataError unless height and width are multiples of `multiple` from `minimum` on."""
    if torch.compiler.is_exporting():  # an exported graph would be tied to the sizes looked at here
        return
    height, width = images.shape[-2:]
    if min(height, width) < minimum or height % multiple or width % multiple:
        expected = f"at least {minimum}x{minimum} pixels"
        if multiple > 1:
            expected += f", height and width multiples of {multiple}"
        raise DataError(
            f"An image of {height}x{width} (height x width) does not fit this network, which "
            f"needs {expected}: resize, crop or pad it."
        )

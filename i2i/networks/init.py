"""Initial weights.

The published GANs start from N(0, 0.02) (Radford et al., "Unsupervised representation learning with
deep convolutional generative adversarial networks", ICLR 2016, section 3). The other schemes keep
the variance from layer to layer, in one sense or another.
"""

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from i2i.networks.blocks import unknown
from i2i.networks.spectral import HookedConv2d

INITIALISATIONS = ("normal", "xavier", "kaiming", "orthogonal")


def initialise(
    module: nn.Module, scheme: str = "normal", gain: float = 0.02, *, zero_biases: bool = True
) -> None:
    """Draw the weights of `module` afresh, in place, from torch's global generator.

    Convolutions (transposed ones too) and linear layers take their weights from `scheme`; batch
    normalisation takes its scale from N(1, gain); every bias becomes 0. Of a `HookedConv2d` the
    weight is drawn before it is divided by its singular value, and the vectors stay as they are.

    Args:
        module: the network, with everything in it.
        scheme: "normal": N(0, gain); "xavier": Glorot & Bengio 2010, times `gain`; "kaiming": He et
            al. 2015, by fan-in, without `gain`; "orthogonal": Saxe et al. 2014, times `gain`.
        gain: standard deviation or factor, depending on the scheme.
        zero_biases: False leaves the biases of convolutions and linear layers as they are, by
            default torch's uniform numbers, as the published pix2pixHD does.

    Raises:
        OptionsError: `scheme` is none of these.
    """
    if scheme not in INITIALISATIONS:
        raise unknown("initialisation", scheme, INITIALISATIONS)
    for layer in module.modules():
        # Its weight is computed from another tensor: drawing it would have no effect.
        assert not is_parametrized(layer, "weight"), f"{type(layer).__name__} draws its own weights"
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            weight = layer.weight_orig if isinstance(layer, HookedConv2d) else layer.weight
            match scheme:
                case "normal":
                    nn.init.normal_(weight, 0.0, gain)
                case "xavier":
                    nn.init.xavier_normal_(weight, gain)
                case "kaiming":
                    nn.init.kaiming_normal_(weight)
                case "orthogonal":
                    nn.init.orthogonal_(weight, gain)
            zero = zero_biases
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, gain)
            zero = True
        else:
            continue
        if layer.bias is not None and zero:
            nn.init.zeros_(layer.bias)

"""The first sixteen layers of VGG-19, whose features perceptual losses compare.

Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR
2015, configuration E.
"""

from torch import Tensor, nn

WIDTHS = (1, 2, 4, 8, 8)
CONVOLUTIONS = (2, 2, 4, 4, 1)
"""Of each size of the image, up to relu5_1."""


class VGG19Features(nn.Module):
    """Gives the features of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1.

    The weights have the names of torchvision's ("features.0.weight" ... "features.28.bias"), so
    that `load_state_dict(vgg19_weights, strict=False)` takes what there is of them. Nothing is
    trained: no parameter requires a gradient, and training mode changes nothing.

    Images are taken as they are: pix2pixHD and SPADE give it images in -1..1, though its weights
    were trained on images normalised channel by channel.

    Args:
        width: channels of the first layer; 64 in the published network.

    Attributes:
        minimum: smallest height and width of an image, 16.
    """

    minimum: int = 16

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        channels = 3
        for factor, convolutions in zip(WIDTHS, CONVOLUTIONS, strict=True):
            if layers:
                layers.append(nn.MaxPool2d(2))
            self.taps.append(len(layers) + 1)
            for _ in range(convolutions):
                before, channels = channels, factor * width
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) to five tensors (N, C, H / 2**i, W / 2**i), i from 0 to 4."""
        found = []
        for number, layer in enumerate(self.features):
            images = layer(images)
            if number in self.taps:
                found.append(images)
        return found

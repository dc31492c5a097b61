"""[generator] and [discriminator]: which network, and its shape."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from i2i.options.section import Count, Positive, Section

Norm = Literal["batch", "instance", "none"]
Upsample = Literal["transposed", "resize"]
InitScheme = Literal["normal", "xavier", "kaiming", "orthogonal", "torch"]


class Network(Section):
    width: Count = Field(64, description="channels of the first layer")
    init: InitScheme = "normal"
    init_gain: Positive = 0.02


class NormedNetwork(Network):
    norm: Norm = "batch"


class UNet(NormedNetwork):
    network: Literal["unet"]
    downs: Annotated[int, Field(ge=2)] = Field(8, description="times that the size is halved")
    dropout: bool = False
    upsample: Upsample = "transposed"


class ResNet(NormedNetwork):
    network: Literal["resnet"]
    blocks: Annotated[int, Field(ge=0)] = Field(9, description="residual blocks")
    dropout: bool = False
    upsample: Upsample = "transposed"


class PatchGAN(NormedNetwork):
    network: Literal["patchgan"]
    layers: Count = Field(3, description="strided layers; 3 judge patches of 70 x 70")


class PixelGAN(NormedNetwork):
    network: Literal["pixelgan"]


class StarGANGenerator(Network):
    network: Literal["stargan"]
    blocks: Annotated[int, Field(ge=0)] = Field(6, description="residual blocks")
    upsample: Upsample = "transposed"


class StarGANDiscriminator(Network):
    network: Literal["stargan"]
    layers: Count = Field(6, description="strided layers")


class DCGAN(Network):
    network: Literal["dcgan"]
    norm: Norm | Literal["layer"] = "batch"


class MLPGenerator(Network):
    network: Literal["mlp"]
    width: Count = Field(256, description="units of each hidden layer")
    layers: Count = Field(2, description="hidden layers")


class MLPDiscriminator(MLPGenerator):
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class SAGAN(Network):
    network: Literal["sagan"]
    init: Literal["torch"] = Field("torch", description="its layers draw their own weights")
    attention: Count = Field(32, description="height and width of the map that is attended to")


class ProGAN(Network):
    network: Literal["progan"]
    width: Count = Field(512, description="most channels of a layer")
    init: Literal["torch"] = Field("torch", description="its layers draw their own weights")


Generator = UNet | ResNet | StarGANGenerator | DCGAN | MLPGenerator | SAGAN | ProGAN
Discriminator = (
    PatchGAN | PixelGAN | StarGANDiscriminator | DCGAN | MLPDiscriminator | SAGAN | ProGAN
)


NETWORKS: dict[str, dict[str, type[Network]]] = {
    role: {
        get_args(section.model_fields["network"].annotation)[0]: section
        for section in get_args(networks)
    }
    for role, networks in (("generator", Generator), ("discriminator", Discriminator))
}
"""Role -> name of the network -> its section."""

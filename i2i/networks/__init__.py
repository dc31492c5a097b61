"""Generators and discriminators: plain modules, plain arguments, published weight names."""

from i2i.core.registry import networks, register_network
from i2i.networks.blocks import NORMS, UPSAMPLINGS
from i2i.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from i2i.networks.image_pool import ImagePool
from i2i.networks.inference import STATISTICS, has_dropout, set_inference
from i2i.networks.init import INITIALISATIONS, initialise
from i2i.networks.mlp import MLPDiscriminator, MLPGenerator
from i2i.networks.patchgan import PatchGAN, PixelGAN
from i2i.networks.progan import ProGANDiscriminator, ProGANGenerator
from i2i.networks.resnet import ResNet
from i2i.networks.sagan import SAGANDiscriminator, SAGANGenerator
from i2i.networks.stargan import StarGANDiscriminator, StarGANGenerator
from i2i.networks.unet import UNet

GENERATORS = networks("generator")
DISCRIMINATORS = networks("discriminator")

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "INITIALISATIONS",
    "NORMS",
    "STATISTICS",
    "UPSAMPLINGS",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "ImagePool",
    "MLPDiscriminator",
    "MLPGenerator",
    "PatchGAN",
    "PixelGAN",
    "ProGANDiscriminator",
    "ProGANGenerator",
    "ResNet",
    "SAGANDiscriminator",
    "SAGANGenerator",
    "StarGANDiscriminator",
    "StarGANGenerator",
    "UNet",
    "has_dropout",
    "initialise",
    "networks",
    "register_network",
    "set_inference",
]

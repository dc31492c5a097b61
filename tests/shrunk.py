"""Recipes made small enough to train in a second."""

from typing import Any

import torch

from i2i.config import Options
from i2i.config.recipes import load_options, recipes
from i2i.core.batch import Labelled, Referenced
from i2i.data.kinds import find_kind
from i2i.models.build import data_kind

SHRINK = (
    "train.steps=4",
    "train.batch_size=2",
    "train.log_every_steps=2",
    "train.validate_every_steps=2",
    "train.save_every_steps=2",
    "data.workers=0",
    "train.validation_share=1",
    "train.classifier_steps=0",
)


GROWING = """[
  { size = 4, batch_size = 3, fade = 0, hold = 1 },
  { size = 8, batch_size = 2, fade = 2, hold = 0 },
  { size = 16, batch_size = 2, fade = 2, hold = 1 },
]""".replace("\n", "")


def narrow(role: str, options: Options) -> list[str]:
    """Settings that make a network two channels wide, or about so."""
    match options.networks[role].network:
        case "stylegan2":
            own = ["style=4"] if role == "generator" else []
            narrowest = ["channel_base=64", "channel_max=4", "mapping_layers=2", *own]
        case "spade" if role == "generator":
            narrowest = ["width=2", "hidden=4"]
        case "pix2pixhd-global" | "pix2pixhd-enhancer":
            narrowest = ["width=2", "blocks=1"]
        case "r3gan":
            narrowest = ["width=[2]", "groups=[2]", "blocks=[1]"]
        case "projected" | "projected-classifier":
            narrowest = ["width=2", "enlarge_to=32"]
        case _:
            narrowest = ["width=2"]
    return [f"{role}.{each}" for each in narrowest]


def shrunk(recipe: str, *settings: str) -> Options:
    """The recipe at 16 pixels, four steps, two channels wide."""
    shape = {
        "unet": ["generator.downs=2"],
        "resnet": ["generator.blocks=1"],
        "antialiased-resnet": ["generator.blocks=1"],
        "stargan": ["generator.blocks=1"],
        "sagan": ["generator.attention=8", "discriminator.attention=8"],
    }
    options = load_options(recipe, size=16)
    small = [*SHRINK, *shape.get(options.generator.network, [])]
    small += [*narrow("generator", options), *narrow("discriminator", options)]
    if options.discriminator.network in ("patchgan", "stargan", "antialiased-patchgan"):
        small.append("discriminator.layers=1")
    if "patch_sampler" in options.networks:
        small += ["patch_sampler.width=4", "game.nce_layers=[0, 4, 12]", "game.num_patches=8"]
    if options.model == "spade-vae":
        small += ["style_encoder.width=1", "game.style=4"]
    elif "style_encoder" in options.networks:
        small += ["style_encoder.width=2", "mapping_network.hidden=4"]
        small += ["game.latent_size=3", "game.style_dim=4", "game.diversity_steps=2"]
    labelled = find_kind(data_kind(options)).batch is Labelled
    if labelled and not options.data.labels.names:
        small.append('data.domains=["red", "green", "blue"]')
    if options.latent is not None:
        small.append("latent.size=3")
    if options.growth is not None:  # a step for each of fading in and holding
        small.append(f"growth.stages={GROWING}")
    return load_options(recipe, *small, *settings, size=16)


def batch_for(model: Any, count: int = 2, size: int = 16, seed: int = 0) -> Any:
    """A batch of noise of the kind that a model learns from."""
    generator = torch.Generator().manual_seed(seed)
    channels = 3
    kind = find_kind(model.data)
    if not kind.translates:
        labels = torch.eye(len(model.labels.names))[:1] if model.class_conditional else None
        channels = model.make_images(model.latent.draw(1), labels).shape[1]
    shape = (2, count, channels, size, size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    if kind.batch is Labelled:
        labels = torch.eye(len(model.labels.names))[torch.arange(count) % len(model.labels.names)]
        labelled = Labelled(images[0], labels, torch.ones(count, len(model.labels.sets)))
        if model.references:
            return Referenced(*labelled, images[1], images[1].flip(0), labels.roll(1, 0))
        return labelled
    batch = kind.batch(*images)
    upscale = getattr(model.get_submodule(model.generators[0]), "upscale", 1)
    if upscale > 1:
        larger = batch.target.repeat_interleave(upscale, 2).repeat_interleave(upscale, 3)
        return batch._replace(target=larger)
    return batch


__all__ = ["batch_for", "recipes", "shrunk"]

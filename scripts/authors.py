"""The authors' own implementations as a second one for `scripts/benchmark.py --other`.

Needs a checkout of their code, which is not part of this project; AUTHORS names its folder:

    git clone https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix theirs
    AUTHORS=theirs scripts/benchmark.py --models cyclegan,pix2pix --other scripts/authors.py:step_of

    git clone https://github.com/yunjey/stargan theirs
    AUTHORS=theirs scripts/benchmark.py --models stargan --other scripts/authors.py:step_of

Their code runs unchanged, with the options of the recipe, in fp32 as they have it.
"""

import contextlib
import io
import os
import queue
import sys
import tempfile
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import torch

Step = Callable[[Any], None]


def step_of(options: Any, where: torch.device) -> Step:
    """Build their networks and optimizers; return what trains them on one batch."""
    folder = Path(os.environ.get("AUTHORS", ""))
    needed = "solver.py" if options.model == "stargan" else f"models/{MODULES[options.model]}.py"
    if not (folder / needed).is_file():
        raise click.UsageError(
            f"AUTHORS (={os.environ.get('AUTHORS')!r}) must be the folder of a checkout of the "
            f"authors' code, with {needed} in it."
        )
    sys.path.insert(0, str(folder.resolve()))
    with contextlib.redirect_stdout(io.StringIO()):  # they print their networks
        if options.model == "stargan":
            return stargan_step(options)
        return translation_step(options, where)


MODULES = {"pix2pix": "pix2pix_model", "cyclegan": "cycle_gan_model"}


def translation_step(options: Any, where: torch.device) -> Step:
    """Of pix2pix and CycleGAN."""
    import importlib

    generator, weights = options.generator, options.objective
    common = {
        "isTrain": True,
        "gpu_ids": [where.index or 0] if where.type == "cuda" else [],
        "device": where,
        "checkpoints_dir": tempfile.gettempdir(),
        "name": "unused",
        "preprocess": "resize_and_crop",
        "input_nc": options.data.input_channels,
        "output_nc": options.data.output_channels,
        "ngf": generator.width,
        "ndf": options.discriminator.width,
        "netG": unet(generator) if options.model == "pix2pix" else resnet(generator),
        "netD": "n_layers",
        "n_layers_D": options.discriminator.layers,
        "norm": generator.norm,
        "init_type": "normal",
        "init_gain": 0.02,
        "no_dropout": not generator.dropout,
        "lr": options.optimizer.learning_rate,
        "beta1": options.optimizer.betas[0],
        "pool_size": options.game.image_pool,
        "gan_mode": "vanilla" if options.model == "pix2pix" else "lsgan",
        "direction": "AtoB",
        "lambda_L1": weights.get("l1", 0.0),
        "lambda_A": weights.get("cycle_A", 0.0),
        "lambda_B": weights.get("cycle_B", 0.0),
        "lambda_identity": 0.5 if weights.get("identity_A") else 0.0,
        "continue_train": False,
        "load_iter": 0,
        "verbose": False,
        "lr_policy": "linear",
        "epoch_count": 1,
        "n_epochs": 100,
        "n_epochs_decay": 100,
    }
    opt = Namespace(**common)
    module = importlib.import_module(f"models.{MODULES[options.model]}")
    model = {"pix2pix": "Pix2PixModel", "cyclegan": "CycleGANModel"}[options.model]
    theirs = getattr(module, model)(opt)
    theirs.setup(opt)

    def step(batch: Any) -> None:
        theirs.set_input({"A": batch[0], "B": batch[1], "A_paths": [], "B_paths": []})
        theirs.optimize_parameters()

    return step


def unet(generator: Any) -> str:
    known = {7: "unet_128", 8: "unet_256"}
    if generator.network != "unet" or generator.downs not in known:
        raise click.UsageError("theirs is a U-Net of 7 or 8 levels: take --size 128 or 256.")
    return known[generator.downs]


def resnet(generator: Any) -> str:
    if generator.network != "resnet" or generator.blocks not in (6, 9):
        raise click.UsageError("theirs has 6 or 9 residual blocks: take --size 128 or 256.")
    return f"resnet_{generator.blocks}blocks"


def stargan_step(options: Any) -> Step:
    """Their `Solver.train` is one loop: it runs in a thread, whose batches come from here."""
    import importlib

    solver = importlib.import_module("solver")
    batches: queue.Queue[tuple[torch.Tensor, torch.Tensor]] = queue.Queue()
    asking = threading.Semaphore(0)

    class Loader:
        def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            while True:
                asking.release()  # the step before is over
                yield batches.get()

    never = 10**9
    weights = options.objective
    domains = len(options.data.labels.names)
    config = Namespace(
        c_dim=domains,
        c2_dim=0,
        image_size=options.data.crop_size,
        g_conv_dim=options.generator.width,
        d_conv_dim=options.discriminator.width,
        g_repeat_num=options.generator.blocks,
        d_repeat_num=options.discriminator.layers,
        lambda_cls=weights["classification"],  # of both players
        lambda_rec=weights["reconstruction"],
        lambda_gp=weights["gradient_penalty"],
        dataset="RaFD",
        batch_size=options.train.batch_size,
        num_iters=never,
        num_iters_decay=0,
        g_lr=options.optimizer.learning_rate,
        d_lr=options.optimizer.learning_rate,
        n_critic=options.game.n_critic,
        beta1=options.optimizer.betas[0],
        beta2=options.optimizer.betas[1],
        resume_iters=None,
        selected_attrs=[],
        test_iters=0,
        use_tensorboard=False,
        log_dir="",
        sample_dir="",
        model_save_dir="",
        result_dir="",
        log_step=never,
        sample_step=never,
        model_save_step=never,
        lr_update_step=never,
    )
    theirs = solver.Solver(None, Loader(), config)
    failed: list[BaseException] = []
    known: dict[torch.Tensor, torch.Tensor] = {}

    def run() -> None:
        try:
            theirs.train()
        except BaseException as error:
            failed.append(error)
            asking.release()
            raise

    threading.Thread(target=run, daemon=True).start()

    def give(batch: Any) -> None:
        asking.acquire()
        if failed:
            raise RuntimeError("the authors' loop has ended") from failed[0]
        if batch.labels not in known:  # theirs come from the processor, where they index with them
            known[batch.labels] = batch.labels.argmax(1).cpu()
        batches.put((batch.images, known[batch.labels]))

    begun = False

    def step(batch: Any) -> None:
        nonlocal begun
        if not begun:  # the images of their samples come first
            begun = True
            give(batch)
        give(batch)
        asking.acquire()  # until this step is over and the next batch is asked for
        asking.release()

    return step

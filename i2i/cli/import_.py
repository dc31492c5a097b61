"""`i2i import`"""

from pathlib import Path

import click

from i2i.cli.shared import answer, answering_programs


@click.command(
    epilog="""\b
Examples:
  i2i import horse2zebra.pth horse2zebra
  i2i import checkpoints/facades_pix2pix facades
  i2i import checkpoints/maps_cyclegan maps --epoch 100
  i2i import stargan_celeba/models/200000-G.ckpt celeba --attributes "black|blond|brown,male,young"
  i2i import runs/celeba celeba-named --domains happy,sad,angry
  i2i import checkpoints/label2city_512p cityscapes
  i2i import checkpoints/ade20k_pretrained ade20k --no-instances --dont-care
  i2i import 100000_nets_ema.ckpt animals --domains cat,dog,wild
  i2i import ffhq.pkl ffhq
  i2i translate photos/ translated/ --checkpoint runs/horse2zebra"""
)
@click.argument("source", metavar="FILE_OR_FOLDER", type=click.Path(path_type=Path))
@click.argument("name", metavar="RUN_NAME")
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default="runs",
    show_default=True,
    help="Where the folders of the runs are.",
)
@click.option(
    "--epoch",
    metavar="EPOCH",
    help="Which files of a folder: latest, 200, iter_5000, ...  [default: latest, or the highest]",
)
@click.option(
    "--domains",
    metavar="A,B,...",
    help="StarGAN, StarGAN v2: the names of the domains, in their order; StyleGAN2, R3GAN: of the "
    "classes.",
)
@click.option(
    "--attributes",
    metavar="A|B,C,...",
    help="StarGAN: or of its attributes; between those of which only one can hold stands |.",
)
@click.option(
    "--domains-2", metavar="A,B,...", help="The same of a second data set (--dataset Both)."
)
@click.option("--attributes-2", metavar="A|B,C,...", help="The same of a second data set.")
@click.option("--no-dropout", is_flag=True, help="The U-Net was trained without dropout.")
@click.option(
    "--eval",
    "evaluate",
    is_flag=True,
    help="Translate as the authors' code does with --eval: running statistics, no dropout.",
)
@click.option("--no-instances", is_flag=True, help="pix2pixHD, SPADE: trained with --no_instance.")
@click.option("--dont-care", is_flag=True, help="SPADE: trained with --contain_dontcare_label.")
@answering_programs
def command(
    source: Path,
    name: str,
    runs_dir: Path,
    epoch: str | None,
    domains: str | None,
    attributes: str | None,
    domains_2: str | None,
    attributes_2: str | None,
    no_dropout: bool,
    evaluate: bool,
    no_instances: bool,
    dont_care: bool,
    as_json: bool,
) -> None:
    """Make a run of weights that the authors' PyTorch code saved.

    FILE_OR_FOLDER is what CycleGAN, pix2pix, CUT, pix2pixHD and SPADE (latest_net_G.pth,
    latest_net_G_A.pth and latest_net_G_B.pth, or any other name) or StarGAN (200000-G.ckpt) save.
    Which network it is follows from the weights, every one of which must find its place. They do
    not tell whether a U-Net has dropout; one that comes alone is taken to have it. Nor do they tell
    the names of StarGAN's labels, which therefore have to be given. If they were wrong, give the
    run itself in the place of the file, another RUN_NAME, and the right ones.

    NUMBER_nets_ema.ckpt, or a folder with such files, is StarGAN v2 (--domains in the order of the
    alphabet, as its code reads them).

    NAME.pkl is a network of StyleGAN2 (stylegan2-ada-pytorch) or R3GAN. Such a file holds source
    code, which is not run: nothing but the weights is taken.

    The run translates as the authors' code does by default: each image is normalised by its
    own statistics, and dropout, where there is any, stays on.
    """
    from i2i.export.published import import_published
    from i2i.export.published_noise import import_pickled
    from i2i.export.published_styles import import_styled, styled_file

    if (domains and attributes) or (domains_2 and attributes_2):
        raise click.UsageError("Say either --domains or --attributes, of each data set.")
    if (domains_2 or attributes_2) and not (domains or attributes):
        raise click.UsageError("Name the labels of the first data set too.")
    only_domains = not (attributes or domains_2 or attributes_2 or no_dropout or evaluate)
    if (styled := styled_file(source, epoch)) is not None:
        if not only_domains or no_instances or dont_care:
            raise click.UsageError("Of a file of StarGAN v2 nothing but --domains is to be told.")
        import_styled(styled, name, runs_dir=runs_dir, domains=_split(domains or "", ","))
        return
    if source.suffix.lower() == ".pkl":
        if epoch or not only_domains:
            raise click.UsageError(
                "--epoch, --attributes, --no-dropout and --eval mean nothing to a pickle of "
                "StyleGAN2 or R3GAN."
            )
        named = _split(domains or "", ",")
        run = import_pickled(source, name, runs_dir=runs_dir, domains=named)
    else:
        run = import_published(
            source,
            name,
            runs_dir=runs_dir,
            epoch=epoch,
            domains=_split(domains or "", ","),
            attributes=_groups(attributes or ""),
            domains_2=_split(domains_2 or "", ","),
            attributes_2=_groups(attributes_2 or ""),
            no_dropout=no_dropout,
            evaluate=evaluate,
            no_instances=no_instances,
            dont_care=dont_care,
        )
    if as_json:
        answer({"run": run})


def _groups(text: str) -> list[list[str]]:
    return [_split(group, "|") for group in _split(text, ",")]


def _split(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]

"""`i2i push`"""

from pathlib import Path
from typing import Any

import click

from i2i.cli import say
from i2i.cli.shared import answer, answering_programs, describing_a_bundle


@click.command(
    epilog="""\b
Examples:
  i2i push runs/facades OWNER/facades --licence apache-2.0
  i2i push exported/ OWNER/facades --private"""
)
@click.argument("checkpoint", metavar="RUN_OR_FILE", type=click.Path(path_type=Path))
@click.argument("name", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Of a repository that is made: only you see it.")
@click.option(
    "--average/--raw",
    default=None,
    help="The moving average of the generator, or the weights as trained.  [default: the average "
    "if there is one]",
)
@describing_a_bundle
@answering_programs
def command(checkpoint: Path, name: str, private: bool, as_json: bool, **how: Any) -> None:
    """Upload the weights of a run, with configuration and model card, to a hub.

    That is the folder which `i2i export --format safetensors` writes; one that is written already
    is uploaded as it is. It needs `pip install 'i2i-toolkit[hub]'`, and a token: HF_TOKEN or
    `hf auth login`. Another hub than huggingface.co is named by HF_ENDPOINT.
    """
    from i2i.export.sources.hub import push

    where = push(checkpoint, name, private=private, **how)
    say(f"pushed to {where}; others use it as --checkpoint hub:{name}")
    if as_json:
        answer({"url": where, "checkpoint": f"hub:{name}"})

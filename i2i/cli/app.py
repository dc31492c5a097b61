"""`i2i app`"""

from pathlib import Path

import click

from i2i.cli.shared import show_in_browser


@click.command(
    epilog="""\b
Examples:
  i2i app
  i2i app zebras=zoo:horse2zebra faces.onnx       and these beside the runs
  i2i app --runs-dir /data/runs --data-dir /data
  i2i app --host 0.0.0.0 --token auto --no-open"""
)
@click.argument("models", metavar="[NAME=]RUN_OR_FILE...", nargs=-1)
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the folders of the runs are.",
)
@click.option(
    "--data-dir",
    "data_dirs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    help="A folder in which data sets may be looked at and trained on; may be repeated.  "
    "[default: the current folder]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: a free one."
)
@click.option(
    "--token",
    help="What browsers must tell; auto: make one; needed where --host lets other machines ask.  "
    "[default: the variable I2I_TOKEN]",
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..., or mps."
)
@click.option("--open/--no-open", "open_", default=True, help="Open it in a browser.")
def command(
    models: tuple[str, ...],
    runs_dir: Path,
    data_dirs: tuple[Path, ...],
    host: str,
    port: int,
    token: str | None,
    device: str,
    open_: bool,
) -> None:
    """Look at runs, try models and start trainings in a browser.

    What is named can be tried as the runs of the folder can, and so can the weights that come with
    i2i (`i2i zoo`).
    Without --host nobody but this machine can reach it.
    """
    from i2i.app.limits import Limits
    from i2i.app.server import address, listen, require_libraries, server, settle_token

    require_libraries()
    own_token = settle_token(token, host)
    from i2i.app import web
    from i2i.app.models import Models, named_models, zoo_models
    from i2i.app.service import Service
    from i2i.app.shelf import Shelf
    from i2i.app.trainings import Places
    from i2i.system.cpu import settle_threads
    from i2i.system.device import pick_device

    named = zoo_models() | named_models(models)
    pick_device(device)  # it complains before there is a page
    settle_threads()
    limits = Limits(bytes=2**28, pixels=2**26, seconds=600, per_client=256)
    at = listen(host, port)
    service = Service(Models(named, runs_dir=runs_dir, device=device, memory=2**32), limits)
    closing = web.Closing()
    app = web.build(
        service,
        Shelf(runs_dir),
        Places(data_dirs or (Path(),)),
        token=own_token,
        closing=closing,
    )
    url = address(at) + (f"/?token={own_token}" if own_token is not None else "")

    def greet() -> None:
        click.echo(f"{url}\nCtrl-C stops it; trainings go on.")
        if open_:
            show_in_browser(url)

    server(app, limits=limits, on_start=greet, on_stop=closing).run(sockets=[at])

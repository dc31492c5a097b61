"""`i2i serve`"""

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  i2i serve                                       all runs under runs/, by their names
  i2i serve horses=runs/NAME faces=faces.onnx zoo:horse2zebra
  i2i serve runs/NAME --host 0.0.0.0 --token auto
\b
and then
  curl -F image=@photo.jpg http://127.0.0.1:8000/v1/translate -o result.png"""
)
@click.argument("models", metavar="[NAME=]RUN_OR_FILE...", nargs=-1)
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Without arguments, all runs in this folder are served, also those that are yet to come.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: a free one."
)
@click.option(
    "--token",
    help="What clients must tell as 'Authorization: Bearer TOKEN'; auto: make one; needed where "
    "--host lets other machines ask.  [default: the variable I2I_TOKEN]",
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..., or mps."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Arithmetic of the networks.",
)
@click.option(
    "--best", is_flag=True, help="Of runs, serve the checkpoint with the best validation."
)
@click.option(
    "--average/--raw",
    default=None,
    help="Use the moving average of the generators, or the weights as trained.",
)
@click.option(
    "--model-memory",
    type=click.FloatRange(min=0, min_open=True),
    default=4.0,
    show_default=True,
    metavar="GIB",
    help="Memory for the weights of all loaded models; those longest unused make room.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Images of equal size of different clients that are computed together.",
)
@click.option(
    "--max-megabytes",
    type=click.FloatRange(min=0, min_open=True),
    default=32.0,
    show_default=True,
    help="Size of a request; more is answered with 413.",
)
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0, min_open=True),
    default=16.0,
    show_default=True,
    help="Size of an image; more is answered with 413.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that a request may take; more is answered with 504.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Requests at the same time; more are answered with 503.",
)
@click.option(
    "--max-per-client",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Requests at the same time of one address; more are answered with 429.",
)
@click.option(
    "--trust-proxy",
    metavar="ADDRESS",
    help="Address of a proxy in front that is believed who the clients are (X-Forwarded-For).",
)
def command(
    models: tuple[str, ...],
    runs_dir: Path,
    host: str,
    port: int,
    token: str | None,
    device: str,
    precision: str,
    best: bool,
    average: bool | None,
    model_memory: float,
    batch_size: int,
    max_megabytes: float,
    max_megapixels: float,
    timeout: float,
    max_requests: int,
    max_per_client: int,
    trust_proxy: str | None,
) -> None:
    """Answer programs over HTTP with trained models, loaded when they are first asked for.

    The reference of the interface is at /docs of the server.
    """
    from i2i.app.limits import Limits
    from i2i.app.server import address, listen, require_libraries, server, settle_token

    require_libraries()
    own_token = settle_token(token, host)
    limits = Limits(
        bytes=round(max_megabytes * 2**20),
        pixels=round(max_megapixels * 1e6),
        seconds=timeout,
        requests=max_requests,
        per_client=max_per_client,
    )
    from i2i.app import api
    from i2i.app.models import Models, named_models
    from i2i.app.service import Service
    from i2i.system.cpu import settle_threads
    from i2i.system.device import pick_device

    named = named_models(models)
    pick_device(device)  # it complains before there are clients
    settle_threads()
    at = listen(host, port)
    service = Service(
        Models(
            named,
            runs_dir=None if named else runs_dir,
            device=device,
            precision=precision,
            memory=model_memory * 2**30,
            average=average,
            best=best,
            batch={"most": batch_size},
        ),
        limits,
    )

    def greet() -> None:
        names = list(service.models.names())
        click.echo(f"serving {', '.join(names) or f'what will be in {runs_dir}'} at {address(at)}")
        click.echo(f"reference: {address(at)}/docs; Ctrl-C stops it")
        if token == "auto":
            click.echo(f"token: {own_token}")

    app = api.build(service, token=own_token)
    server(app, limits=limits, on_start=greet, trust_proxy=trust_proxy).run(sockets=[at])

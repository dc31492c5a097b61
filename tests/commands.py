"""What the command line answers."""

from click.testing import CliRunner, Result

from i2i import cli
from i2i.errors import I2iError


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, list(map(str, arguments)))


def complaint(*arguments: object) -> str:
    """What a person reads when something cannot be done."""
    result = invoke(*arguments)
    assert isinstance(result.exception, I2iError | SystemExit), result.exception
    assert result.exit_code != 0
    return str(result.exception) if isinstance(result.exception, I2iError) else result.output

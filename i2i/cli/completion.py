"""`i2i completion`"""

import click

SHELLS = {
    "bash": 'eval "$(i2i completion bash)"            # in ~/.bashrc',
    "zsh": 'eval "$(i2i completion zsh)"             # in ~/.zshrc',
    "fish": "i2i completion fish | source             # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in SHELLS.values()))
@click.argument("shell", type=click.Choice(list(SHELLS)))
def command(shell: str) -> None:
    """Print what makes a shell complete commands, flags and names behind the tab key."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "i2i", "_I2I_COMPLETE").source())

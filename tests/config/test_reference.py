"""The reference of all options."""

import re

from click.testing import CliRunner

from i2i.cli import cli
from i2i.config.reference import Option, all_options, markdown


def test_every_option_says_what_it_means() -> None:
    assert [each.path for each in all_options() if not each.meaning] == []


def test_a_page_has_a_table_for_each_table_of_a_recipe() -> None:
    page = markdown(
        [
            Option("model", "text", "required", "the game"),
            Option("train.seed", "integer >= 0", "0", "of all"),
            Option("generator.norm", '"batch" | "none"', '"batch"', "a | b", ("unet", "resnet")),
            Option("train.steps", "integer", "none", "length"),
        ]
    )
    head = "| option | type | default | meaning |\n| --- | --- | --- | --- |\n"
    assert page == (
        f"## At the top\n\n{head}"
        "| `model` | text | `required` | the game |\n"
        f"\n## `[train]`\n\n{head}"
        "| `train.seed` | integer >= 0 | `0` | of all |\n"
        "| `train.steps` | integer | `none` | length |\n"
        "\n## `[generator]`\n\n"
        "| option | type | default | meaning | used by |\n| --- | --- | --- | --- | --- |\n"
        '| `generator.norm` | "batch" \\| "none" | `"batch"` | a \\| b | unet, resnet |\n'
    )


def test_the_command_writes_every_option_once_with_the_values_of_a_recipe() -> None:
    result = CliRunner().invoke(cli, ["options", "--markdown"])
    rows = re.findall(r"^\| `([^`]+)` \|", result.output, re.MULTILINE)
    assert set(rows) == {each.path for each in all_options()}
    result = CliRunner().invoke(cli, ["options", "optimizer.", "--recipe", "wgan", "--markdown"])
    assert '| `optimizer.name` | "adam" \\| "rmsprop" \\| "sgd" | `rmsprop` |' in result.output

"""Commands that are printed can be pasted, whatever the folders are called."""

import ast
import re
from pathlib import Path

import i2i

PACKAGE = Path(i2i.__file__).parent
COMMANDS = "start|train|translate|evaluate|report|sample|doctor|datasets|import|export|info"
IN_A_COMMAND = re.compile(rf"(\bi2i ({COMMANDS})|\btensorboard --logdir)\b[^`\"<;\n]*$")
NO_PATHS = {"_TRAIN[kind]", "direction", "quick", "cure"}


def unquoted(source: str) -> list[str]:
    """What stands in a command of an f-string and is not quoted for the shell."""
    if not re.search(COMMANDS, source):
        return []
    tree = ast.parse(source)
    quoted = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "shlex" in ast.dump(node.value)
        for name in node.targets
        if isinstance(name, ast.Name)
    }
    found = []
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            value = ast.unparse(part.value)
            is_fine = value.startswith(("shlex.quote(", "quote(")) or value in quoted | NO_PATHS
            if IN_A_COMMAND.search(text) and not is_fine:
                found.append(value)
            text += "x"
    return found


def test_the_test_finds_what_it_looks_for() -> None:
    assert unquoted('f"go on with: i2i train --resume {folder}"') == ["folder"]
    assert unquoted('f"see `i2i doctor {root}` and {other}"') == ["root"]
    assert unquoted('f"i2i train --resume {shlex.quote(str(folder))}"') == []
    assert unquoted('f = shlex.quote(x)\nf"i2i train --resume {f}"') == []
    assert unquoted('f"{a} is no run of i2i: {b}"') == []


def test_paths_in_commands_are_quoted() -> None:
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in PACKAGE.rglob("*.py")
        if (names := unquoted(path.read_text(encoding="utf-8")))
    }
    assert found == {}

"""What was logged of a run, as a table."""

import importlib.util
from pathlib import Path
from typing import Any

from i2i.errors import OptionsError
from i2i.runs.folder import Run, no_run
from i2i.runs.log import Row, read_log


def history(run: Path | str, *, frame: bool | None = None) -> Any:
    """What was logged of a run, a row for each logged step, validation beside training::

        i2i.history("runs/mine").plot(y=["generator/l1", "validation/l1"])

    Arguments:
        run: its folder.
        frame: whether it shall be a DataFrame of pandas, with the step as its index; by default if
            pandas is installed.

    Returns:
        the table, or a list of dictionaries of equal keys: "step" and what was logged
        (`i2i.core.signals`), None where it was not logged in that step or not finite.

    Raises:
        RunError: there is no such run, or no log in it.
        OptionsError: pandas is wanted and not installed.
    """
    log = Run(Path(run)).log
    if not log.exists():
        raise no_run(Path(run), f"it has no {log.name} inside")
    rows: dict[int, Row] = {}
    for row in read_log(log).rows:
        rows.setdefault(row["step"], {}).update(row)
    names = ["step", *sorted({name for row in rows.values() for name in row} - {"step"})]
    table = [{name: row.get(name) for name in names} for row in rows.values()]
    there = importlib.util.find_spec("pandas") is not None
    if frame and not there:
        raise OptionsError("frame (=True) needs pandas: pip install pandas, or leave it out.")
    if frame is False or not there:
        return table
    pandas: Any = importlib.import_module("pandas")
    return pandas.DataFrame(table, columns=names).set_index("step").astype(float)

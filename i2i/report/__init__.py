"""One page about one run: a single HTML file that needs no server and no network.

`read_record` takes in what a run folder holds, however damaged; `render` makes the page of it.
"""

from i2i.report.page import render, write_report
from i2i.report.record import Record, read_record

__all__ = ["Record", "read_record", "render", "write_report"]

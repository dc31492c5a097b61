"""Image grids that something else has written into the run folder."""

from pathlib import Path

from run_folder import make_run

from i2i.report.page import write_report


def test_a_sheet_that_is_damaged_in_its_chunks_is_left_out(tmp_path: Path) -> None:
    """Pillow raises a SyntaxError for it, which is neither OSError nor ValueError."""
    run = make_run(tmp_path / "run", steps=200, noise=True)
    sheet = sorted((run / "samples").glob("*.png"))[0]
    data = sheet.read_bytes()
    at = data.index(b"IDAT")
    sheet.write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
    page = write_report(run).read_text()
    assert page.count("data:image/jpeg") == 1

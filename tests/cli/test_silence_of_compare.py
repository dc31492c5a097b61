"""While runs are evaluated for a table, only what takes long is said."""

import logging

import pytest

from i2i.cli.compare import _in_silence


def test_what_takes_long_is_said_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    data, measures = logging.getLogger("i2i.data"), logging.getLogger("i2i.metrics.classifier")
    with caplog.at_level("INFO", "i2i"):
        with _in_silence():
            data.info("24 images")
            data.warning("one is broken")
            measures.info("this may take minutes")
        data.info("afterwards")
    assert caplog.messages == ["one is broken", "this may take minutes", "afterwards"]
    with caplog.at_level("WARNING", "i2i"), _in_silence():  # who wants less has less
        measures.info("not this")
    assert "not this" not in caplog.messages

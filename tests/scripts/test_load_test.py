"""The load test of the server, for a few seconds: clients that behave and clients that do not."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def load_test() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "load_test.py"
    spec = importlib.util.spec_from_file_location("load_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_request_is_lost_and_none_is_answered_with_the_image_of_another(
    load_test: ModuleType,
) -> None:
    found = load_test.load(seconds=2, clients=9)  # two of which are malformed, and one rude
    assert found["requests"]["right"] > 5
    assert found["requests"]["refused"] > 0
    assert found["lost_or_wrong"] == 0, found["requests"]
    assert found["active_at_the_end"] == 0
    assert found["memory_last_quarter"] < found["memory_first_quarter"] + 100

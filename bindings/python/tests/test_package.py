"""What the package says of itself is so: documentation, types, statuses."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kaffic
import kaffic.aio
import kaffic.errors

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["Ack", "ConsumerRecord", "Deliveries", "Delivery", "Record"])
def test_examples_of_the_native_half(name: str) -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(kaffic, name), name)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_everything_public_is_documented() -> None:
    for name in kaffic.__all__:
        public = getattr(kaffic, name)
        assert inspect.getdoc(public), name
        for part in vars(public):
            if not part.startswith("_") and callable(getattr(public, part)):
                assert inspect.getdoc(getattr(public, part)), f"{name}.{part}"


def test_every_status_has_a_class() -> None:
    source = (ROOT / "bindings/shared/src/failure.rs").read_text()
    statuses = set(re.findall(r'= \d+, "([A-Z0-9_]+)";', source)) - {"OK"}
    assert len(statuses) > 20 and statuses == set(kaffic.errors._BY_STATUS)
    for status in statuses:
        error = kaffic.errors.make(status, "m", True, True, 1, 2)
        assert isinstance(error, kaffic.KafficError) and str(error) == "m"
        assert (error.status, error.retriable, error.outcome_unknown) == (status, True, True)
        assert (error.earliest, error.tail) == (1, 2)
        assert type(error).__name__ in kaffic.__all__
    assert issubclass(kaffic.KafficTimeout, TimeoutError)
    assert issubclass(kaffic.InvalidArgument, ValueError)


def tool(*command: str, where: Path = HERE) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_types(checker: str) -> None:
    pytest.importorskip(checker)
    own = ["--pythonpath", sys.executable] if checker == "pyright" else []
    tool(checker, *own, "python/kaffic", "tests/typed.py")


def test_stubs_are_as_the_runtime() -> None:
    pytest.importorskip("mypy")
    # From elsewhere than here, where the package would lack its native half.
    tool("mypy.stubtest", "kaffic", where=ROOT)

"""A store for each test: a new directory, or a prefix of its own on the server that is named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kaffic


@pytest.fixture
def url(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    server = os.environ.get("KAFFIC_TEST_URL")
    if not server:
        return f"file://{tmp_path}/store"
    name = re.sub(r"[^a-z0-9]+", "-", request.node.nodeid.lower())
    return f"{server.rstrip('/')}/python-{os.getpid()}-{name}"


@pytest.fixture
def options() -> dict[str, str]:
    given = os.environ.get("KAFFIC_TEST_OPTIONS", "") if os.environ.get("KAFFIC_TEST_URL") else ""
    return dict(option.split("=", 1) for option in given.split(",") if option)


@pytest.fixture
def client(url: str, options: dict[str, str]) -> Iterator[kaffic.Client]:
    with kaffic.connect(url, **options) as client:
        yield client

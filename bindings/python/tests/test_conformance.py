"""The scenarios that every language runs, with both kinds of client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import kaffic
import kaffic.aio
from scenarios import scenarios, steps
from world import World, done


@pytest.mark.parametrize("kind", [kaffic, kaffic.aio], ids=["sync", "asyncio"])
@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_scenario(kind, path: Path, url: str, options: dict[str, str]) -> None:
    async def play() -> None:
        client = await done(kind.connect(url, **options))
        world = World(client)
        try:
            for step in steps(path):
                try:
                    await world.take(step)
                except Exception as error:
                    at = f"{path.name}:{step.line}: {step.text}"
                    raise AssertionError(f"{at}: {error!r}") from error
        finally:
            await done(client.close())

    asyncio.run(play())

"""A web service that writes orders to a topic, and answers when they are durable.

    pip install fastapi uvicorn
    KAFFIC_STORE=s3://bucket/prefix uvicorn web:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import kaffic
import kaffic.aio
import kaffic.json
from fastapi import FastAPI, HTTPException, Request


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with kaffic.aio.connect(os.environ["KAFFIC_STORE"]) as client:
        async with client.producer("orders", create_topic=3) as producer:
            app.state.producer = producer
            yield
        # Leaving this, everything that was sent is in the log.


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{customer}", status_code=201)
async def order(customer: str, request: Request) -> dict[str, int]:
    try:
        value = kaffic.json.dumps(await request.json())
    except ValueError as error:
        raise HTTPException(400, "the body is no JSON") from error
    try:
        ack = await request.app.state.producer.send(value, key=customer.encode())
    except kaffic.KafficError as error:
        # 503 asks the caller to try again.
        raise HTTPException(503 if error.retriable else 500, str(error)) from error
    return {"partition": ack.partition, "offset": ack.offset}

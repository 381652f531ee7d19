"""Some hours of a topic as a data frame.

    pip install polars
    KAFFIC_STORE=s3://bucket/prefix python frame.py orders 2026-01-31T00:00:00Z 2026-01-31T06:00:00Z
"""

from __future__ import annotations

import os
import sys
from datetime import datetime

import kaffic
import polars as pl


def frame(client: kaffic.Client, topic: str, start: datetime, until: datetime) -> pl.DataFrame:
    columns = {"partition": pl.UInt32, "offset": pl.Int64, "time": pl.Int64, "key": pl.Binary, "value": pl.Binary}
    parts = []
    with client.consumer(topic, start=start, until=until) as consumer:
        while records := consumer.poll_batch(10_000):
            rows = [(r.partition, r.offset, r.timestamp, r.key, r.value) for r in records]
            parts.append(pl.DataFrame(rows, schema=columns, orient="row"))
    whole = pl.concat(parts) if parts else pl.DataFrame(schema=columns)
    return whole.with_columns(pl.col("time").cast(pl.Datetime("ms", "UTC")))


if __name__ == "__main__":
    topic, *times = sys.argv[1:]
    start, until = (datetime.fromisoformat(time) for time in times)
    with kaffic.connect(os.environ["KAFFIC_STORE"]) as client:
        print(frame(client, topic, start, until))

"""A worker of a group: as many of these as there are partitions may run at once, anywhere.

    KAFFIC_STORE=s3://bucket/prefix python worker.py orders billing

It stops at Ctrl-C or SIGTERM, after the record at hand. A record that can't be processed stops it; what
was not committed comes again, here or at another worker.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

import kaffic
import kaffic.json

log = logging.getLogger("worker")


def process(order: object) -> None:
    log.info("processed %s", order)


def main(topic: str, group: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    with (
        kaffic.connect(os.environ["KAFFIC_STORE"]) as client,
        client.consumer(
            topic,
            group=group,
            auto_commit="1s",
            on_assigned=lambda at: log.info("got %s", [f"{t}:{p}" for t, p in at]),
            on_revoked=lambda at: log.info("gave %s", [f"{t}:{p}" for t, p in at]),
        ) as consumer,
    ):
        # Not in the middle of a record: that would count as processed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: consumer.wakeup())
        try:
            for record in consumer:
                process(kaffic.json.value(record))
        except kaffic.Interrupted:
            log.info("stopping")


if __name__ == "__main__":
    main(*sys.argv[1:])

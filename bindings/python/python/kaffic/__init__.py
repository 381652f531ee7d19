"""A message log with no broker: topics, partitions and offsets on any object storage.

>>> import kaffic
>>> with kaffic.connect("memory://") as client:
...     topic = client.create_topic("orders", partitions=3)
...     with client.producer("orders") as producer:
...         ack = producer.send(b"two coffees", key=b"table 7").result()
...     with client.consumer("orders", until="latest") as consumer:
...         for record in consumer:
...             print(record.key, record.value)
b'table 7' b'two coffees'

``kaffic.aio`` has the same for asyncio.
"""

from kaffic._answers import (
    AdoptedBlock,
    Adoption,
    Bucket,
    Check,
    Compaction,
    ConsumerMetrics,
    Deletion,
    Durations,
    Examination,
    Group,
    GroupListing,
    GroupPartition,
    Issue,
    Member,
    Metrics,
    OperationMetrics,
    PartitionLag,
    ProducerMetrics,
    StorageMetrics,
    Topic,
    Trimmed,
    Verification,
)
from kaffic._client import Client, connect
from kaffic._consumer import Consumer
from kaffic._kaffic import Ack, ConsumerRecord, Deliveries, Delivery, Record
from kaffic._producer import Producer
from kaffic._values import Committed, TopicPartition
from kaffic.errors import (
    ClockSkew,
    Closed,
    ConditionFailed,
    Corrupt,
    Denied,
    Fenced,
    Forked,
    GroupNotEmpty,
    GroupNotFound,
    InCallback,
    InternalError,
    Interrupted,
    InvalidArgument,
    KafficError,
    KafficTimeout,
    OffsetOutOfRange,
    QueueFull,
    RecordTooLarge,
    TopicExists,
    TopicNotFound,
    Unavailable,
    UnknownSetting,
    UnsafeStore,
    Unsupported,
)

__all__ = [
    "Ack",
    "AdoptedBlock",
    "Adoption",
    "Bucket",
    "Check",
    "Client",
    "ClockSkew",
    "Closed",
    "Committed",
    "Compaction",
    "ConditionFailed",
    "Consumer",
    "ConsumerMetrics",
    "ConsumerRecord",
    "Corrupt",
    "Deletion",
    "Deliveries",
    "Delivery",
    "Denied",
    "Durations",
    "Examination",
    "Fenced",
    "Forked",
    "Group",
    "GroupListing",
    "GroupNotEmpty",
    "GroupNotFound",
    "GroupPartition",
    "InCallback",
    "InternalError",
    "Interrupted",
    "InvalidArgument",
    "Issue",
    "KafficError",
    "KafficTimeout",
    "Member",
    "Metrics",
    "OffsetOutOfRange",
    "OperationMetrics",
    "PartitionLag",
    "Producer",
    "ProducerMetrics",
    "QueueFull",
    "Record",
    "RecordTooLarge",
    "StorageMetrics",
    "Topic",
    "TopicExists",
    "TopicNotFound",
    "TopicPartition",
    "Trimmed",
    "Unavailable",
    "UnknownSetting",
    "UnsafeStore",
    "Unsupported",
    "Verification",
    "connect",
]

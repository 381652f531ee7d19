//! The format, as other programs will rely on it: keys, JSON and bytes, against a second writing-down
//! of it. What changes here can't be read by what is installed.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use kaffic_core::env::{Env, SystemEnv};
use kaffic_core::{Header as RecordHeader, MinExpiry, Record, TopicConfig, Until};
use serde_json::{Value, json};
use std::time::Duration;
use support::format::{
    BatchHead, BatchRecord, HEADER_LEN, Header, batch, block_key, parse_batch, slot_key, topic_key,
};
use support::lab::{HOUR, Lab};
use support::{TestStore, read_on, stores, values};

/// A time for records.
const TIME: i64 = 1_800_000_000_000;

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

async fn json(store: &TestStore, key: &str) -> Value {
    parse(&store.object(key).await)
}

fn record(offset: i64, timestamp: i64, value: &str) -> BatchRecord {
    let value = Some(value.as_bytes().to_vec());
    BatchRecord { timestamp, offset, value, ..BatchRecord::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_what_the_format_says() {
    for store in stores() {
        assert_format_is_kept(&store).await;
    }
}

async fn assert_format_is_kept(store: &TestStore) {
    let begun = SystemEnv::new().now_ms();
    let client = store.connect().await;
    let config = TopicConfig::new().partitions(12).slots_per_block(2);
    client.topics().create("orders", config).await.unwrap();
    let producer = client.producer("orders").build().await.unwrap();
    let first = vec![
        Record::value("paid").key("customer-7").header("a", "1").timestamp(TIME + 5),
        Record {
            headers: vec![RecordHeader::new("n", None), RecordHeader::new("", Some("".into()))],
            ..Record::tombstone("").timestamp(TIME - 1000)
        },
        Record { key: None, ..Record::value("").timestamp(TIME) },
    ];
    producer.append(0, first, None).await.unwrap();
    producer.append(0, vec![Record::value("second").timestamp(7)], None).await.unwrap();
    producer.append(0, vec![Record::value("third").timestamp(TIME + 9)], None).await.unwrap();
    let eleven = Record::value("elsewhere").timestamp(TIME).partition(11);
    producer.send(eleven).await.unwrap();
    producer.close().await.unwrap();

    assert_eq!(
        store.keys("").await,
        [
            "data/orders/0/00000/000000000/000/000",
            "data/orders/0/00000/000000000/000/001",
            "data/orders/0/00000/000000000/001/000",
            "data/orders/0/00000/000000000/001/001",
            "data/orders/0/00011/000000000/000/000",
            "data/orders/0/00011/000000000/000/001",
            "meta/logs/orders/0/00000/000000000/000/end",
            "meta/logs/orders/0/00000/000000000/000/open",
            "meta/logs/orders/0/00000/000000000/001/end",
            "meta/logs/orders/0/00000/000000000/001/open",
            "meta/logs/orders/0/00011/000000000/000/end",
            "meta/logs/orders/0/00011/000000000/000/open",
            "meta/topics/orders/000000000",
        ]
    );

    // Times are the writer's clock or the storage's stamps.
    let written = begun..=SystemEnv::new().now_ms();
    let opened = [0, 1].map(|block| block_key("orders", block, "open"));
    let opened = [store.stamp(&opened[0]).await, store.stamp(&opened[1]).await];

    let topic = json(store, &topic_key("orders", 0)).await;
    let nonce = topic["nonce"].as_str().expect("text");
    assert!(nonce.len() == 16 && nonce.bytes().all(|b| b.is_ascii_hexdigit()), "{nonce}");
    let created = topic["created_ms"].as_i64().expect("a number");
    assert!(written.contains(&created), "{created}");
    assert_eq!(
        topic,
        json!({"format": 1, "incarnation": 0, "deleted": false, "partitions": 12,
            "min_expiry_ms": 86_400_000, "slots": 2, "created_ms": created, "nonce": nonce})
    );
    assert_eq!(
        json(store, &block_key("orders", 0, "open")).await,
        json!({"format": 1, "base_offset": 0, "max_timestamp": null, "lease_ms": 43_200_000,
            "min_expiry_ms": 86_400_000, "slots": 2, "max_records": 100_000})
    );
    assert_eq!(
        json(store, &block_key("orders", 1, "open")).await,
        json!({"format": 1, "base_offset": 4, "max_timestamp": TIME + 5,
            "lease_ms": 43_200_000, "min_expiry_ms": 86_400_000, "slots": 2,
            "max_records": 100_000})
    );
    let checksum =
        async |block, slot| Header::checksum(&store.object(&slot_key("orders", block, slot)).await);
    assert_eq!(
        json(store, &block_key("orders", 0, "end")).await,
        json!({"format": 1, "verdict": {"slots": 2}, "next_offset": 4,
            "max_timestamp": TIME + 5, "opened": opened[0],
            "checksums": [checksum(0, 0).await, checksum(0, 1).await], "closed": false})
    );
    assert_eq!(
        json(store, &block_key("orders", 1, "end")).await,
        json!({"format": 1, "verdict": {"slots": 2}, "next_offset": 5,
            "max_timestamp": TIME + 9, "opened": opened[1],
            "checksums": [checksum(1, 0).await, checksum(1, 1).await], "closed": false})
    );

    let object = store.object(&slot_key("orders", 0, 0)).await;
    let header = Header::parse(&object);
    let id = header.producer_id;
    assert!(id >= 0);
    assert!(written.contains(&header.append_time), "{}", header.append_time);
    assert_eq!(
        header,
        Header {
            record_count: 3,
            batch_len: (object.len() - HEADER_LEN) as u32,
            max_timestamp: TIME + 5,
            append_time: header.append_time,
            nonce: header.nonce,
            producer_id: id,
            lease_ms: 43_200_000,
            app_sequence: -1,
            opened: opened[0],
            ..Header::default()
        }
    );
    let head = BatchHead {
        base_timestamp: TIME + 5,
        max_timestamp: TIME + 5,
        producer_id: id,
        ..BatchHead::default()
    };
    let records = [
        BatchRecord {
            key: Some("customer-7".into()),
            headers: vec![("a".into(), Some("1".into()))],
            ..record(0, TIME + 5, "paid")
        },
        BatchRecord {
            key: Some(vec![]),
            value: None,
            headers: vec![("n".into(), None), (String::new(), Some(vec![]))],
            ..record(1, TIME - 1000, "")
        },
        record(2, TIME, ""),
    ];
    assert_eq!(parse_batch(&object[HEADER_LEN..]), (head.clone(), records.to_vec()));
    // To the byte.
    assert_eq!(object, header.object(&batch(&head, &records)));

    let object = store.object(&slot_key("orders", 0, 1)).await;
    let second = Header::parse(&object);
    assert_eq!((second.base_offset, second.record_count, second.sequence), (3, 1, 3));
    // It includes what was there before.
    assert_eq!(second.max_timestamp, TIME + 5);
    assert!((header.append_time..=*written.end()).contains(&second.append_time));
    assert_eq!((second.producer_id, second.opened), (id, opened[0]));
    assert_ne!(second.nonce, header.nonce);
    let (head, records) = parse_batch(&object[HEADER_LEN..]);
    assert_eq!((head.base_offset, head.base_sequence, head.max_timestamp), (3, 3, 7));
    assert_eq!(records, [record(3, 7, "second")]);

    let seal = store.object(&slot_key("orders", 1, 1)).await;
    let header = Header::parse(&seal);
    assert!((second.append_time..=*written.end()).contains(&header.append_time));
    assert_eq!(
        header,
        Header {
            kind: 1,
            flags: 1,
            base_offset: 5,
            max_timestamp: TIME + 9,
            append_time: header.append_time,
            nonce: header.nonce,
            producer_id: id,
            lease_ms: 43_200_000,
            app_sequence: -1,
            opened: opened[1],
            ..Header::default()
        }
    );
    assert_eq!(seal, header.object(&[]));

    client.topics().delete("orders").await.unwrap();
    let deleted = json(store, &topic_key("orders", 1)).await;
    assert_eq!((&deleted["deleted"], &deleted["incarnation"]), (&json!(true), &json!(0)));
    for partition in 0..12 {
        let dir = format!("meta/logs/orders/0/{partition:05}");
        let ends = store.keys(&dir).await.into_iter().filter(|key| key.ends_with("/end"));
        let last = ends.max().expect("an end");
        assert_eq!(json(store, &last).await["closed"], json!(true), "{last}");
    }
    client.topics().create("orders", TopicConfig::new()).await.unwrap();
    let producer = client.producer("orders").build().await.unwrap();
    producer.send(Record::value("anew")).await.unwrap();
    assert_eq!(json(store, &topic_key("orders", 2)).await["incarnation"], json!(1));
    assert!(!store.object("data/orders/1/00000/000000000/000/000").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn leases_follow_from_the_least_age() {
    let day = 24 * HOUR;
    for (min_expiry, lease, expiry) in [
        (MinExpiry::Never, 43_200_000, Value::Null),
        (MinExpiry::After(day), 43_200_000, json!(86_400_000)),
        (MinExpiry::After(7 * day), 43_200_000, json!(604_800_000)),
        (MinExpiry::After(HOUR), 1_800_000, json!(3_600_000)),
        (MinExpiry::After(Duration::from_secs(60)), 30_000, json!(60_000)),
    ] {
        let lab = Lab::new();
        let client = lab.client().await;
        client.topics().create("t", TopicConfig::new().min_expiry(min_expiry)).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        producer.send(Record::value("v")).await.unwrap();
        assert_eq!(parse(&lab.store.object(&topic_key("t", 0)))["min_expiry_ms"], expiry);
        let open = parse(&lab.store.object(&block_key("t", 0, "open")));
        assert_eq!((&open["lease_ms"], &open["min_expiry_ms"]), (&json!(lease), &expiry));
        let header = Header::parse(&lab.store.object(&slot_key("t", 0, 0)));
        assert_eq!(header.lease_ms, lease);
        // The first batch after half of the lease is the block's last.
        lab.clock.jump(Duration::from_millis(u64::from(lease) / 2 + 1));
        producer.send(Record::value("v")).await.unwrap();
        producer.send(Record::value("v")).await.unwrap();
        let flags = |key: &str| Header::parse(&lab.store.object(key)).flags;
        assert_eq!((flags(&slot_key("t", 0, 0)), flags(&slot_key("t", 0, 1))), (0, 1));
        assert_eq!(flags(&slot_key("t", 1, 0)), 0);
        assert_eq!(
            parse(&lab.store.object(&block_key("t", 0, "end")))["verdict"],
            json!({"slots": 2})
        );
    }
}

/// A log that another program wrote by the format, and the library goes on with.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_by_the_format_is_read_and_gone_on_with() {
    for store in stores() {
        assert_read_and_gone_on_with(&store).await;
    }
}

async fn assert_read_and_gone_on_with(store: &TestStore) {
    store
        .replace(
            &topic_key("t", 0),
            r#"{"format":1,"incarnation":0,"deleted":false,"partitions":1,"min_expiry_ms":null,
            "slots":1000,"created_ms":0,"nonce":"another program"}"#,
        )
        .await;
    store
        .replace(
            &block_key("t", 0, "open"),
            r#"{"format":1,"base_offset":100,"max_timestamp":null,"lease_ms":43200000,
            "min_expiry_ms":null,"slots":3,"max_records":7}"#,
        )
        .await;
    let opened = store.stamp(&block_key("t", 0, "open")).await;
    // A fence is passed over; a batch; a batch that was delivered twice would be another's problem.
    let common = Header {
        base_offset: 100,
        max_timestamp: i64::MIN,
        producer_id: 77,
        producer_epoch: 70_000,
        lease_ms: 43_200_000,
        app_sequence: -1,
        opened,
        nonce: 1,
        ..Header::default()
    };
    store.replace(&slot_key("t", 0, 0), Header { kind: 2, ..common.clone() }.object(&[])).await;
    let head = BatchHead {
        base_offset: 100,
        base_timestamp: 50,
        max_timestamp: 60,
        producer_id: 77,
        // The low 15 bits of the slot's.
        producer_epoch: 4464,
        base_sequence: 5,
        ..BatchHead::default()
    };
    let bytes = batch(&head, &[record(100, 50, "a"), record(101, 60, "b")]);
    let header = Header {
        record_count: 2,
        batch_len: bytes.len() as u32,
        max_timestamp: 60,
        // Longer than Kafka's 31 bits.
        sequence: (1 << 31) + 5,
        app_sequence: 9,
        nonce: 2,
        ..common
    };
    store.replace(&slot_key("t", 0, 1), header.object(&bytes)).await;
    // What is not of the format's names is nobody's.
    for stray in ["data/t/0/00000/000000000/000.abc-0", "meta/logs/t/0/00000/README"] {
        store.replace(stray, "stray").await;
    }

    let client = store.connect().await;
    let producer = client.producer("t").build().await.unwrap();
    for (n, value) in ["c", "d"].into_iter().enumerate() {
        let ack = producer.send(Record::value(value).timestamp(61)).await.unwrap();
        assert_eq!(ack.offset, 102 + n as i64);
    }
    producer.close().await.unwrap();
    let end = json(store, &block_key("t", 0, "end")).await;
    assert_eq!((&end["verdict"], &end["next_offset"]), (&json!({"slots": 3}), &json!(103)));
    let mut consumer = client.consumer().topic("t").until(Until::Latest).build().await.unwrap();
    let (records, error) = read_on(&mut consumer).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(values(&records), ["a", "b", "c", "d"]);
    assert_eq!(records[0].offset, 100);
    assert_eq!(client.offsets("t").at(0, 51).await.unwrap(), 101);
}

//! Rust's part of the matrix of languages (scripts/matrix): `matrix produce URL TOPIC` writes records of every kind
//! with every codec, `matrix check URL TOPIC` reads them and compares all of it.

use kaffic_core::{Compression, Header, Kaffic, Record, Start, Until};
use std::time::Duration;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// One of each kind: nothing, empty, a tombstone, no key, bytes with headers, 5 MiB, no bytes.
fn records() -> Vec<Record> {
    let big: Vec<u8> = (0..5 << 20).map(|at: u32| ((at * 31 + 7) % 251) as u8).collect();
    vec![
        Record::default(),
        Record::value("").key(""),
        Record::tombstone("k"),
        Record::value("v"),
        Record {
            headers: vec![
                Header::new("a", Some("1".into())),
                Header::new("ü", None),
                Header::new("a", Some("".into())),
            ],
            ..Record::value("grüßt 🦀").key(&b"\x00\xff\n"[..]).timestamp(1_234_567_890_123)
        },
        Record::value(big).key("big"),
        Record::value("").key("zero"),
    ]
}

#[tokio::main]
async fn main() -> kaffic_core::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, verb, url, topic] = &arguments[..] else { panic!("matrix produce|check URL TOPIC") };
    let client = Kaffic::connect(url).await?;
    let records = records();
    if verb == "produce" {
        for codec in CODECS {
            let producer = client.producer(topic).compression(codec).build().await?;
            for record in &records {
                producer.send(record.clone().partition(0)).await?;
            }
            producer.close().await?;
        }
        return Ok(());
    }
    let builder = client.consumer().assign(topic, [0]).start(Start::Earliest);
    let mut consumer = builder.until(Until::Latest).build().await?;
    let mut seen = 0;
    while !consumer.is_finished() {
        for came in consumer.poll(100, Duration::from_secs(60)).await? {
            let wanted = &records[seen % records.len()];
            let same = came.key == wanted.key
                && came.value == wanted.value
                && came.headers == wanted.headers
                && wanted.timestamp.is_none_or(|at| at == came.timestamp)
                && came.offset == seen as i64;
            assert!(
                same,
                "record {seen} is another: key {:?}, headers {:?}",
                came.key, came.headers
            );
            seen += 1;
        }
    }
    assert_eq!(seen, CODECS.len() * records.len());
    println!("{seen} records, as they should be");
    Ok(())
}

//! Reading a long backlog, with much less room than the backlog takes.

use kaffic_core::{Kaffic, Record, TopicConfig, Until};

/// Fetches run beside each other, and one that waits for room that later ones hold would wait for
/// ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn little_room_slows_a_consumer_and_does_not_stop_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("file://{}", directory.path().display());
    let client = Kaffic::connect(&url).await.expect("connects");
    client.topics().create("t", TopicConfig::new().partitions(3)).await.expect("a topic");
    let producer = client.producer("t").batch_bytes(8 << 10).build().await.expect("a producer");
    let mut tickets = Vec::new();
    for n in 0..3000u32 {
        let record = Record::value(vec![b'x'; 2048]).partition(n % 3);
        tickets.push(producer.enqueue(record).await.expect("room"));
    }
    for ticket in tickets {
        ticket.await.expect("an acknowledgement");
    }
    producer.close().await.expect("closes");
    for room in [1, 10 << 10, 100 << 10] {
        let consumer = client.consumer().topic("t").until(Until::Latest).fetch_ahead_bytes(room);
        let mut consumer = consumer.build().await.expect("a consumer");
        let mut count = 0;
        while consumer.next().await.expect("reads").is_some() {
            count += 1;
        }
        assert_eq!(count, 3000, "{room} bytes of room");
    }
}

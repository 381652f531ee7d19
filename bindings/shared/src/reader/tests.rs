use super::*;
use kaffic_core::{Record, TopicConfig};

async fn client() -> Kaffic {
    let client = Kaffic::connect("memory://").await.unwrap();
    client.topics().create("t", TopicConfig::new().partitions(2)).await.unwrap();
    client
}

async fn reader(client: &Kaffic, settings: &[(&str, &str)]) -> Arc<Reader> {
    let settings = settings.iter().copied().collect();
    let reader = Reader::new(client, settings, None).unwrap();
    reader.read(Wanted::Topics(vec!["t".into()])).await.unwrap();
    Arc::new(reader)
}

async fn produce(client: &Kaffic, partition: u32, values: &[&str]) {
    let producer = client.producer("t").build().await.unwrap();
    for value in values {
        let record = Record::value((*value).to_owned()).partition(partition);
        producer.send(record).await.unwrap();
    }
    producer.close().await.unwrap();
}

fn values(polled: Polled) -> Vec<String> {
    let Polled::Records(records) = polled else { panic!("woken") };
    let text = |record: ConsumerRecord| String::from_utf8_lossy(&record.value.unwrap()).into();
    records.into_iter().map(text).collect()
}

#[tokio::test]
async fn other_calls_get_their_turn_while_a_poll_waits() {
    let client = client().await;
    let reader = reader(&client, &[]).await;
    let mut poll = pin!(reader.poll(10, None));
    assert!(poll.as_mut().now_or_never().is_none());
    for _ in 0..3 {
        let positions = pin!(reader.positions());
        match select(poll.as_mut(), positions).await {
            Either::Left(_) => panic!("the poll ended"),
            Either::Right((positions, _)) => assert_eq!(positions.unwrap().len(), 2),
        }
    }
    produce(&client, 1, &["v"]).await;
    assert_eq!(values(poll.await.unwrap()), ["v"]);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "tasks of a test")]
async fn several_polls_wait_and_all_step_back() {
    let client = client().await;
    let reader = reader(&client, &[]).await;
    let polls: Vec<_> = (0..3)
        .map(|_| {
            let reader = Arc::clone(&reader);
            tokio::task::spawn(async move { reader.poll(1, None).await })
        })
        .collect();
    // One that has the turn makes no other wait for longer than that wants to.
    let nothing = reader.poll(1, Some(Duration::from_millis(1))).await.unwrap();
    assert_eq!(values(nothing).len(), 0);
    for _ in 0..10 {
        assert_eq!(reader.positions().await.unwrap().len(), 2);
    }
    produce(&client, 0, &["v"]).await;
    reader.close().await.unwrap();
    let mut records = 0;
    for poll in polls {
        match poll.await.unwrap() {
            Ok(polled) => records += values(polled).len(),
            Err(failure) => assert_eq!(failure.status, Status::Closed),
        }
    }
    assert!(records <= 1);
}

#[tokio::test]
async fn a_poll_gets_on_however_much_others_ask() {
    let client = client().await;
    produce(&client, 0, &["v"]).await;
    let reader = reader(&client, &[]).await;
    let asks = async {
        loop {
            // There is always one that asks.
            let (first, second) = (reader.positions(), reader.positions());
            let both = futures_util::future::join(first, second).await;
            assert!(both.0.is_ok() && both.1.is_ok());
            tokio::task::yield_now().await;
        }
    };
    let all_the_time = futures_util::future::join(asks, std::future::pending::<()>());
    match select(pin!(reader.poll(1, None)), pin!(all_the_time)).await {
        Either::Left((polled, _)) => assert_eq!(values(polled.unwrap()), ["v"]),
        Either::Right(_) => panic!("it never ends"),
    }
}

#[tokio::test]
async fn a_wake_ends_one_poll_also_the_next() {
    let client = client().await;
    let reader = reader(&client, &[]).await;
    reader.wake();
    assert!(matches!(reader.poll(1, None).await.unwrap(), Polled::Woken));
    let mut poll = pin!(reader.poll(1, None));
    assert!(poll.as_mut().now_or_never().is_none());
    reader.wake();
    assert!(matches!(poll.await.unwrap(), Polled::Woken));
    let nothing = reader.poll(1, Some(Duration::ZERO)).await.unwrap();
    assert_eq!(values(nothing).len(), 0);
}

#[tokio::test]
async fn a_wake_comes_before_records_that_are_there() {
    let client = client().await;
    produce(&client, 0, &["a", "b", "c"]).await;
    let reader = reader(&client, &[]).await;
    assert_eq!(reader.ready(None).await, Ok(Some(true)));
    reader.wake();
    assert_eq!(reader.take(1).unwrap().len(), 0);
    let mut at_once: Vec<ConsumerRecord> = Vec::new();
    reader.poll_now(1, &mut at_once).unwrap();
    assert!(at_once.is_empty());
    assert!(matches!(reader.poll(1, Some(Duration::ZERO)).await.unwrap(), Polled::Woken));
    // It ended one, and nothing was lost.
    assert_eq!(values(reader.poll(1, None).await.unwrap()), ["a"]);
    reader.wake();
    assert_eq!(reader.ready(None).await, Ok(None));
    assert_eq!(reader.take(1).unwrap().len(), 1);
    assert_eq!(values(reader.poll(10, None).await.unwrap()), ["c"]);
}

#[tokio::test]
async fn closing_ends_a_poll_and_everything_after_says_so() {
    let client = client().await;
    let reader = reader(&client, &[("group", "g")]).await;
    let other = Arc::clone(&reader);
    let poll = pin!(reader.poll(1, None));
    let (polled, ended) =
        futures_util::future::join(poll, async move { other.close().await }).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(polled.unwrap_err().status, Status::Closed);
    assert_eq!(reader.commit(None).await.unwrap_err().status, Status::Closed);
    let again = reader.read(Wanted::Topics(vec!["t".into()])).await;
    assert_eq!(again.unwrap_err().status, Status::Closed);
    assert!(reader.is_finished().await && reader.is_closed());
    assert_eq!(reader.close().await, Ok(()));
    assert!(client.groups().describe("g").await.unwrap().members.is_empty());
}

#[tokio::test]
async fn what_is_read_may_change() {
    let client = client().await;
    produce(&client, 0, &["a", "b", "c"]).await;
    produce(&client, 1, &["x", "y"]).await;
    let reader = Reader::new(&client, Settings::default(), None).unwrap();
    let early = reader.poll(1, None).await.unwrap_err();
    assert_eq!(early.status, Status::InvalidArgument);
    for (wanted, expected) in
        [((0, Some(2)), vec!["c"]), ((1, None), vec!["x", "y"]), ((0, Some(1)), vec!["b", "c"])]
    {
        let (partition, offset) = wanted;
        let wanted = Wanted::Partitions(vec![("t".into(), partition, offset)]);
        reader.read(wanted).await.unwrap();
        assert_eq!(values(reader.poll(10, None).await.unwrap()), expected);
    }
}

#[tokio::test]
async fn a_close_that_nobody_waited_for_goes_on_when_it_is_asked_for_again() {
    let client = client().await;
    produce(&client, 0, &["a", "b"]).await;
    let reader = reader(&client, &[("group", "g")]).await;
    assert_eq!(values(reader.poll(2, None).await.unwrap()), ["a", "b"]);
    let not_processed = PartitionPosition { topic: "t".into(), partition: 0, offset: 1 };
    assert!(pin!(reader.close_at(vec![not_processed])).now_or_never().is_none());
    assert_eq!(client.groups().describe("g").await.unwrap().members.len(), 1);
    // It is closed, and ends as it began.
    assert_eq!(reader.poll(1, None).await.unwrap_err().status, Status::Closed);
    reader.close().await.unwrap();
    assert_eq!(client.groups().describe("g").await.unwrap().members.len(), 0);
    assert_eq!(client.groups().committed("g").await.unwrap()[0].offset, 1);
    assert_eq!(reader.close().await, Ok(()));
}

#[tokio::test]
async fn what_was_read_before_is_left_also_when_nobody_waits_for_that() {
    let client = client().await;
    let reader = reader(&client, &[("group", "g")]).await;
    assert!(reader.poll(1, Some(Duration::from_millis(1))).await.is_ok());
    let read = || reader.read(Wanted::Partitions(vec![("t".into(), 0, None)]));
    assert!(pin!(read()).now_or_never().is_none());
    assert_eq!(client.groups().describe("g").await.unwrap().members.len(), 1);
    assert_eq!(reader.commit(None).await.unwrap_err().status, Status::InvalidArgument);
    read().await.unwrap();
    assert_eq!(client.groups().describe("g").await.unwrap().members.len(), 0);
    assert_eq!(reader.positions().await.unwrap().len(), 1);
}

#[tokio::test]
async fn records_that_nobody_took_do_not_count_and_come_in_order() {
    let client = client().await;
    produce(&client, 0, &["a", "b", "c", "d"]).await;
    let reader = reader(&client, &[("group", "g"), ("auto_commit", "never")]).await;
    let at = |positions: Vec<PartitionPosition>| {
        positions.iter().find(|at| at.partition == 0).map(|at| at.offset)
    };
    assert_eq!(reader.ready(None).await, Ok(Some(true)));
    assert_eq!(at(reader.positions().await.unwrap()), Some(0));
    assert_eq!(reader.take(1).unwrap().len(), 1);
    reader.commit(None).await.unwrap();
    assert_eq!(reader.committed().await.unwrap()[0].offset, 1);
    assert_eq!(at(reader.lag().await.unwrap()), Some(3));
    // The client's metrics tell of it from now on.
    assert_eq!(client.metrics().consumer.lag.len(), reader.positions().await.unwrap().len());
    assert_eq!(values(reader.poll(1, None).await.unwrap()), ["b"]);
    assert_eq!(reader.ready(None).await, Ok(Some(true)));
    reader.pause("t", 1, true).await.unwrap();
    assert_eq!(values(reader.poll(1, None).await.unwrap()), ["c"]);
    assert_eq!(reader.ready(None).await, Ok(Some(true)));
    reader.seek("t", 0, Start::Offset(1)).await.unwrap();
    assert_eq!(values(reader.poll(2, None).await.unwrap()), ["b", "c"]);
    assert_eq!(reader.ready(None).await, Ok(Some(true)));
    reader.commit_async().await.unwrap();
    assert_eq!(reader.ready(None).await, Ok(Some(true)));
    reader.close().await.unwrap();
    let committed = client.groups().committed("g").await.unwrap();
    assert_eq!(committed.iter().find(|at| at.partition == 0).unwrap().offset, 3);
}

#[tokio::test]
async fn a_finished_consumer_does_not_wait() {
    let client = client().await;
    produce(&client, 0, &["a"]).await;
    let reader = reader(&client, &[("until", "latest")]).await;
    assert_eq!(reader.ready(None).await, Ok(Some(true)));
    assert!(!reader.is_finished().await);
    assert_eq!(values(reader.poll(10, None).await.unwrap()), ["a"]);
    assert_eq!(values(reader.poll(10, None).await.unwrap()).len(), 0);
    assert_eq!(reader.ready(None).await, Ok(Some(false)));
    assert!(reader.is_finished().await && reader.take(1).unwrap().is_empty());
}

#[tokio::test]
async fn a_poll_at_once_leaves_the_turn_to_whoever_waits_for_it() {
    let client = client().await;
    produce(&client, 0, &["a", "b"]).await;
    let reader = reader(&client, &[]).await;
    assert_eq!(values(reader.poll(1, None).await.unwrap()), ["a"]);
    let mut at_once: Vec<ConsumerRecord> = Vec::new();
    let asking = Asking::new(&reader.askers);
    reader.poll_now(10, &mut at_once).unwrap();
    assert!(at_once.is_empty());
    drop(asking);
    // While another has the turn there is nothing either, and nobody knows whether it is finished.
    let turn = reader.turn().await;
    reader.poll_now(10, &mut at_once).unwrap();
    assert_eq!((at_once.len(), reader.is_finished_now()), (0, None));
    drop(turn);
    reader.poll_now(10, &mut at_once).unwrap();
    assert_eq!((at_once.len(), reader.is_finished_now()), (1, Some(false)));
    reader.close().await.unwrap();
    assert_eq!(reader.poll_now(1, &mut at_once).unwrap_err().status, Status::Closed);
}

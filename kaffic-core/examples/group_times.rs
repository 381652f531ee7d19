//! How long a group takes: until the partitions of a member that crashed, or left, are others', and until
//! a hundred members share a thousand partitions; and what that costs.
//!
//! `cargo run --release -p kaffic-core --example group_times -- URL [MEMBERS PARTITIONS]`

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use kaffic_core::{Kaffic, RequestCounts, TopicConfig};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SESSION: Duration = Duration::from_secs(6);
const HEARTBEAT: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;
const PARTITIONS: usize = 30;

/// A member with a connection of its own, which polls.
struct Member {
    client: Kaffic,
    has: Arc<AtomicUsize>,
    leave: oneshot::Sender<()>,
    task: JoinHandle<kaffic_core::Result<()>>,
}

impl Member {
    async fn start(
        url: &str,
        topic: &'static str,
        session: Duration,
        heartbeat: Duration,
    ) -> kaffic_core::Result<Self> {
        let client = connect(url).await?;
        let has = Arc::new(AtomicUsize::new(0));
        let (leave, mut left) = oneshot::channel();
        let (counted, members_client) = (Arc::clone(&has), client.clone());
        let task = tokio::spawn(async move {
            let builder = members_client.consumer().group("times").subscribe([topic]);
            let builder = builder.session_timeout(session).heartbeat_interval(heartbeat);
            let mut consumer = builder.fetch_max_wait(Duration::from_secs(5)).build().await?;
            while left.try_recv().is_err() {
                consumer.poll(100, Duration::from_millis(50)).await?;
                counted.store(consumer.positions().len(), Ordering::Relaxed);
            }
            consumer.close().await
        });
        Ok(Self { client, has, leave, task })
    }

    fn has(&self) -> usize {
        self.has.load(Ordering::Relaxed)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("a URL is missing")?;
    let members: usize = args.next().map_or(Ok(100), |text| text.parse())?;
    let partitions: usize = args.next().map_or(Ok(1_000), |text| text.parse())?;
    take_over(&url).await?;
    converge(&url, members, partitions).await
}

/// With the options of the environment, as the command has them.
async fn connect(url: &str) -> kaffic_core::Result<Kaffic> {
    let options = std::env::var("KAFFIC_STORE_OPTIONS").unwrap_or_default();
    let options = options.split(',').filter_map(|option| option.split_once('='));
    options
        .fold(Kaffic::builder().url(url), |builder, (key, value)| builder.option(key, value))
        .connect()
        .await
}

/// Until the members have all partitions, as evenly as can be.
async fn settle(members: &[Member], partitions: usize) -> Result<(), Box<dyn Error>> {
    let each = partitions / members.len();
    loop {
        let has = || members.iter().map(Member::has);
        if has().sum::<usize>() == partitions && has().all(|has| has >= each) {
            return Ok(());
        }
        if members.iter().any(|member| member.task.is_finished()) {
            return Err("a member has ended".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn take_over(url: &str) -> Result<(), Box<dyn Error>> {
    let topic = "group-times";
    let client = connect(url).await?;
    client.topics().create(topic, TopicConfig::new().partitions(PARTITIONS as u32)).await?;
    let (mut crashes, mut leaves) = (Vec::new(), Vec::new());
    let mut members = Vec::new();
    for round in 0..2 * ROUNDS {
        while members.len() < 3 {
            members.push(Member::start(url, topic, SESSION, HEARTBEAT).await?);
        }
        settle(&members, PARTITIONS).await?;
        // At whatever point of the others' heartbeats.
        tokio::time::sleep(HEARTBEAT * round as u32 / ROUNDS as u32).await;
        let gone = members.remove(0);
        let begun = Instant::now();
        if round % 2 == 0 {
            gone.task.abort();
            settle(&members, PARTITIONS).await?;
            crashes.push(begun.elapsed());
        } else {
            gone.leave.send(()).ok();
            settle(&members, PARTITIONS).await?;
            leaves.push(begun.elapsed());
            gone.task.await??;
        }
    }
    println!("3 members, {PARTITIONS} partitions, session {SESSION:?}, heartbeat {HEARTBEAT:?}");
    say("taken over from one that crashed", crashes, SESSION + 2 * HEARTBEAT);
    say("taken over from one that left", leaves, 2 * HEARTBEAT);
    for member in members {
        member.leave.send(()).ok();
        member.task.await??;
    }
    client.groups().delete("times").await?;
    client.topics().delete(topic).await?;
    Ok(())
}

fn say(what: &str, mut times: Vec<Duration>, limit: Duration) {
    times.sort();
    println!(
        "{what}: median {:.2} s, longest {:.2} s, of {}; the limit is {limit:?}",
        times[times.len() / 2].as_secs_f64(),
        times[times.len() - 1].as_secs_f64(),
        times.len()
    );
}

async fn converge(url: &str, members: usize, partitions: usize) -> Result<(), Box<dyn Error>> {
    let topic = "group-converges";
    let client = connect(url).await?;
    client.topics().create(topic, TopicConfig::new().partitions(partitions as u32)).await?;
    let (session, heartbeat) = (Duration::from_secs(45), Duration::from_secs(3));
    let begun = Instant::now();
    let mut all = Vec::new();
    for _ in 0..members {
        all.push(Member::start(url, topic, session, heartbeat).await?);
    }
    settle(&all, partitions).await?;
    let took = begun.elapsed().as_secs_f64();
    let sum = |of: fn(&RequestCounts) -> u64| -> u64 {
        all.iter().map(|member| of(&member.client.request_counts())).sum()
    };
    println!(
        "{members} members, {partitions} partitions: {took:.1} s; {} puts, {} gets, {} lists",
        sum(|c| c.puts),
        sum(|c| c.gets),
        sum(|c| c.lists)
    );
    let begun = Instant::now();
    for member in &mut all {
        std::mem::replace(&mut member.leave, oneshot::channel().0).send(()).ok();
    }
    for member in all {
        member.task.await??;
    }
    println!("all have left: {:.1} s", begun.elapsed().as_secs_f64());
    client.groups().delete("times").await?;
    client.topics().delete(topic).await?;
    Ok(())
}

//! `bench --writers`: how processes that always have data share one topic.

use super::Args;
use super::clients::Clients;
use super::stats::{self, jain};
use super::writer::Counts;
use crate::progress::Progress;
use crate::stop::Stop;
use crate::store::Place;
use clap::ValueEnum;
use kaffic_core::TopicConfig;
use kaffic_core::env::{Env, SystemEnv};
use serde::Serialize;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// What the writers got stored in a span in which all of them were at work.
#[derive(Debug, Serialize)]
pub(super) struct Contention {
    pub(super) kaffic: &'static str,
    pub(super) store: String,
    pub(super) partitions: u32,
    pub(super) record_size: u64,
    pub(super) seconds: f64,
    pub(super) writers: Vec<Counts>,
    /// Jain's index of the writers' records.
    pub(super) jain: f64,
    pub(super) records_per_s: f64,
    /// One writer alone, in a topic of its own, for as long.
    pub(super) single_records_per_s: f64,
    pub(super) ratio: Option<f64>,
}

pub(super) async fn run(
    clients: &Clients,
    args: &Args,
    topic: &str,
    config: TopicConfig,
    writers: u32,
) -> Result<Contention, Stop> {
    let topics = clients.connect().await?.topics();
    let alone = format!("{topic}-alone");
    topics.create(topic, config.clone()).await?;
    topics.create(&alone, config).await?;
    let progress = Progress::count("writers", false);
    progress.set(1);
    let (single, single_seconds) = span(clients, args, &alone, 1).await?;
    progress.set(writers.into());
    let (counts, seconds) = span(clients, args, topic, writers).await?;

    let records: Vec<u64> = counts.iter().map(|counts| counts.records).collect();
    let per_second = |records: u64, seconds: f64| records as f64 / seconds.max(1e-9);
    let records_per_s = per_second(records.iter().sum(), seconds);
    let single_records_per_s = per_second(single[0].records, single_seconds);
    Ok(Contention {
        kaffic: env!("CARGO_PKG_VERSION"),
        store: clients.url().to_owned(),
        partitions: args.partitions,
        record_size: args.shape.record_size,
        seconds,
        jain: jain(&records),
        writers: counts,
        records_per_s,
        single_records_per_s,
        ratio: stats::ratio(records_per_s, single_records_per_s),
    })
}

/// Runs `writers` processes, and counts from when each has stored something until the time is
/// over.
async fn span(
    clients: &Clients,
    args: &Args,
    topic: &str,
    writers: u32,
) -> Result<(Vec<Counts>, f64), Stop> {
    let env = SystemEnv::new();
    let mut processes = Vec::new();
    for _ in 0..writers {
        processes.push(Process::start(clients.store(), args, topic)?);
    }
    for process in &mut processes {
        process.read().await?;
    }
    let start = env.monotonic();
    let before = ask_all(&mut processes).await?;
    env.sleep(args.duration).await;
    let after = ask_all(&mut processes).await?;
    let seconds = (env.monotonic() - start).as_secs_f64();
    for process in processes {
        process.end().await?;
    }
    let counts = before.iter().zip(&after).map(|(before, after)| Counts {
        records: after.records - before.records,
        puts: after.puts - before.puts,
        gets: after.gets - before.gets,
    });
    Ok((counts.collect(), seconds))
}

async fn ask_all(processes: &mut [Process]) -> Result<Vec<Counts>, Stop> {
    // All are asked before any answer is awaited, so that the answers are of the same moment.
    for process in &mut *processes {
        process.ask().await?;
    }
    let mut counts = Vec::new();
    for process in processes {
        counts.push(process.read().await?);
    }
    Ok(counts)
}

/// A writer's process.
struct Process {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(store: &Place, args: &Args, topic: &str) -> Result<Self, Stop> {
        let program = std::env::current_exe().map_err(failed)?;
        let codec = args.shape.compression.to_possible_value();
        let linger = args.shape.linger.map(milliseconds);
        let batch_bytes = args.shape.batch_bytes.map(|bytes| bytes.to_string());
        let mut child = Command::new(program)
            .args(store.arguments())
            .args(["bench-writer", topic])
            .args(["--record-size", &args.shape.record_size.to_string()])
            .args(linger.iter().flat_map(|linger| ["--linger", linger]))
            .args(codec.iter().flat_map(|codec| ["--compression", codec.get_name()]))
            .args(batch_bytes.iter().flat_map(|bytes| ["--batch-bytes", bytes]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(questions), Some(answers)) => {
                Ok(Self { child, questions, answers: BufReader::new(answers).lines() })
            }
            _ => Err(Stop::failed("a writer has no pipes")),
        }
    }

    async fn ask(&mut self) -> Result<(), Stop> {
        self.questions.write_all(b"\n").await.map_err(failed)
    }

    async fn read(&mut self) -> Result<Counts, Stop> {
        let line = self.answers.next_line().await.map_err(failed)?;
        let line = line.ok_or_else(|| Stop::failed("a writer ended too soon"))?;
        serde_json::from_str(&line).map_err(|error| Stop::failed(format!("a writer: {error}")))
    }

    async fn end(mut self) -> Result<(), Stop> {
        drop(self.questions);
        let status = self.child.wait().await.map_err(failed)?;
        if status.success() { Ok(()) } else { Err(Stop::failed(format!("a writer: {status}"))) }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{}us", time.as_micros())
}

fn failed(error: std::io::Error) -> Stop {
    Stop::failed(format!("a writer: {error}"))
}

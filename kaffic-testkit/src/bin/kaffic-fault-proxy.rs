//! The proxy as a command, for trials by hand and benchmarks.

use clap::Parser;
use kaffic_testkit::{Config, Fault, FaultProxy, Rates};
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

/// Stands between a client and an object store that speaks HTTP, and makes requests fail.
///
/// Prints the URL to use as the endpoint, and runs until it is ended.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The server, as http://HOST:PORT
    upstream: String,
    /// Where to listen; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Add this to every request
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// Let a part of the requests fail in a way, as in reset-after=0.05; can be repeated. The ways:
    /// delay, reset-before, reset-after, 500-before, 500-after, 503-before, 503-after, 429,
    /// truncated, slow-body, half-open-before, half-open-after
    #[arg(long, value_name = "WAY=RATE", value_parser = fault)]
    fault: Vec<(Fault, f64)>,
    /// The time of a delay, and between the pieces of a slow body
    #[arg(long, value_name = "DURATION", default_value = "50ms", value_parser = humantime::parse_duration)]
    delay: Duration,
    /// What the faults are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a line of JSON for every request to this file; - is standard output
    #[arg(long, value_name = "FILE")]
    log: Option<String>,
}

fn fault(text: &str) -> Result<(Fault, f64), String> {
    let (name, rate) = text.split_once('=').ok_or("write WAY=RATE")?;
    let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    Ok((name.parse()?, rate.ok_or("a rate is from 0 to 1")?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if args.fault.iter().map(|(_, rate)| rate).sum::<f64>() > 1.0 {
        return Err("the rates together are more than 1".into());
    }
    let rates = args.fault.iter().fold(Rates::none(), |all, &(fault, rate)| all.with(fault, rate));
    let config = Config::new(args.upstream)
        .listen(args.listen)
        .seed(args.seed)
        .rates(rates)
        .latency(args.latency)
        .delay(args.delay);
    let config = match args.log.as_deref() {
        None => config,
        Some("-") => config.log(std::io::stdout()),
        Some(path) => config.log(std::fs::File::create(path)?),
    };
    let proxy = FaultProxy::start(config)?;
    println!("{}", proxy.endpoint());
    proxy.wait();
    Ok(())
}

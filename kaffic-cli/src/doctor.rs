//! `kaffic doctor`: tries on the user's own store what kaffic rests on, and says what to expect.

use crate::output::{Output, json};
use crate::stop::Stop;
use crate::store::Place;
use crate::units;
use kaffic_core::{CheckResult, DoctorReport, Load};
use serde_json::json;
use std::time::Duration;

const AFTER_HELP: &str = "\
Works in a scratch directory under meta/probe/ and removes it. Costs some 600 requests. Exit code 0
says that kaffic can be used on the store, 1 that it can't.

The cost, on stores that take one, is what S3's standard class takes for requests (5 USD for a
million puts, 0.40 USD for a million gets), without storage and traffic, for records of 1 KiB. A
consumer's waiting is counted as one more get for every put.

Examples:
  kaffic doctor
  kaffic doctor --load 1MiB/s --partitions 3 --consumers 2 --json";

/// USD for a million puts, and for a million gets.
const PRICES: (f64, f64) = (5.0, 0.4);

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The load to reckon with, in bytes a second
    #[arg(long, value_name = "SIZE[/s]", default_value = "1MiB/s", value_parser = load)]
    load: u64,
    /// The partitions that it goes to
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    /// The consumers that follow each partition
    #[arg(long, value_name = "N", default_value_t = 1)]
    consumers: u32,
    /// How long producers let a batch wait for more
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = units::duration)]
    linger: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn load(text: &str) -> Result<u64, String> {
    units::size(text.strip_suffix("/s").unwrap_or(text))
}

pub(crate) async fn run(store: &Place, args: Args) -> Result<(), Stop> {
    let url = store.url();
    let client = store.connect().await?;
    let report = client.examine().await?;
    let load = Load {
        bytes_per_second: args.load,
        partitions: args.partitions,
        consumers: args.consumers,
        linger: args.linger,
    };
    let mut out = Output::stdout();
    match args.json {
        true => out.line(&json(&shape(url, &report, load))?),
        false => print(url, &report, load, &mut out),
    }
    out.flush()?;
    match report.is_usable() {
        true => Ok(()),
        false => Err(Stop::failed(format!("kaffic can't be used on {url}"))),
    }
}

fn dollars(report: &DoctorReport, load: Load) -> f64 {
    let (puts, gets) = report.requests_a_month(load);
    (puts * PRICES.0 + gets * PRICES.1) / 1e6
}

fn shape(url: &str, report: &DoctorReport, load: Load) -> serde_json::Value {
    let checks: Vec<_> = report
        .checks
        .iter()
        .map(|check| {
            let passed = check.result == CheckResult::Passed;
            json!({ "check": check.name, "passed": passed, "detail": check.detail })
        })
        .collect();
    let (puts, gets) = report.requests_a_month(load);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    json!({
        "store": url, "usable": report.is_usable(), "checks": checks,
        "clock_off_seconds": report.clock_off_seconds,
        "put_4kib_ms": ms(report.put_small), "put_1mib_ms": ms(report.put_large),
        "get_4kib_ms": ms(report.get_small), "get_1mib_ms": ms(report.get_large),
        "partition_mib_per_second": report.partition_bytes_per_second() / f64::from(1 << 20),
        "puts_a_month": puts, "gets_a_month": gets, "requests_usd_a_month": dollars(report, load),
    })
}

fn print(url: &str, report: &DoctorReport, load: Load, out: &mut Output) {
    for check in &report.checks {
        let mark = if check.result == CheckResult::Passed { "ok    " } else { "FAILED" };
        let detail = if check.detail.is_empty() { "" } else { ": " };
        out.line(&format!("{mark} {}{detail}{}", check.name, check.detail));
    }
    if !report.is_usable() {
        return out.line(&format!("kaffic can't be used on {url}"));
    }
    out.line(&format!(
        "median put {:.1?} (4 KiB) {:.1?} (1 MiB), get {:.1?} and {:.1?}",
        report.put_small, report.put_large, report.get_small, report.get_large
    ));
    let mib = f64::from(1 << 20);
    out.line(&format!(
        "expect acknowledgements in about {:.1?} and up to {:.0} MiB/s a partition and producer",
        report.put_small,
        report.partition_bytes_per_second() / mib
    ));
    if !url.starts_with("file:") && !url.starts_with("memory:") {
        out.line(&cost(report, load));
        let lingering = Load { linger: load.linger.max(Duration::from_secs(1)), ..load };
        out.line(&cost(report, lingering));
    }
    out.line(&format!("kaffic can be used on {url}"));
}

fn cost(report: &DoctorReport, load: Load) -> String {
    let (puts, gets) = report.requests_a_month(load);
    format!(
        "{:.2} MiB/s to {} partition(s) with {} consumer(s), linger {:?}: \
         up to {:.1} M puts and {:.1} M gets a month, {:.0} USD at S3's prices",
        load.bytes_per_second as f64 / f64::from(1 << 20),
        load.partitions,
        load.consumers,
        load.linger,
        puts / 1e6,
        gets / 1e6,
        dollars(report, load)
    )
}

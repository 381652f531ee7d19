//! What a benchmark found, in the shape of its JSON.

use super::Args;
use super::raw::Raw;
use super::stats::{self, Percentiles, Requests};
use clap::ValueEnum;
use serde::Serialize;

const MIB: f64 = (1 << 20) as f64;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) kaffic: &'static str,
    pub(super) store: String,
    pub(super) record_size: u64,
    /// Records a second that were asked for; none is as fast as possible.
    pub(super) rate: Option<f64>,
    pub(super) partitions: u32,
    pub(super) linger_ms: Option<f64>,
    pub(super) compression: String,
    pub(super) produce: Produce,
    pub(super) catch_up: Read,
    pub(super) end_to_end: EndToEnd,
    pub(super) raw: Option<Raw>,
    pub(super) ratios: Option<Ratios>,
    pub(super) peak_memory_bytes: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Produce {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) records_per_s: f64,
    pub(super) mib_per_s: f64,
    pub(super) ack_ms: Percentiles,
    pub(super) requests: Requests,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Read {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) records_per_s: f64,
    pub(super) mib_per_s: f64,
    pub(super) requests: Requests,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct EndToEnd {
    /// The producer that was followed, and its requests.
    #[serde(flatten)]
    pub(super) produce: Produce,
    /// From the moment a record was enqueued to the moment the consumer handed it out.
    pub(super) latency_ms: Percentiles,
    pub(super) consumer_requests: Requests,
}

/// Kaffic's figure divided by that of the plain files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Ratios {
    /// Bytes of objects a second, produce phase; not where a rate held it back.
    pub(super) produce_throughput: Option<f64>,
    /// Median acknowledgement to median put at the same pace; only where a rate set that.
    pub(super) ack_median: Option<f64>,
    /// Bytes of objects a second, catch-up.
    pub(super) catch_up_throughput: Option<f64>,
}

impl Produce {
    pub(super) fn new(
        records: u64,
        bytes: u64,
        seconds: f64,
        ack_ms: Percentiles,
        requests: Requests,
    ) -> Self {
        Self {
            records,
            bytes,
            seconds,
            records_per_s: per_second(records as f64, seconds),
            mib_per_s: per_second(bytes as f64 / MIB, seconds),
            ack_ms,
            requests,
        }
    }
}

impl Read {
    pub(super) fn new(records: u64, bytes: u64, seconds: f64, requests: Requests) -> Self {
        Self {
            records,
            bytes,
            seconds,
            records_per_s: per_second(records as f64, seconds),
            mib_per_s: per_second(bytes as f64 / MIB, seconds),
            requests,
        }
    }
}

fn per_second(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}

impl Report {
    pub(super) fn new(
        args: &Args,
        store: &str,
        produce: Produce,
        catch_up: Read,
        end_to_end: EndToEnd,
        raw: Option<Raw>,
    ) -> Self {
        let rate = args.rate.map(|rate| rate.records_per_second(args.shape.record_size));
        let codec = args.shape.compression.to_possible_value();
        let ratios = raw.as_ref().map(|raw| Ratios::new(rate.is_some(), &produce, &catch_up, raw));
        Self {
            kaffic: env!("CARGO_PKG_VERSION"),
            store: store.to_owned(),
            record_size: args.shape.record_size,
            rate,
            partitions: args.partitions,
            linger_ms: args.shape.linger.map(|linger| linger.as_secs_f64() * 1e3),
            compression: codec.map(|codec| codec.get_name().to_owned()).unwrap_or_default(),
            produce,
            catch_up,
            end_to_end,
            raw,
            ratios,
            peak_memory_bytes: stats::peak_memory_bytes(),
        }
    }
}

impl Ratios {
    fn new(paced: bool, produce: &Produce, catch_up: &Read, raw: &Raw) -> Self {
        // The same bytes on both sides, so the times alone decide.
        let throughput = stats::ratio(raw.put_seconds, produce.seconds);
        let ack_median = stats::ratio(produce.ack_ms.p50, raw.put_ms.p50);
        Self {
            produce_throughput: throughput.filter(|_| !paced),
            ack_median: ack_median.filter(|_| paced),
            catch_up_throughput: stats::ratio(raw.read_seconds, catch_up.seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_kaffics_share_of_raw() {
        let ms = |p50| Percentiles { p50, ..Percentiles::default() };
        let produce = Produce::new(10, 100, 2.0, ms(3.0), Requests::default());
        let read = Read::new(10, 100, 4.0, Requests::default());
        let raw = Raw { put_seconds: 1.0, read_seconds: 1.0, put_ms: ms(2.0), ..Raw::default() };
        let found = Ratios::new(false, &produce, &read, &raw);
        let expected = Ratios {
            produce_throughput: Some(0.5),
            ack_median: None,
            catch_up_throughput: Some(0.25),
        };
        assert_eq!(found, expected);
        let paced = Ratios::new(true, &produce, &read, &raw);
        assert_eq!((paced.produce_throughput, paced.ack_median), (None, Some(1.5)));
    }
}

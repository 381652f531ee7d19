//! A benchmark's report for people.

use super::contend::Contention;
use super::report::{Produce, Read, Report};
use super::stats::{Percentiles, Requests};
use std::io::Write;

// Writing to a vector can't fail, hence the results that are dropped below.

pub(super) fn report(report: &Report, out: &mut Vec<u8>) {
    let rate = match report.rate {
        Some(rate) => format!("{rate:.0} records/s"),
        None => "as fast as possible".to_owned(),
    };
    let linger = report.linger_ms.map_or("by default".to_owned(), |ms| format!("{ms} ms"));
    let _ = writeln!(
        out,
        "kaffic {} on {}: values of {} bytes, {} partition(s), linger {linger}, compression {}, {rate}",
        report.kaffic, report.store, report.record_size, report.partitions, report.compression
    );
    produce("produce", &report.produce, out);
    requests("requests", &report.produce.requests, out);
    read(&report.catch_up, out);
    produce("end-to-end", &report.end_to_end.produce, out);
    percentiles("latency", &report.end_to_end.latency_ms, out);
    requests("producer", &report.end_to_end.produce.requests, out);
    requests("consumer", &report.end_to_end.consumer_requests, out);
    raw(report, out);
    if let Some(bytes) = report.peak_memory_bytes {
        let _ = writeln!(out, "{:<12} {} MiB", "peak memory", bytes >> 20);
    }
}

fn produce(name: &str, phase: &Produce, out: &mut Vec<u8>) {
    rates(name, phase.records, phase.seconds, phase.records_per_s, phase.mib_per_s, out);
    percentiles("ack", &phase.ack_ms, out);
}

fn read(phase: &Read, out: &mut Vec<u8>) {
    rates("catch-up", phase.records, phase.seconds, phase.records_per_s, phase.mib_per_s, out);
    requests("requests", &phase.requests, out);
}

fn rates(name: &str, records: u64, seconds: f64, per_s: f64, mib: f64, out: &mut Vec<u8>) {
    let _ = writeln!(
        out,
        "{name:<12} {records} records in {seconds:.2} s: {per_s:.0} records/s, {mib:.1} MiB/s"
    );
}

fn percentiles(name: &str, of: &Percentiles, out: &mut Vec<u8>) {
    let Percentiles { p50, p90, p99, p99_9, max } = of;
    let _ = writeln!(
        out,
        "  {name:<10} p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, p99.9 {p99_9} ms, max {max} ms"
    );
}

fn requests(name: &str, of: &Requests, out: &mut Vec<u8>) {
    let Requests { puts, gets, lists, deletes, put_bytes, get_bytes } = of;
    let _ = writeln!(
        out,
        "  {name:<10} {puts} puts ({put_bytes} bytes), {gets} gets ({get_bytes} bytes), \
         {lists} lists, {deletes} deletes"
    );
}

fn raw(report: &Report, out: &mut Vec<u8>) {
    let (Some(raw), Some(ratios)) = (&report.raw, &report.ratios) else { return };
    let _ = writeln!(
        out,
        "{:<12} {} files, {} bytes: put in {:.2} s, read in {:.2} s",
        "raw", raw.objects, raw.bytes, raw.put_seconds, raw.read_seconds
    );
    percentiles("put", &raw.put_ms, out);
    let show = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    let _ = writeln!(
        out,
        "{:<12} produce throughput {}, ack median {}, catch-up throughput {}",
        "kaffic / raw",
        show(ratios.produce_throughput),
        show(ratios.ack_median),
        show(ratios.catch_up_throughput)
    );
}

pub(super) fn contention(report: &Contention, out: &mut Vec<u8>) {
    for (i, writer) in report.writers.iter().enumerate() {
        let _ = writeln!(
            out,
            "writer {i:<5} {} records, {} puts, {} gets",
            writer.records, writer.puts, writer.gets
        );
    }
    let _ = writeln!(
        out,
        "together     {:.0} records/s in {:.2} s; one alone {:.0} records/s; ratio {}",
        report.records_per_s,
        report.seconds,
        report.single_records_per_s,
        report.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
    );
    let _ = writeln!(out, "Jain's index {:.3}", report.jain);
}

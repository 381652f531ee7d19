//! `kaffic bench`: that it runs and what it says; never how fast.

use crate::support::Store;
use serde_json::Value;
use std::collections::HashSet;

fn number(report: &Value, pointer: &str) -> f64 {
    let found = report.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("{pointer} is missing in {report:#}"))
}

#[test]
fn its_json_has_everything() {
    let store = Store::new();
    let report = store.json(&[
        "bench",
        "--json",
        "--raw",
        "--records",
        "2000",
        "--record-size",
        "200B",
        "--partitions",
        "2",
        "--compression",
        "lz4",
        "--rate",
        "20000/s",
    ]);
    assert_eq!(number(&report, "/produce/records"), 2000.0);
    assert_eq!(number(&report, "/produce/bytes"), 400_000.0);
    assert_eq!(number(&report, "/catch_up/records"), 2000.0);
    assert_eq!(number(&report, "/end_to_end/records"), 2000.0);
    for phase in ["produce", "catch_up", "end_to_end"] {
        for field in ["seconds", "records_per_s", "mib_per_s"] {
            assert!(number(&report, &format!("/{phase}/{field}")) > 0.0);
        }
    }
    for latency in ["produce/ack_ms", "end_to_end/ack_ms", "end_to_end/latency_ms"] {
        let at = |name: &str| number(&report, &format!("/{latency}/{name}"));
        let found = ["p50", "p90", "p99", "p99_9", "max"].map(at);
        assert!(found.is_sorted() && found[0] > 0.0, "{found:?}");
    }
    for requests in ["produce/requests", "catch_up/requests", "end_to_end/consumer_requests"] {
        for kind in ["puts", "gets", "lists", "deletes", "put_bytes", "get_bytes"] {
            number(&report, &format!("/{requests}/{kind}"));
        }
    }
    assert!(number(&report, "/produce/requests/puts") > 0.0);
    assert!(number(&report, "/catch_up/requests/gets") > 0.0);
    assert!(number(&report, "/raw/objects") > 0.0);
    assert!(number(&report, "/ratios/ack_median") > 0.0);
    assert!(number(&report, "/ratios/catch_up_throughput") > 0.0);
    assert!(report["ratios"]["produce_throughput"].is_null());
    #[cfg(target_os = "linux")]
    assert!(number(&report, "/peak_memory_bytes") > 0.0);
    assert_explained(&report);
}

/// Every field is a word of the help.
fn assert_explained(report: &Value) {
    let help = String::from_utf8(Store::new().ok(&["bench", "--help"], b"")).unwrap();
    let words: HashSet<&str> =
        help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut left = vec![report];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    assert!(words.contains(name.as_str()), "{name} is not in the help");
                    left.push(value);
                }
            }
            Value::Array(values) => left.extend(values),
            _ => (),
        }
    }
}

#[test]
fn it_leaves_no_topic_unless_told_to() {
    let store = Store::new();
    let text = String::from_utf8(store.ok(&["bench", "--duration", "200ms"], b"")).unwrap();
    for word in ["produce ", "catch-up ", "end-to-end ", "p99.9", " puts ("] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(store.json(&["topic", "list", "--json"]).as_array().unwrap().len(), 0);
    assert_eq!(store.files("data"), Vec::<std::path::PathBuf>::new());
    let kept = store.run(&["bench", "--records", "10", "--duration", "200ms", "--keep"], b"");
    assert_eq!(kept.status.code(), Some(2), "records and duration exclude each other");
    let kept = store.run(&["bench", "--duration", "200ms", "--keep"], b"");
    assert!(String::from_utf8(kept.stderr).unwrap().contains("kept"));
    assert_eq!(store.json(&["topic", "list", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn memory_is_a_store_too() {
    let store = Store::new();
    let args = ["bench", "--store", "memory://", "--duration", "200ms", "--json"];
    assert!(number(&store.json(&args), "/end_to_end/records") > 0.0);
    for more in [&["--raw"][..], &["--writers", "2"]] {
        store.fails(&[&args[..], more].concat(), 2);
    }
}

#[test]
fn writers_are_counted_one_by_one() {
    let store = Store::new();
    let report = store.json(&["bench", "--writers", "3", "--duration", "500ms", "--json"]);
    let writers = report["writers"].as_array().unwrap();
    assert_eq!(writers.len(), 3);
    let jain = number(&report, "/jain");
    assert!(jain > 0.0 && jain <= 1.0 + 1e-9, "{jain}");
    assert!(number(&report, "/records_per_s") > 0.0);
    assert!(number(&report, "/single_records_per_s") > 0.0);
    assert!(number(&report, "/ratio") > 0.0);
    assert_explained(&report);
    assert_eq!(store.json(&["topic", "list", "--json"]).as_array().unwrap().len(), 0);
}

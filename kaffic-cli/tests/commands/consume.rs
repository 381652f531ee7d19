//! `kaffic consume`.

use crate::support::{Store, signal, start, values};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use std::io::{BufRead, BufReader};

const NONE: [u64; 0] = [];

/// A topic with the values 0 to 9 in one partition, from several processes so that their times
/// differ.
fn ten() -> Store {
    let store = Store::with_topic("t", 1);
    for i in 0..5 {
        store.ok(&["produce", "t"], format!("{}\n{}\n", 2 * i, 2 * i + 1).as_bytes());
    }
    store
}

fn read(store: &Store, args: &[&str]) -> Vec<u64> {
    let args = [&["consume", "t", "--format", "json"], args].concat();
    let records = store.json_lines(&args, b"");
    values(&records).iter().map(|value| value.parse().unwrap()).collect()
}

fn range(from: u64, to: u64) -> Vec<u64> {
    (from..to).collect()
}

#[test]
fn every_way_to_say_from_where() {
    let store = ten();
    assert_eq!(read(&store, &[]), range(0, 10));
    assert_eq!(read(&store, &["--from", "earliest"]), range(0, 10));
    assert_eq!(read(&store, &["--from", "latest"]), NONE);
    assert_eq!(read(&store, &["--from", "offset:4"]), range(4, 10));
    assert_eq!(read(&store, &["--from", "offset:10"]), NONE);
    assert_eq!(read(&store, &["--from", "last:3"]), range(7, 10));
    assert_eq!(read(&store, &["--from", "last:0"]), NONE);
    assert_eq!(read(&store, &["--from", "last:100"]), range(0, 10));
}

#[test]
fn every_way_to_say_until_where() {
    let store = ten();
    assert_eq!(read(&store, &["--until", "latest"]), range(0, 10));
    assert_eq!(read(&store, &["--until", "offset:4"]), range(0, 4));
    assert_eq!(read(&store, &["--until", "offset:0"]), NONE);
    assert_eq!(read(&store, &["--from", "offset:3", "--until", "offset:6"]), range(3, 6));
    assert_eq!(read(&store, &["--from", "last:4", "--until", "latest"]), range(6, 10));
    assert_eq!(read(&store, &["--from", "offset:2", "--max", "3"]), range(2, 5));
    assert_eq!(read(&store, &["--max", "0"]), NONE);
}

#[test]
fn times_mean_the_first_record_at_or_after() {
    let store = ten();
    let records = store.json_lines(&["consume", "t", "--format", "json"], b"");
    let stamp = |record: &Value| record["timestamp"].as_i64().unwrap();
    let show = |ms: i64| {
        let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap();
        format!("time:{}", time.to_rfc3339_opts(SecondsFormat::Millis, true))
    };
    for record in &records {
        for ms in [stamp(record), stamp(record) + 1] {
            let first = records.iter().position(|other| stamp(other) >= ms).unwrap_or(10) as u64;
            assert_eq!(read(&store, &["--from", &show(ms)]), range(first, 10));
            assert_eq!(read(&store, &["--until", &show(ms)]), range(0, first));
        }
    }
    assert_eq!(read(&store, &["--from", "time:1999-01-01T00:00:00Z"]), range(0, 10));
    assert_eq!(read(&store, &["--until", "time:1999-01-01T00:00:00Z"]), NONE);
    assert_eq!(read(&store, &["--from", "time:2999-01-01T00:00:00Z"]), NONE);
}

#[test]
fn offsets_beyond_the_end() {
    let store = ten();
    let errors = store.fails(&["consume", "t", "--from", "offset:11", "--on-expired", "error"], 1);
    assert!(errors.starts_with("kaffic: "), "{errors}");
    assert!(errors.contains("offsets 0 to 10 remain"), "{errors}");
    let output = store.run(&["consume", "t", "--from", "offset:11"], b"");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b""[..]));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "kaffic: nothing has reached offset 11: the end is at 10\n");
}

#[test]
fn offsets_apply_to_partitions_that_have_not_so_many() {
    let store = Store::with_topic("t", 3);
    store.ok(&["produce", "t", "--partition", "0"], b"0\n1\n2\n3\n4\n");
    store.ok(&["produce", "t", "--partition", "1"], b"10\n11\n");
    assert_eq!(read(&store, &["--from", "offset:3"]), [3, 4]);
    for (until, expected) in
        [("offset:0", vec![]), ("offset:1", vec![0, 10]), ("offset:3", vec![0, 1, 2, 10, 11])]
    {
        let mut found = read(&store, &["--until", until]);
        found.sort();
        assert_eq!(found, expected, "{until}");
    }
    assert_eq!(read(&store, &["--until", "offset:99"]).len(), 7);
    assert_eq!(read(&store, &["--from", "offset:1", "--until", "offset:2"]).len(), 2);
    assert_eq!(read(&store, &["--from", "offset:4", "--until", "offset:2"]), NONE);
}

#[test]
fn an_offset_that_is_still_to_come_can_be_followed() {
    let store = Store::with_topic("t", 1);
    store.ok(&["produce", "t"], b"0\n");
    let args = ["consume", "t", "-f", "--from", "offset:3", "-n", "2"];
    let mut child = start(&mut store.command(&args));
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = errors.next().unwrap().unwrap();
    assert_eq!(said, "kaffic: nothing has reached offset 3: the end is at 1");
    store.ok(&["produce", "t"], b"1\n2\n3\n4\n5\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"3\n4\n"[..]));
}

#[test]
fn chosen_partitions() {
    let store = Store::with_topic("t", 3);
    for partition in ["0", "1", "2"] {
        store.ok(&["produce", "t", "--partition", partition], format!("{partition}\n").as_bytes());
    }
    let mut all = read(&store, &[]);
    all.sort();
    assert_eq!(all, [0, 1, 2]);
    assert_eq!(read(&store, &["--partition", "1"]), [1]);
    let mut two = read(&store, &["--partition", "2", "--partition", "0"]);
    two.sort();
    assert_eq!(two, [0, 2]);
    let errors = store.fails(&["consume", "t", "--partition", "3"], 2);
    assert!(errors.starts_with("kaffic: ") && errors.contains('3'), "{errors}");
}

#[test]
fn formats() {
    let store = Store::with_topic("t", 1);
    store.ok(&["produce", "t", "-K", ":", "-H", "h=1"], b"k\xff:v\t\n");
    assert_eq!(store.ok(&["consume", "t"], b""), b"v\t\n");
    let text = String::from_utf8(store.ok(&["consume", "t", "--format", "text"], b"")).unwrap();
    let fields: Vec<_> = text.trim_end().split('\t').collect();
    assert_eq!((fields.len(), &fields[..2]), (6, &["0", "0"][..]));
    assert_eq!(fields[3..], ["k\\xff", "v\\t", "h=1"]);
    let json = &store.json_lines(&["consume", "t", "--format", "json"], b"")[0];
    assert_eq!(json["topic"], "t");
    assert_eq!(json["key"]["base64"], "a/8=");
    assert_eq!(json["value"], "v\t");
    let stamp = DateTime::parse_from_rfc3339(fields[2]).unwrap();
    assert_eq!(json["timestamp"], stamp.timestamp_millis());
}

#[test]
fn it_follows_until_it_is_interrupted() {
    for name in ["INT", "TERM"] {
        let store = Store::with_topic("t", 2);
        store.ok(&["produce", "t", "--partition", "0"], b"before\n");
        let mut child = start(&mut store.command(&["consume", "t", "--follow"]));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "before");
        for partition in ["0", "1"] {
            store.ok(&["produce", "t", "--partition", partition], b"after\n");
            assert_eq!(lines.next().unwrap().unwrap(), "after");
        }
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert!(lines.next().is_none());
    }
}

#[test]
fn following_ends_at_the_maximum() {
    let store = Store::with_topic("t", 1);
    let mut child = start(&mut store.command(&["consume", "t", "--follow", "--max", "3"]));
    store.ok(&["produce", "t"], b"1\n2\n");
    store.ok(&["produce", "t"], b"3\n4\n");
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"1\n2\n3\n"[..]));
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let store = Store::with_topic("t", 1);
    let lines: String = (0..200_000).map(|i| format!("line {i}\n")).collect();
    store.ok(&["produce", "t"], lines.as_bytes());
    for args in [&["consume", "t"][..], &["consume", "t", "--follow"]] {
        let mut child = start(&mut store.command(args));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "line 0\n");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
}

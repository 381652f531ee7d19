//! `kaffic produce`.

use crate::support::{Store, json_lines, signal, start, values};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};

#[test]
fn bytes_come_back_as_they_went() {
    let store = Store::with_topic("t", 1);
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut input = b"first\n\nwindows\r\n".to_vec();
    input.extend_from_slice(&every_byte);
    input.extend_from_slice(b"\nlast without newline");
    store.ok(&["produce", "t"], &input);
    input.push(b'\n');
    assert_eq!(store.ok(&["consume", "t"], b""), input);
    // The newline among the 256 bytes makes two records of them.
    assert_eq!(
        store.ok(&["consume", "t", "--format", "json"], b"").split(|&b| b == b'\n').count(),
        7
    );
}

#[test]
fn a_file_with_every_codec() {
    let store = Store::with_topic("t", 1);
    let file = store.path().join("lines");
    let lines: String = (0..5000).map(|i| format!("line {i} of the file\n")).collect();
    std::fs::write(&file, &lines).unwrap();
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        let file = file.to_str().unwrap();
        store.ok(&["produce", "t", "--file", file, "--compression", codec], b"");
    }
    assert_eq!(store.ok(&["consume", "t"], b""), lines.repeat(codecs.len()).as_bytes());
    let errors = store.fails(&["produce", "t", "--file", "/does/not/exist"], 1);
    assert!(errors.starts_with("kaffic: cannot open /does/not/exist: "), "{errors}");
}

#[test]
fn keys_keep_their_partition_and_their_order() {
    let store = Store::with_topic("t", 4);
    let lines: String = (0..3000).map(|i| format!("key-{}:{i}\n", i % 50)).collect();
    store.ok(&["produce", "t", "--key-separator", ":"], lines.as_bytes());
    let read = store.json_lines(&["consume", "t", "--format", "json"], b"");
    assert_eq!(read.len(), 3000);
    let mut used = std::collections::BTreeSet::new();
    for key in 0..50 {
        let name = format!("key-{key}");
        let of: Vec<_> = read.iter().filter(|record| record["key"] == name.as_str()).collect();
        assert!(of.iter().all(|record| record["partition"] == of[0]["partition"]), "{name}");
        let found: Vec<u64> =
            of.iter().map(|record| record["value"].as_str().unwrap().parse().unwrap()).collect();
        let expected: Vec<u64> = (0..3000).filter(|i| i % 50 == key).collect();
        assert_eq!(found, expected, "{name}");
        used.insert(of[0]["partition"].as_u64());
    }
    assert_eq!(used.len(), 4);
}

#[test]
fn headers_partition_and_lines_without_a_key() {
    let store = Store::with_topic("t", 3);
    store.ok(
        &[
            "produce",
            "t",
            "--partition",
            "2",
            "--header",
            "a=1",
            "--header",
            "a=b=c",
            "--key-separator",
            "=>",
            "--linger",
            "1ms",
        ],
        b"k=>v\nno key\n=>empty key\n",
    );
    let read = store.json_lines(&["consume", "t", "--format", "json"], b"");
    assert_eq!(values(&read), ["v", "no key", "empty key"]);
    assert_eq!(
        read.iter().map(|r| &r["key"]).collect::<Vec<_>>(),
        [&json!("k"), &json!(null), &json!("")]
    );
    for record in &read {
        assert_eq!(record["partition"], 2);
        let headers = json!([{"name": "a", "value": "1"}, {"name": "a", "value": "b=c"}]);
        assert_eq!(record["headers"], headers);
    }
}

#[test]
fn missing_topics_are_created_when_asked() {
    let store = Store::new();
    store.ok(&["produce", "t", "--create-partitions", "2"], b"a\n");
    store.ok(&["produce", "t", "--create-partitions", "2"], b"b\n");
    assert_eq!(store.json(&["topic", "describe", "t", "--json"])["partitions"], 2);
    assert_eq!(store.ok(&["consume", "t"], b"").len(), 4);
}

#[test]
fn a_partition_that_is_not_there() {
    let store = Store::with_topic("t", 2);
    let errors = store.fails(&["produce", "t", "--partition", "2"], 2);
    assert!(errors.contains("partition 2") && errors.contains("it has 2"), "{errors}");
}

#[test]
fn the_report_has_every_line_in_order() {
    let store = Store::with_topic("t", 3);
    let lines: String = (0..2000).map(|i| format!("k{}:v{i}\n", i % 17)).collect();
    let report =
        store.json_lines(&["produce", "t", "--report", "--key-separator", ":"], lines.as_bytes());
    assert_eq!(report.len(), 2000);
    let read = store.json_lines(&["consume", "t", "--format", "json"], b"");
    let at = |line: usize| {
        let value = format!("v{}", line - 1);
        let found: Vec<_> =
            read.iter().filter(|record| record["value"] == value.as_str()).collect();
        assert_eq!(found.len(), 1);
        json!({"line": line, "partition": found[0]["partition"], "offset": found[0]["offset"]})
    };
    for (i, reported) in report.iter().enumerate() {
        assert_eq!(*reported, at(i + 1));
    }
}

#[test]
fn a_reported_line_can_be_read_at_once() {
    let store = Store::with_topic("t", 1);
    let mut child = start(&mut store.command(&["produce", "t", "--report"]));
    let mut stdin = child.stdin.take().unwrap();
    let mut report = BufReader::new(child.stdout.take().unwrap()).lines();
    for (i, value) in ["one", "two", "three"].into_iter().enumerate() {
        writeln!(stdin, "{value}").unwrap();
        let line: serde_json::Value =
            serde_json::from_str(&report.next().unwrap().unwrap()).unwrap();
        assert_eq!(line, json!({"line": i + 1, "partition": 0, "offset": i}));
        let from = format!("offset:{i}");
        assert_eq!(
            store.ok(&["consume", "t", "--from", &from], b""),
            format!("{value}\n").as_bytes()
        );
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn interrupted_it_writes_what_it_has_read() {
    for name in ["INT", "TERM"] {
        let store = Store::with_topic("t", 1);
        let mut child = start(&mut store.command(&["produce", "t", "--report"]));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"a\nb\nc\nhalf a li").unwrap();
        let mut report = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..3 {
            report.next().unwrap().unwrap();
        }
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "kaffic: interrupted; 3 records acknowledged\n");
        assert_eq!(store.ok(&["consume", "t"], b""), b"a\nb\nc\n");
        drop(stdin);
    }
}

#[test]
fn a_report_that_nobody_reads_ends_it_and_leaves_no_doubt() {
    let store = Store::with_topic("t", 1);
    let mut child = start(&mut store.command(&["produce", "t", "--report"]));
    let mut stdin = child.stdin.take().unwrap();
    let mut report = BufReader::new(child.stdout.take().unwrap());
    stdin.write_all(b"a\n").unwrap();
    report.read_line(&mut String::new()).unwrap();
    drop(report);
    // The end comes by itself, however much there is to read.
    while stdin.write_all(&b"more\n".repeat(1000)).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.ends_with("when nobody read the report any more\n"), "{errors}");
    let stored = store.ok(&["consume", "t"], b"").split(|&byte| byte == b'\n').count() - 1;
    assert!(errors.starts_with(&format!("kaffic: {stored} records stored; ")), "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written() {
    use std::process::Stdio;
    let store = Store::with_topic("t", 1);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child = store
        .command(&["produce", "t", "--report"])
        .stdout(full)
        .stderr(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("kaffic: 1 record stored; cannot write to"), "{errors}");
}

#[test]
fn a_directory_is_no_input() {
    let store = Store::with_topic("t", 1);
    let errors = store.fails(&["produce", "t", "--file", store.path().to_str().unwrap()], 1);
    assert!(errors.starts_with("kaffic: 0 records stored; /"), "{errors}");
}

#[test]
fn the_report_says_what_became_of_lines_that_failed() {
    let store = Store::with_topic("t", 1);
    store.ok(&["topic", "alter", "t", "--max-record-bytes", "100"], b"");
    // The store goes away under the producer: its directory for slots is a file.
    std::fs::create_dir_all(store.path().join("data/t/0/00000/000000000")).unwrap();
    std::fs::write(store.path().join("data/t/0/00000/000000000/000"), b"in the way").unwrap();
    let args = ["produce", "t", "--report", "--delivery-timeout", "300ms"];
    let output = store.run(&args, b"one\ntwo\n");
    assert_eq!(output.status.code(), Some(1));
    for (reported, line) in json_lines(&output.stdout).iter().zip(1..) {
        assert_eq!(reported["line"], line);
        let outcome = reported["outcome"].as_str().unwrap();
        assert!(["unknown", "not_written"].contains(&outcome), "{reported}");
        assert!(!reported["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(json_lines(&output.stdout).len(), 2);
}

#[test]
fn an_older_process_of_a_name_is_fenced_off() {
    let store = Store::with_topic("t", 1);
    let args = ["produce", "t", "--name", "n", "--report"];
    let mut old = start(&mut store.command(&args));
    let mut report = BufReader::new(old.stdout.take().unwrap()).lines();
    let mut stdin = old.stdin.take().unwrap();
    stdin.write_all(b"first\n").unwrap();
    assert_eq!(report.next().unwrap().unwrap(), r#"{"line":1,"partition":0,"offset":0}"#);
    store.ok(&["produce", "t", "--name", "n"], b"second\n");
    stdin.write_all(b"third\n").unwrap();
    let failed = report.next().unwrap().unwrap();
    assert!(failed.contains(r#""outcome":"not_written""#), "{failed}");
    assert!(failed.contains("taken over by a newer instance"), "{failed}");
    drop(stdin);
    assert_eq!(old.wait().unwrap().code(), Some(1));
    assert_eq!(store.ok(&["consume", "t"], b""), b"first\nsecond\n");
}

#[test]
fn the_same_lines_are_stored_once() {
    let store = Store::with_topic("t", 2);
    let lines: Vec<String> = (0..500).map(|n| format!("k{}:{n}\n", n % 7)).collect();
    let args = ["produce", "t", "--name", "loader", "--sequence", "-K", ":"];
    store.ok(&args, lines[..300].concat().as_bytes());
    store.ok(&args, lines.concat().as_bytes());
    let report = [&args[..], &["--report"]].concat();
    let report = json_lines(&store.ok(&report, lines.concat().as_bytes()));
    assert_eq!(report.len(), 500);
    assert!(report.iter().all(|line| line["duplicate"] == true && line["offset"].is_null()));
    let read = store.json_lines(&["consume", "t", "--format", "json"], b"");
    assert_eq!(read.len(), 500);
    let errors = store.fails(&["produce", "t", "--sequence"], 2);
    assert!(errors.contains("--name"), "{errors}");
    let keyless = store.run(&["produce", "t", "--name", "n", "--sequence"], b"x\n");
    let errors = String::from_utf8_lossy(&keyless.stderr).into_owned();
    assert!(errors.contains("line 1 has no key"), "{errors}");
}

#[test]
fn lines_at_an_expected_offset_are_stored_together_or_not_at_all() {
    let store = Store::with_topic("t", 2);
    let args = ["produce", "t", "--partition", "1", "--report", "--expected-offset"];
    let at = |offset| [&args[..], &[offset]].concat();
    let report = json_lines(&store.ok(&at("0"), b"a\nb\n"));
    assert_eq!(report[1], json!({ "line": 2, "partition": 1, "offset": 1 }));
    let failed = store.run(&at("0"), b"c\nd\n");
    assert_eq!(failed.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(errors.contains("offset 0 was expected to be next, and 2 is"), "{errors}");
    store.ok(&at("2"), b"c\nd\n");
    assert_eq!(store.ok(&["consume", "t"], b""), b"a\nb\nc\nd\n");
    let errors = store.fails(&["produce", "t", "--expected-offset", "0"], 2);
    assert!(errors.contains("--partition"), "{errors}");
}

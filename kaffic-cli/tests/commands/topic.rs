//! `kaffic topic`.

use crate::support::Store;
use serde_json::json;

#[test]
fn topics_come_and_go() {
    let store = Store::new();
    let made = store.json(&[
        "topic",
        "create",
        "orders",
        "--partitions",
        "3",
        "--min-expiry",
        "36h",
        "--json",
    ]);
    assert_eq!(made["name"], "orders");
    assert_eq!(made["partitions"], 3);
    assert_eq!(made["min_expiry"], "36h");
    store.ok(&["topic", "create", "audit", "--min-expiry", "never"], b"");

    let listed = store.json(&["topic", "list", "--json"]);
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|topic| &topic["name"]).collect();
    assert_eq!(names, ["audit", "orders"]);
    assert_eq!(listed[0]["min_expiry"], "never");
    let text = String::from_utf8(store.ok(&["topic", "list"], b"")).unwrap();
    assert_eq!(
        text,
        "audit: 1 partition, min-expiry never\norders: 3 partitions, min-expiry 36h\n"
    );

    let deleted = store.json(&["topic", "delete", "orders", "--json"]);
    assert_eq!(deleted["name"], "orders");
    let listed = store.json(&["topic", "list", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let again = store.json(&["topic", "create", "orders", "--json"]);
    assert_eq!(again["incarnation"], 1);
}

#[test]
fn what_a_deletion_leaves_is_said() {
    let store = Store::with_topic("t", 1);
    store.ok(&["produce", "t"], b"a\n");
    let text = String::from_utf8(store.ok(&["topic", "delete", "t"], b"")).unwrap();
    assert!(text.starts_with("deleted topic t: 0 objects removed, "), "{text}");
    assert!(text.contains(" left that must stay until 2"), "{text}");
    let json = store.json(&["topic", "delete", "t", "--json"]);
    let left = json["remaining"].as_u64().unwrap();
    assert!(text.contains(&format!(", {left} objects left")), "{text}");
    assert_eq!(store.files("data/t").len() as u64, left);
}

#[test]
fn describe_shows_offsets() {
    let store = Store::with_topic("t", 2);
    store.ok(&["produce", "t", "--partition", "1"], b"a\nb\nc\n");
    let described = store.json(&["topic", "describe", "t", "--json"]);
    assert_eq!(
        described["offsets"],
        json!([
            {"partition": 0, "earliest": 0, "end": 0},
            {"partition": 1, "earliest": 0, "end": 3},
        ])
    );
    let text = String::from_utf8(store.ok(&["topic", "describe", "t"], b"")).unwrap();
    assert!(text.starts_with("t: 2 partitions, min-expiry 24h\ncreated 2"), "{text}");
    assert!(text.ends_with("        1              0              3\n"), "{text}");
}

#[test]
fn bad_names_and_numbers_are_usage_errors() {
    let store = Store::new();
    for args in [
        &["topic", "create", "a/b"][..],
        &["topic", "create", ".."],
        &["topic", "create", ""],
        &["topic", "create", "t", "--partitions", "0"],
        &["topic", "create", "t", "--partitions", "10001"],
        &["topic", "create", "t", "--min-expiry", "1s"],
        &["topic", "describe", "a/b"],
    ] {
        let errors = store.fails(args, 2);
        assert!(errors.starts_with("kaffic: "), "{args:?}: {errors}");
    }
}

#[test]
fn what_exists_and_what_does_not() {
    let store = Store::with_topic("t", 1);
    let errors = store.fails(&["topic", "create", "t"], 1);
    assert!(errors.contains("hint: ") && errors.contains("topic delete"), "{errors}");
    for args in [
        &["topic", "describe", "nothing"][..],
        &["topic", "delete", "nothing"],
        &["produce", "nothing"],
        &["consume", "nothing"],
        &["verify", "nothing"],
    ] {
        let errors = store.fails(args, 1);
        assert!(errors.starts_with("kaffic: "), "{args:?}: {errors}");
        assert!(errors.contains("nothing"), "{args:?}: {errors}");
        assert!(errors.contains("hint: "), "{args:?}: {errors}");
    }
}

#[test]
fn settings_are_altered_one_by_one() {
    let store = Store::new();
    store.ok(&["topic", "create", "t", "--retention", "7d", "--max-record-bytes", "1KiB"], b"");
    let args = ["topic", "alter", "t", "--compression", "zstd", "--retention", "default"];
    let text = String::from_utf8(store.ok(&args, b"")).unwrap();
    let said =
        "topic t: 1 partition, min-expiry 1day, compression zstd, records up to 1024 bytes\n";
    assert_eq!(text.replace("24h", "1day"), said);
    let topic = store.json(&["topic", "describe", "t", "--json"]);
    assert_eq!((&topic["compression"], &topic["max_record_bytes"]), (&"zstd".into(), &1024.into()));
    assert!(topic["retention_ms"].is_null());
    let long = [&[b'x'; 2000][..], b"\n"].concat();
    let output = store.run(&["produce", "t"], &long);
    assert_eq!(output.status.code(), Some(1));
    for bad in [&["--compression", "rar"][..], &["--retention", "soon"], &["--retention", "0s"]] {
        store.fails(&[&["topic", "alter", "t"], bad].concat(), 2);
    }
    store.fails(&["topic", "alter", "nothing", "--retention", "1d"], 1);
}

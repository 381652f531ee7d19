//! `kaffic compact`.

use crate::support::Store;

#[test]
fn compacting_changes_how_a_topic_is_stored_and_not_what_is_read() {
    let store = Store::with_topic("t", 2);
    for line in ["one\n", "two\n", "three\n"] {
        store.ok(&["produce", "t", "--partition", "0"], line.as_bytes());
    }
    let before = store.ok(&["consume", "t", "--format", "json"], b"");
    let report = store.json(&["compact", "t", "--json"]);
    let number = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((number("compacted"), number("segments"), number("left")), (3, 3, 0));
    assert_eq!((number("removed"), number("remaining")), (0, 6));
    assert!(report["removable_at"].is_string());
    assert_eq!(store.ok(&["consume", "t", "--format", "json"], b""), before);
    let checked = store.json(&["verify", "t", "--json"]);
    assert_eq!(
        (checked["records"].as_u64(), checked["issues"].as_array().unwrap().len()),
        (Some(3), 0)
    );

    let text = String::from_utf8(store.ok(&["compact", "t"], b"")).unwrap();
    assert!(
        text.starts_with("topic t: 0 blocks compacted") && text.contains("3 had been"),
        "{text}"
    );
    let errors = store.fails(&["compact", "elsewhere"], 1);
    assert!(errors.contains("topic elsewhere does not exist"), "{errors}");
}

#[test]
fn compacting_applies_the_retention() {
    let store = Store::with_topic("t", 1);
    store.ok(&["produce", "t"], b"old\n");
    let age = std::time::Duration::from_secs(10 * 24 * 3600);
    for file in store.files("data").into_iter().chain(store.files("meta/logs")) {
        let file = std::fs::File::open(file).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - age).unwrap();
    }
    store.ok(&["produce", "t"], b"new\n");
    let report = store.json(&["compact", "t", "--json"]);
    assert!(report["retention"].is_null(), "{report}");
    assert_eq!(store.ok(&["consume", "t"], b""), b"old\nnew\n");
    store.ok(&["topic", "alter", "t", "--retention-bytes", "1"], b"");
    let report = store.json(&["compact", "t", "--json"]);
    assert!(report["retention"]["removed"].as_u64().unwrap() >= 1, "{report}");
    assert_eq!(store.ok(&["consume", "t"], b""), b"new\n");
    let text = String::from_utf8(store.ok(&["compact", "t"], b"")).unwrap();
    assert!(text.starts_with("retention: topic t: 0 objects removed"), "{text}");
}

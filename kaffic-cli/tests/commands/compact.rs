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

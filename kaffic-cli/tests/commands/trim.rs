//! `kaffic trim`.

use crate::support::Store;

#[test]
fn what_is_young_stays_and_is_counted() {
    let store = Store::with_topic("t", 2);
    // One batch, and the seal that ends its block.
    store.ok(&["produce", "t", "--partition", "0", "--linger", "100s"], b"one\ntwo\n");
    let report = store.json(&["trim", "t", "--before", "0s", "--json"]);
    assert_eq!((&report["removed"], report["remaining"].as_u64()), (&0.into(), Some(2)));
    let text = String::from_utf8(store.ok(&["trim", "t", "--offset", "2"], b"")).unwrap();
    assert!(text.contains("0 objects removed") && text.contains("too young until"), "{text}");
    let text = String::from_utf8(store.ok(&["trim", "t", "--offset", "1"], b"")).unwrap();
    assert_eq!(text, "topic t: 0 objects removed (0 bytes)\n");
    assert_eq!(store.ok(&["consume", "t"], b""), b"one\ntwo\n");
}

#[test]
fn it_has_to_be_said_what_may_go() {
    let store = Store::with_topic("t", 1);
    let errors = store.fails(&["trim", "t"], 2);
    assert!(errors.contains("no retention"), "{errors}");
    store.ok(&["topic", "alter", "t", "--retention", "7d"], b"");
    store.ok(&["trim", "t"], b"");
    for bad in
        [&["--before", "soon"][..], &["--offset", "-1"], &["--partition", "1", "--offset", "1"]]
    {
        store.fails(&[&["trim", "t"], bad].concat(), 2);
    }
    store.fails(&["trim", "nothing", "--offset", "1"], 1);
}

//! `kaffic adopt`.

use crate::support::Store;

#[test]
fn a_store_that_is_no_copy_is_left_alone() {
    let store = Store::with_topic("t", 3);
    store.ok(&["produce", "t"], b"one\ntwo\n");
    let before = store.files("");
    let text = String::from_utf8(store.ok(&["adopt"], b"")).unwrap();
    assert_eq!(text, "topic t: 3 partitions left alone\n");
    assert_eq!(store.files(""), before);
    let errors = store.fails(&["adopt", "nothing"], 1);
    assert!(errors.contains("nothing"), "{errors}");
}

#[test]
fn a_copied_block_is_ended_once() {
    let store = Store::with_topic("t", 1);
    store.ok(&["produce", "t"], b"one\ntwo\n");
    // As if it had been copied before its end was put.
    let meta = "meta/logs/t/0/00000/000000000/000";
    let end = store.files(meta).into_iter().find(|path| path.ends_with("end")).unwrap();
    std::fs::remove_file(end).unwrap();
    for path in store.files("") {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written + std::time::Duration::from_secs(60)).unwrap();
    }
    let planned = store.json(&["adopt", "--dry-run", "--json"]);
    assert_eq!((&planned["topic"], &planned["ended"][0]["next_offset"]), (&"t".into(), &2.into()));
    let text = String::from_utf8(store.ok(&["adopt", "t"], b"")).unwrap();
    assert!(text.contains("partition 0: block 0 ended"), "{text}");
    let text = String::from_utf8(store.ok(&["adopt", "t"], b"")).unwrap();
    assert_eq!(text, "topic t: 1 partitions left alone\n");
    assert_eq!(store.ok(&["consume", "t"], b""), b"one\ntwo\n");
    store.ok(&["verify", "t"], b"");
}

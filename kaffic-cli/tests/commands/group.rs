//! `kaffic group`, and `kaffic consume --group`.

use crate::support::{Store, signal, start};
use std::io::{BufRead, BufReader};

#[test]
fn a_group_goes_on_where_it_was() {
    let store = Store::with_topic("t", 1);
    store.ok(&["produce", "t"], b"1\n2\n3\n");
    assert_eq!(store.ok(&["consume", "t", "--group", "g", "--max", "2"], b""), b"1\n2\n");
    assert_eq!(store.ok(&["consume", "t", "--group", "g"], b""), b"3\n");
    assert_eq!(store.ok(&["consume", "t", "--group", "g"], b""), b"");
    assert_eq!(store.ok(&["consume", "t", "--group", "other"], b""), b"1\n2\n3\n");
    store.ok(&["produce", "t"], b"4\n");
    let text = String::from_utf8(store.ok(&["group", "describe", "g"], b"")).unwrap();
    assert!(text.contains("0 members"), "{text}");
    let row: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
    assert_eq!((row[..3].concat(), row[5]), ("t03".to_owned(), "-"));
    let groups = store.json(&["group", "list", "--json"]);
    assert_eq!((&groups[0]["name"], &groups[1]["name"]), (&"g".into(), &"other".into()));
    // Partitions that were chosen have their offsets in the group too.
    let args = ["consume", "t", "--partition", "0", "--group", "alone", "--max", "1"];
    assert_eq!(store.ok(&args, b""), b"1\n");
    assert_eq!(store.ok(&args, b""), b"2\n");
}

#[test]
fn offsets_are_reset_and_groups_deleted_when_nobody_is_there() {
    let store = Store::with_topic("t", 1);
    store.ok(&["produce", "t"], b"1\n2\n3\n");
    let mut member = start(&mut store.command(&["consume", "t", "--group", "g", "--follow"]));
    let mut lines = BufReader::new(member.stdout.take().unwrap()).lines();
    for expected in ["1", "2", "3"] {
        assert_eq!(lines.next().unwrap().unwrap(), expected);
    }
    let reset = ["group", "reset", "g", "--topic", "t", "--to", "offset:1"];
    let errors = store.fails(&reset, 1);
    assert!(errors.contains("1 members") || errors.contains("a member's"), "{errors}");
    let group = store.json(&["group", "describe", "g", "--json"]);
    assert_eq!(group["members"][0]["partitions"], 1);
    assert_eq!(group["partitions"][0]["owner"], group["members"][0]["name"]);
    signal(&member, "TERM");
    assert_eq!(member.wait_with_output().unwrap().status.code(), Some(130));
    let group = store.json(&["group", "describe", "g", "--json"]);
    assert_eq!(
        (&group["members"], &group["partitions"][0]["lag"]),
        (&[0; 0][..].into(), &0.into())
    );
    let text = store.ok(&[&reset[..], &["--dry-run"]].concat(), b"");
    assert_eq!(text, b"topic t partition 0: would be set to 1\n");
    assert_eq!(store.ok(&reset, b""), b"topic t partition 0: set to 1\n");
    assert_eq!(store.ok(&["consume", "t", "-g", "g"], b""), b"2\n3\n");
    assert_eq!(store.ok(&["group", "delete", "g"], b""), b"group g: deleted\n");
    store.fails(&["group", "describe", "g"], 1);
    assert_eq!(store.ok(&["group", "list"], b""), b"");
}

#[test]
fn wrong_calls() {
    let store = Store::with_topic("t", 1);
    store.fails(&["group", "describe", "nothing"], 1);
    store.fails(&["group", "describe", "a/b"], 2);
    store.fails(&["group", "reset", "g", "--topic", "t", "--to", "soon"], 2);
    store.fails(&["consume", "t", "--member", "m"], 2);
    store.fails(&["consume", "t", "--group", "g", "--session-timeout", "1s"], 2);
    store.fails(&["consume", "nothing", "--group", "g"], 1);
}

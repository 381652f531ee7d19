//! `kaffic verify`.

use crate::support::{Store, json_lines};

#[test]
fn a_sound_topic_and_a_damaged_one() {
    let store = Store::with_topic("t", 2);
    for partition in ["0", "1"] {
        // They linger until the end of the input, so they make one batch.
        let args = ["produce", "t", "--partition", partition, "--linger", "100s"];
        store.ok(&args, b"some\nlines\n");
    }
    let text = String::from_utf8(store.ok(&["verify", "t"], b"")).unwrap();
    assert!(text.contains("4 records") && text.ends_with("0 problems\n"), "{text}");
    let report = store.json(&["verify", "t", "--json"]);
    assert_eq!((report["records"].as_u64(), report["batches"].as_u64()), (Some(4), Some(2)));
    assert_eq!(report["issues"].as_array().unwrap().len(), 0);

    // A seal, where there is one, is small; the batch is the partition's largest file.
    let files = store.files("data/t/0/00001");
    let victim = files.iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(victim).unwrap();
    let at = bytes.len() - 5;
    bytes[at] ^= 0x10;
    std::fs::write(victim, bytes).unwrap();

    let output = store.run(&["verify", "t", "--json"], b"");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("kaffic: topic t has 1 problem"), "{errors}");
    let issues = &json_lines(&output.stdout)[0]["issues"];
    assert_eq!(issues[0]["partition"], 1);
    let name = issues[0]["object"].as_str().unwrap();
    assert!(victim.to_str().unwrap().ends_with(name), "{name}");

    let errors = store.fails(&["consume", "t"], 1);
    assert!(errors.contains(name) && errors.contains("kaffic verify"), "{errors}");
    let output = store.run(&["verify", "t"], b"");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("partition 1 "));
}

//! Stores that take a put that they should refuse: KAFFIC_TEST_UNSAFE_URL (and
//! KAFFIC_TEST_UNSAFE_OPTIONS) names one. An examination says that it can't be used; where even two
//! puts one after the other show it, nothing is ever written there. Without it, nothing is tested,
//! which is said.

mod support;

use kaffic_core::{CheckResult, ErrorKind, Outcome, Result, TopicConfig};
use support::TestStore;

fn unsafe_store() -> Option<TestStore> {
    let Ok(url) = std::env::var("KAFFIC_TEST_UNSAFE_URL") else {
        println!("skipped: it takes the store that KAFFIC_TEST_UNSAFE_URL names");
        return None;
    };
    let options = std::env::var("KAFFIC_TEST_UNSAFE_OPTIONS").unwrap_or_default();
    Some(TestStore::server(&url, &options))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_examination_says_that_it_cannot_be_used() {
    let Some(store) = unsafe_store() else { return };
    let report = store.connect().await.examine().await.expect("an examination");
    assert!(!report.is_usable(), "{:?}", report.checks);
    let failed = report.checks.iter().filter(|check| check.result == CheckResult::Failed);
    let said: Vec<&str> = failed.map(|check| check.detail.as_str()).collect();
    let reasons = ["the condition of a put-if-absent was ignored", "is not atomic"];
    assert!(reasons.iter().any(|reason| said.iter().any(|s| s.contains(reason))), "{said:?}");
    assert_eq!(store.keys("").await, [""; 0], "something was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_write_is_refused_and_nothing_is_written() {
    let Some(store) = unsafe_store() else { return };
    // A topic that was there before, as if the store had changed.
    let topic = r#"{"format":1,"incarnation":0,"deleted":false,"partitions":1,"min_expiry_ms":null,
        "slots":1000,"created_ms":0,"nonce":"0000000000000001"}"#;
    let key = support::format::topic_key("t", 0);
    store.replace(&key, topic).await;
    let before = [key.as_str()];
    // Each by a client of its own: one that has tried the store does not try again.
    let client = async || store.connect().await;
    let config = TopicConfig::new;
    assert_refused("create", client().await.topics().create("u", config()).await);
    assert_eq!(store.keys("").await, before);
    assert_refused("ensure", client().await.topics().ensure("u", config()).await);
    assert_eq!(store.keys("").await, before);
    assert_refused("produce", client().await.producer("t").build().await);
    assert_eq!(store.keys("").await, before);
    let producer = client().await.producer("u").create_topic(config()).build().await;
    assert_refused("produce to a new topic", producer);
    assert_eq!(store.keys("").await, before);
    assert_eq!(store.object(&key).await, topic, "the topic was changed");
}

fn assert_refused<T>(call: &str, result: Result<T>) {
    let error = result.err().unwrap_or_else(|| panic!("{call} was not refused"));
    assert_eq!(error.kind(), ErrorKind::UnsafeStore, "{call}: {error}");
    assert_eq!(error.outcome(), Outcome::NotWritten, "{call}: {error}");
    assert!(!error.is_retriable(), "{call}: {error}");
    let said = error.to_string();
    for words in ["ignored the condition of a put-if-absent", "kaffic can't be used there"] {
        assert!(said.contains(words), "{call}: {said}");
    }
}

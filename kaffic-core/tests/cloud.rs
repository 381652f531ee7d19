//! What only a store by URL can do: not be there.

mod support;

use kaffic_core::TopicConfig;
use support::TestStore;

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named_at_once() {
    let Ok(url) = std::env::var("KAFFIC_TEST_URL") else {
        println!("skipped: it takes the server that KAFFIC_TEST_URL names");
        return;
    };
    let options = std::env::var("KAFFIC_TEST_OPTIONS").unwrap_or_default();
    let (scheme, _bucket) = url.split_once("://").expect("a URL");
    let store = TestStore::server(&format!("{scheme}://kaffic-no-such-bucket"), &options);
    let client = store.connect().await;
    let Err(error) = client.topics().create("t", TopicConfig::new()).await else {
        println!("this server makes a bucket at the first put to it");
        return;
    };
    assert!(!error.is_retriable(), "{error:?}");
    assert!(error.to_string().contains("kaffic-no-such-bucket"), "{error}");
}

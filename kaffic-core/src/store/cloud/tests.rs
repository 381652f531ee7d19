use crate::error::ErrorKind;
use crate::store::url::open_url;

fn refused(url: &str, options: &str) -> String {
    let error = open_url(url, &options.parse().unwrap()).map(|_| ()).expect_err(url);
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url}: {error}");
    error.to_string()
}

#[test]
fn urls_that_name_no_store_say_what_would() {
    for (url, said) in [
        ("http://127.0.0.1:9000/bucket", "endpoint=http://127.0.0.1:9000"),
        ("https://storage.example.com/bucket", "s3://bucket/prefix"),
        ("s3://key:secret@bucket/x", "environment"),
        ("s3://bucket:9000/x", "endpoint=http://host:port"),
        ("s3://bucket/x?region=eu", "options"),
        ("s3:///x", "s3://bucket/prefix"),
        ("https://s3.eu-west-1.amazonaws.com/", "no bucket"),
        ("https://account.blob.core.windows.net", "no bucket or container"),
    ] {
        let message = refused(url, "");
        assert!(message.contains(said), "{url}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_missing_feature_is_named() {
    assert!(refused("s3://bucket", "").contains("feature aws"));
}

#[cfg(all(feature = "aws", feature = "gcp", feature = "azure"))]
mod all {
    use super::*;
    use crate::store::{StoreOptions, failure};
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn opened(url: &str, options: &str) -> (String, String) {
        let (store, prefix) = open_url(url, &options.parse().unwrap()).expect(url);
        (store.to_string(), prefix)
    }

    #[test]
    fn the_path_is_the_prefix() {
        for (url, options, store, prefix) in [
            ("s3://logs", "", "AmazonS3(logs)", ""),
            ("s3://logs/", "", "AmazonS3(logs)", ""),
            ("s3://logs/a/b%20c/", "", "AmazonS3(logs)", "a/b c"),
            ("https://s3.eu-west-1.amazonaws.com/logs/a", "", "AmazonS3(logs)", "a"),
            ("https://logs.s3.eu-west-1.amazonaws.com/a", "", "AmazonS3(logs)", "a"),
            ("https://id.r2.cloudflarestorage.com/logs/a", "", "AmazonS3(logs)", "a"),
            ("gs://logs/a", "", "GoogleCloudStorage(logs)", "a"),
            (
                "az://logs/a",
                "account_name=me,account_key=a2V5",
                "MicrosoftAzure { account: me, container: logs }",
                "a",
            ),
            (
                "https://me.blob.core.windows.net/logs/a",
                "account_key=a2V5",
                "MicrosoftAzure { account: me, container: logs }",
                "a",
            ),
            (
                "az://logs",
                "use_emulator=true,endpoint=http://127.0.0.1:1",
                "MicrosoftAzure { account: devstoreaccount1, container: logs }",
                "",
            ),
        ] {
            assert_eq!(opened(url, options), (store.to_owned(), prefix.to_owned()), "{url}");
        }
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let ca = format!("ca_certificate={}", file.display());
        for (url, options, said) in [
            ("s3://b", "access_key_id=k", "secret_access_key"),
            ("s3://b", "endpoint=http://h,allow_http=false", "allow_http"),
            ("s3://b", "endpoint=http://127.0.0.1:1,path_style=false", "host name"),
            ("s3://b", "account_key=k", "Azure"),
            ("s3://b", &ca, "ca.pem"),
            ("gs://b", "service_account_key=/nowhere.json", "/nowhere.json"),
            ("az://b", "account_key=a2V5", "Account must be specified"),
            ("file:///tmp", "region=x", "region"),
            ("memory://", "request_timeout=x", "request_timeout=x"),
        ] {
            let message = refused(url, options);
            assert!(message.contains(said), "{url} {options}: {message}");
        }
        std::fs::write(&file, "no certificate").unwrap();
        assert!(refused("gs://b", &ca).contains("no PEM certificate"));
    }

    /// A server that has one answer to everything, and the number of requests it got.
    #[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
    fn server(answer: &'static str) -> (String, Arc<AtomicU32>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = connection.read(&mut [0; 4096]);
                let len = answer.split_once("\r\n\r\n").unwrap().1.len();
                let head = format!("Content-Length: {len}\r\nConnection: close\r\n\r\n");
                let answer = answer.replacen("\r\n\r\n", &format!("\r\n{head}"), 1);
                let _ = connection.write_all(answer.as_bytes());
            }
        });
        (url, requests)
    }

    #[tokio::test]
    async fn one_call_is_one_request_and_answers_are_understood() {
        use object_store::{ObjectStoreExt, PutMode, PutOptions};
        for (answer, kind, throttle, said) in [
            (
                "HTTP/1.1 503 Slow Down\r\n\r\n<Error><Code>SlowDown</Code>\
                 <Message>Fewer.</Message></Error>",
                ErrorKind::Unavailable,
                true,
                "503 Service Unavailable: SlowDown: Fewer.",
            ),
            ("HTTP/1.1 429 Too Many\r\n\r\n", ErrorKind::Unavailable, true, "429"),
            ("HTTP/1.1 500 Oh\r\n\r\n", ErrorKind::Unavailable, false, "500"),
            ("HTTP/1.1 403 No\r\n\r\n", ErrorKind::Denied, false, "403 Forbidden"),
            ("HTTP/1.1 301 There\r\n\r\n", ErrorKind::InvalidArgument, false, "redirect"),
            (
                "HTTP/1.1 400 No\r\n\r\n<Code>AuthorizationHeaderMalformed</Code>",
                ErrorKind::InvalidArgument,
                false,
                "AuthorizationHeaderMalformed",
            ),
        ] {
            let (endpoint, requests) = server(answer);
            let options: StoreOptions =
                format!("endpoint={endpoint},access_key_id=k,secret_access_key=s").parse().unwrap();
            let (store, _) = open_url("s3://logs", &options).unwrap();
            let key = object_store::path::Path::from("key");
            let got = store.get(&key).await.unwrap_err();
            let put = PutOptions::from(PutMode::Create);
            let put = store.put_opts(&key, "value".into(), put).await.unwrap_err();
            assert_eq!(requests.load(Ordering::SeqCst), 2, "{answer}");
            for error in [got, put] {
                assert_eq!(failure::classify(&error).0, kind, "{error}");
                assert_eq!(failure::is_throttle(&error), throttle, "{error}");
                let cause = failure::root_cause(&error);
                assert!(cause.contains(said), "{cause}");
            }
        }
    }
}

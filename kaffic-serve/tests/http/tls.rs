//! HTTPS, and certificates that can't be read.

use crate::support::{Served, http};
use kaffic_core::Kaffic;
use kaffic_serve::{Config, Server};
use std::path::PathBuf;

#[tokio::test]
async fn a_server_with_a_certificate_speaks_https() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let client = Kaffic::connect("memory://").await.unwrap();
    let config = Config { tls: Some((cert, key)), ..Config::default() };
    let server = Served::on(client, config).await;
    http(); // the provider
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let url = format!("https://localhost:{}/healthz", server.address.port());
    assert_eq!(client.get(url).send().await.unwrap().text().await.unwrap(), "ok\n");
    assert!(server.http.get(server.url("/healthz")).send().await.is_err(), "plain HTTP");
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_can_not_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (cert, said) in [(PathBuf::from("/no/such.pem"), "/no/such.pem"), (empty, "no certificate")]
    {
        let client = Kaffic::connect("memory://").await.unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let tls = Some((cert.clone(), cert));
        let config = Config { tls, listen, ..Config::default() };
        let error = Server::bind(client, config).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

//! A server that is told to stop finishes what it has begun.

use crate::support::{Served, answer, fails, values};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_and_the_rest_was_refused() {
    let mut server = Served::on_disk().await;
    server.topic("t", 1).await;
    let mut writers = Vec::new();
    for writer in 0..20 {
        let (http, url) = (server.http.clone(), server.url("/v1/topics/t/records"));
        writers.push(tokio::spawn(async move {
            let mut stored = Vec::new();
            for number in 0.. {
                let value = format!("{writer}-{number}");
                let sent = http.post(&url).json(&json!({ "value": value })).send().await;
                match sent {
                    Ok(response) if response.status() == 200 => stored.push(value),
                    // Refused, or the port is closed: nothing was written, or nobody knows.
                    Ok(response) if response.status() == 503 => break,
                    Ok(response) => panic!("{}", response.status()),
                    Err(_) => break,
                }
            }
            stored
        }));
    }
    while server.client.offsets("t").latest(0).await.unwrap() < 100 {}
    server.begin_stop();
    let mut stored = Vec::new();
    for writer in writers {
        stored.extend(writer.await.unwrap());
    }
    let client = server.client.clone();
    let _store = server.stop().await;
    let again = Served::on(client, Default::default()).await;
    let mut read = Vec::new();
    loop {
        let path = format!("/v1/topics/t/partitions/0/records?offset={}", read.len());
        let some = again.values(&path).await;
        if some.is_empty() {
            break;
        }
        read.extend(some);
    }
    assert!(stored.len() >= 80, "{}", stored.len());
    stored.sort();
    read.sort();
    assert!(stored.iter().all(|value| read.binary_search(value).is_ok()));
    assert!(read.windows(2).all(|pair| pair[0] != pair[1]), "nothing is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_lines_is_told() {
    let mut server = Served::start().await;
    server.topic("t", 1).await;
    let (lines, body) = tokio::sync::mpsc::channel::<std::io::Result<&str>>(1);
    let body =
        futures_util::stream::unfold(body, async |mut body| Some((body.recv().await?, body)));
    let request = server.request(Method::POST, "/v1/topics/t/records");
    let request = request.header("content-type", "application/x-ndjson");
    let sent = tokio::spawn(answer(request.body(reqwest::Body::wrap_stream(body))));
    lines.send(Ok("{\"value\":\"a\"}\n")).await.unwrap();
    while server.client.offsets("t").latest(0).await.unwrap() < 1 {}
    server.begin_stop();
    let told = sent.await.unwrap();
    fails(&told, 503, "stopping");
    assert!(told.1["detail"].as_str().unwrap().contains("after 1 stored records"), "{}", told.1);
    drop(lines);
    server.stop().await;
}

#[tokio::test]
async fn those_who_wait_are_let_go() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let path = "/v1/topics/t/partitions/0/records?wait_ms=60000";
    let waiting = tokio::spawn(answer(server.request(Method::GET, path)));
    let stream = server.request(Method::GET, "/v1/topics/t/stream").send().await.unwrap();
    loop {
        let (_, metrics) = server.get("/metrics").await;
        if metrics.as_str().unwrap().contains("kaffic_streams 2\n") {
            break;
        }
    }
    // Far sooner than the wait, or this test would never end.
    tokio::time::timeout(Duration::from_secs(30), server.stop()).await.unwrap();
    let (status, answer) = waiting.await.unwrap();
    assert_eq!((status.as_u16(), values(&answer).len()), (200, 0));
    stream.bytes().await.unwrap();
}

#[tokio::test]
async fn a_stuck_client_does_not_hold_it() {
    let limits = kaffic_serve::Limits {
        drain_timeout: Duration::from_millis(200),
        ..kaffic_serve::Limits::default()
    };
    let server = Served::with(limits).await;
    server.topic("t", 1).await;
    let head = "POST /v1/topics/t/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 20\r\n\r\n";
    let mut stuck = tokio::net::TcpStream::connect(server.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stuck, head.as_bytes()).await.unwrap();
    loop {
        let (_, metrics) = server.get("/metrics").await;
        if metrics.as_str().unwrap().contains("kaffic_requests_running 1\n") {
            break;
        }
    }
    server.stop().await;
}

//! What clients can make grow has a bound, and they are told.

use crate::support::{Served, answer, fails};
use kaffic_serve::Limits;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const RECORDS: &str = "/v1/topics/t/records";

/// Sends bytes as they are, and reads until the server closes.
async fn raw(server: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes at once may cut off what was not read.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_has_a_size() {
    let server = Served::with(Limits { body_bytes: 1000, ..Limits::default() }).await;
    server.topic("t", 1).await;
    let big = json!({ "value": "x".repeat(1000) });
    fails(&server.post(RECORDS, big.clone()).await, 413, "body_too_large");
    // Of unknown length: just too much, so that nothing is left to be sent when the server closes.
    let head = "POST /v1/topics/t/records HTTP/1.1\r\nHost: x\r\nContent-Type: \
                application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sent = format!("{head}3e9\r\n{}\r\n", "x".repeat(1001));
    let answer = raw(&server, sent.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let line = server.request(Method::POST, RECORDS).body(big.to_string());
    let line = crate::support::answer(line.header("content-type", "application/x-ndjson")).await;
    fails(&line, 413, "body_too_large");
    // Many lines may be longer together.
    let lines = "{\"value\":\"v\"}\n".repeat(1000);
    let lines = server.request(Method::POST, RECORDS).body(lines);
    let lines = lines.header("content-type", "application/x-ndjson");
    let (status, stored) = crate::support::answer(lines).await;
    assert_eq!((status.as_u16(), &stored["count"]), (200, &json!(1000)));
}

#[tokio::test]
async fn bodies_have_a_size_together() {
    let limits = Limits { body_bytes: 1000, bodies_bytes: 1000, ..Limits::default() };
    let server = Served::with(limits).await;
    server.topic("t", 1).await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v1/topics/t/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 950\r\n\r\n";
    stuck.write_all(format!("{head}{}", " ".repeat(900)).as_bytes()).await.unwrap();
    let other = json!({ "value": "x".repeat(200) });
    let refused = loop {
        match server.post(RECORDS, other.clone()).await {
            (status, _) if status == 200 => {}
            refused => break refused,
        }
    };
    fails(&refused, 503, "busy");
    drop(stuck);
    while server.post(RECORDS, other.clone()).await.0 != 200 {}
}

#[tokio::test]
async fn a_record_has_a_size_and_a_request_a_number() {
    let server = Served::with(Limits { records: 2, ..Limits::default() }).await;
    server.topic("t", 1).await;
    let three = json!({ "records": [{}, {}, {}] });
    fails(&server.post(RECORDS, three).await, 400, "invalid_argument");
    server.patch("/v1/topics/t", json!({ "max_record_bytes": 10 })).await;
    let big = json!({ "value": "x".repeat(11) });
    fails(&server.post(RECORDS, big).await, 413, "record_too_large");
}

#[tokio::test]
async fn who_sends_slowly_is_sent_away() {
    let limits = Limits { read_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = Served::with(limits).await;
    server.topic("t", 1).await;
    let head =
        "POST /v1/topics/t/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let answer = raw(&server, format!("{head}Content-Length: 20\r\n\r\n{{\"va").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("body_too_slow"), "{answer}");
    let lines = head.replace("json", "x-ndjson");
    let answer = raw(&server, format!("{lines}Content-Length: 20\r\n\r\n{{\"va").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // A head that does not end: the connection is closed.
    let answer = raw(&server, head.as_bytes()).await;
    assert!(!answer.contains(" 200 "), "{answer}");
}

#[tokio::test]
async fn a_head_has_a_size() {
    let server = Served::with(Limits { head_bytes: 8 << 10, ..Limits::default() }).await;
    // Just as much as it takes, without an end, so that nothing is left to be read when it closes.
    let head = "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ";
    let long = format!("{head}{}", "x".repeat((8 << 10) - head.len()));
    let answer = raw(&server, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let nonsense = raw(&server, b"\x16\x03\x01 nonsense\r\n\r\n").await;
    assert!(nonsense.starts_with("HTTP/1.1 400 "), "{nonsense}");
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn streams_have_a_number_and_requests_are_apart() {
    let server = Served::with(Limits { streams: 2, ..Limits::default() }).await;
    server.topic("t", 1).await;
    let open = || server.request(Method::GET, "/v1/topics/t/stream").send();
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    assert_eq!((one.status().as_u16(), two.status().as_u16()), (200, 200));
    fails(&server.get("/v1/topics/t/stream").await, 503, "busy");
    let waiting = server.get("/v1/topics/t/partitions/0/records?wait_ms=10").await;
    fails(&waiting, 503, "busy");
    server.store("t", &["a"]).await;
    drop(one);
    // Until the server has noticed.
    while server.get("/v1/topics/t/partitions/0/records?wait_ms=10").await.0 != 200 {}
}

#[tokio::test]
async fn requests_have_a_number() {
    let server = Served::with(Limits { requests: 1, ..Limits::default() }).await;
    server.topic("t", 1).await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v1/topics/t/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 20\r\n\r\n";
    stuck.write_all(head.as_bytes()).await.unwrap();
    while server.get("/v1/topics").await.0 != 503 {}
    let refused = server.request(Method::GET, "/v1/topics").send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(server.get("/healthz").await.0, 200, "which always answers");
    assert_eq!(server.get("/metrics").await.0, 200, "which is wanted then most of all");
    // What may last has room of its own, however it is written; and nothing else has.
    let lines = server.request(Method::POST, RECORDS).body("{}\n");
    assert_eq!(answer(lines.header("content-type", "application/x-ndjson")).await.0, 200);
    let fetch = "/v1/topics/t/partitions/0/records";
    assert_eq!(server.get(&format!("{fetch}?w%61it_ms=1")).await.0, 200);
    fails(&server.get(&format!("{fetch}?wait_ms=0")).await, 503, "busy");
    fails(&server.get("/v1/topics/t/offsets?wait_ms=1").await, 503, "busy");
    drop(stuck);
    while server.get("/v1/topics").await.0 != 200 {}
}

#[tokio::test]
async fn tails_have_a_number() {
    let server = Served::with(Limits { tails: 1, ..Limits::default() }).await;
    server.topic("t", 2).await;
    let wait = |partition: u32| format!("/v1/topics/t/partitions/{partition}/records?wait_ms=10");
    assert_eq!(server.get(&wait(0)).await.0, 200);
    fails(&server.get(&wait(1)).await, 503, "busy");
    assert_eq!(server.get(&wait(0)).await.0, 200);
}

#[tokio::test]
async fn answers_have_a_size_together() {
    let server = Served::with(Limits { answers_bytes: 200_000, ..Limits::default() }).await;
    server.topic("t", 1).await;
    let long = "x".repeat(150_000);
    server.store("t", &[&long, &long]).await;
    let path = "/v1/topics/t/partitions/0/records";
    fails(&server.get(path).await, 503, "busy");
    assert_eq!(server.values(&format!("{path}?max_records=1")).await.len(), 1);
    // A member is given again what there was no room for.
    let (_, joined) = server.post("/v1/groups/g/members", json!({ "topics": ["t"] })).await;
    let member = format!("/v1/groups/g/members/{}/records", joined["id"].as_str().unwrap());
    fails(&server.get(&format!("{member}?wait_ms=20000")).await, 503, "busy");
    server.stop().await;
}

/// Asks for a stream, and reads nothing of it.
async fn unread(server: &Served, query: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /v1/topics/t/stream?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn streams_count_as_answers() {
    let server = Served::with(Limits { answers_bytes: 200_000, ..Limits::default() }).await;
    server.topic("t", 1).await;
    let long = "x".repeat(150_000);
    for _ in 0..10 {
        server.store("t", &[long.as_str(); 10]).await;
    }
    let stuck = unread(&server, "from=earliest").await;
    let held = async || {
        let (_, metrics) = server.get("/metrics").await;
        !metrics.as_str().unwrap().contains("kaffic_answer_bytes 0\n")
    };
    while !held().await {}
    // Whoever takes its own gets all of it, as soon as there is room.
    drop(stuck);
    let mut other = server.request(Method::GET, "/v1/topics/t/stream?from=earliest");
    other = other.header("last-event-id", "0:90");
    let mut other = other.send().await.unwrap();
    let mut taken = 0;
    while taken < 10 * long.len() {
        taken += other.chunk().await.unwrap().unwrap().len();
    }
    drop(other);
    while held().await {}
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_in_nobodys_way() {
    // It is not sent away for that, for once.
    let write_timeout = Duration::from_secs(3600);
    let server = Served::with(Limits { write_timeout, ..Limits::default() }).await;
    server.topic("t", 100).await;
    let value = "x".repeat(8000);
    for partition in 0..100 {
        let records = vec![json!({ "value": value }); 32];
        let some = json!({ "records": records, "partition": partition });
        assert_eq!(server.post(RECORDS, some).await.0, 200);
    }
    let _stuck = unread(&server, "from=earliest").await;
    // Until what the sockets hold is full, and the server can't go on.
    let read = async || {
        let (_, metrics) = server.get("/metrics").await;
        let text = metrics.as_str().unwrap().to_owned();
        let line = text.lines().find(|line| line.starts_with("kaffic_records_read_total")).unwrap();
        line.split_once(' ').unwrap().1.to_owned()
    };
    let mut before = String::new();
    loop {
        let now = read().await;
        if now == before && now != "0" {
            break;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let fetches = (0..100).map(|partition| {
        let path = format!("/v1/topics/t/partitions/{partition}/records?max_records=1");
        let server = &server;
        async move { assert_eq!(server.values(&path).await.len(), 1) }
    });
    let all =
        tokio::time::timeout(Duration::from_secs(60), futures_util::future::join_all(fetches));
    all.await.expect("they are not answered");
}

#[tokio::test]
async fn lines_wait_for_room() {
    let limits = Limits { body_bytes: 1000, bodies_bytes: 1000, ..Limits::default() };
    let server = Served::with(limits).await;
    server.topic("t", 1).await;
    let lines: String =
        (0..500).map(|number| format!("{{\"value\":\"{number:0>100}\"}}\n")).collect();
    let lines = server.request(Method::POST, RECORDS).body(lines);
    let (status, stored) = answer(lines.header("content-type", "application/x-ndjson")).await;
    assert_eq!((status.as_u16(), &stored["count"]), (200, &json!(500)), "{stored}");
}

#[tokio::test]
async fn a_long_line_takes_its_room_once() {
    let (body_bytes, bodies_bytes) = (200_000, 200_000);
    let server = Served::with(Limits { body_bytes, bodies_bytes, ..Limits::default() }).await;
    server.topic("t", 1).await;
    let lines = format!("{{\"value\":\"{}\"}}\n", "x".repeat(180_000));
    let lines = server.request(Method::POST, RECORDS).body(lines);
    let (status, stored) = answer(lines.header("content-type", "application/x-ndjson")).await;
    assert_eq!((status.as_u16(), &stored["count"]), (200, &json!(1)), "{stored}");
}

#[tokio::test]
async fn more_readers_than_may_keep_what_they_fetched() {
    let server = Served::on_disk().await;
    server.topic("t", 1).await;
    let values: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = values.iter().map(String::as_str).collect();
    server.store("t", &texts).await;
    let page = async |at: usize| {
        let path = format!("/v1/topics/t/partitions/0/records?offset={at}&max_records=5");
        assert_eq!(server.values(&path).await, values[at..at + 5], "{at}");
    };
    // Each leaves a reader behind; then each goes on.
    futures_util::future::join_all((0..200).map(|at| page(at * 3))).await;
    futures_util::future::join_all((0..200).map(|at| page(at * 3 + 5))).await;
}

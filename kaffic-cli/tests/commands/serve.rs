//! `kaffic serve`: what it says, and how it ends. What it answers is tested with its own crate.

use crate::support::{Store, signal, start};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The answer to a request, as it came.
fn ask(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_answers_until_it_is_told_to_stop() {
    let store = Store::new();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let mut child =
        start(store.command(&["serve", "--listen", "127.0.0.1:0"]).arg("--token-file").arg(&token));
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = said.next().unwrap();
    let address = first.split("http://").nth(1).unwrap().split(',').next().unwrap();
    assert!(ask(address, "GET /readyz HTTP/1.1").starts_with("HTTP/1.1 200 "));
    assert!(ask(address, "GET /v1/topics HTTP/1.1").starts_with("HTTP/1.1 401 "));
    let known = "GET /v1/topics HTTP/1.1\r\nAuthorization: Bearer secret";
    assert!(ask(address, known).ends_with("{\"topics\":[]}"));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(said.next().as_deref(), Some("kaffic: stopped"));
}

#[test]
fn limits_are_set_by_flags_and_by_the_environment() {
    let store = Store::new();
    let mut command = store.command(&["serve", "--listen", "127.0.0.1:0", "--head-bytes", "8KiB"]);
    let mut child = start(command.env("KAFFIC_BODY_BYTES", "1KiB"));
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = said.next().unwrap();
    let address = first.split("http://").nth(1).unwrap().split(',').next().unwrap();
    let post = "POST /v1/topics HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2000";
    let answer = ask(address, post);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("1024 bytes"), "{answer}");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_that_can_not_start_says_why() {
    let store = Store::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = store.fails(&["serve", "--listen", &address], 1);
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    let said = store.fails(&["serve", "--token-file", "/no/such/file"], 1);
    assert!(said.contains("cannot read /no/such/file"), "{said}");
    let said = store.fails(&["serve", "--listen", "127.0.0.1:0", "--token", ""], 2);
    assert!(said.contains("the token is empty"), "{said}");
    let said = store.fails(&["serve", "--listen", "127.0.0.1:0", "--requests", "0"], 1);
    assert!(said.contains("requests is 0; it is 1 to"), "{said}");
    store.fails(&["serve", "--body-bytes", "much"], 2);
    store.fails(&["serve", "--tls-cert", "cert.pem"], 2);
    store.fails(&["serve", "--listen", "here"], 2);
}

//! What is wrong with a request is said, and nothing is written.

use crate::support::{Served, answer, fails};
use kaffic_serve::Config;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_wrong_request_is_told_what_is_wrong() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let (r, f) = ("/v1/topics/t/records", "/v1/topics/t/partitions/0/records");
    for body in [
        json!({ "name": "a b" }),
        json!({ "name": "x", "partitions": 0 }),
        json!({ "name": "x", "partitions": 10_001 }),
        json!({ "name": "x", "min_expiry_ms": 1 }),
        json!({ "name": "x", "max_record_bytes": 0 }),
    ] {
        fails(&server.post("/v1/topics", body).await, 400, "invalid_argument");
    }
    for body in [json!({}), json!([]), json!({ "name": 1 }), json!({ "name": "x", "color": "red" })]
    {
        fails(&server.post("/v1/topics", body).await, 400, "invalid_json");
    }
    for body in [
        json!({ "records": [] }),
        json!({ "records": [{}], "value": "v" }),
        json!({ "value": "v", "partition": 1 }),
        json!({ "value": "v", "atomic": true }),
        json!({ "records": [{}], "expected_offset": 0 }),
        json!({ "records": [{}], "atomic": true }),
    ] {
        fails(&server.post(r, body).await, 400, "invalid_argument");
    }
    for body in
        [json!({ "valeu": "v" }), json!({ "value": 1 }), json!({ "value": { "base64": "?" } })]
    {
        fails(&server.post(r, body).await, 400, "invalid_json");
    }
    for body in [json!([null]), json!({ "records": [["k", "v"]] }), json!({ "headers": [["n"]] })] {
        fails(&server.post(r, body).await, 400, "invalid_json");
    }
    for query in [
        "offset=-1",
        "offset=x",
        "from=tomorrow",
        "offset=0&from=latest",
        "max_records=0",
        "max_records=10001",
        "max_bytes=0",
        "wait_ms=60001",
        "max_recods=1",
        "show=hex",
    ] {
        fails(&server.get(&format!("{f}?{query}")).await, 400, "invalid_argument");
    }
    let beyond = server.get(&format!("{f}?offset=5")).await;
    fails(&beyond, 416, "offset_out_of_range");
    assert_eq!((&beyond.1["earliest"], &beyond.1["tail"]), (&json!(0), &json!(0)));
    assert_eq!(server.get(&format!("{f}?offset=5&expired=latest")).await.0, 200);
    fails(&server.get("/v1/topics/t/partitions/1/records").await, 400, "invalid_argument");
    fails(&server.get("/v1/topics/t/partitions/x/records").await, 400, "invalid_argument");
    assert_eq!(server.values(f).await, [""; 0], "nothing was written by any of these");
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_told() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let member = "/v1/groups/g/members/m";
    for path in ["/v1/topics", "/v1/topics/t", "/v1/topics/t/size", "/v1/groups", member] {
        fails(&server.get(&format!("{path}?limit=1")).await, 400, "invalid_argument");
    }
    fails(&server.get("/v1/topics/t/offsets?limit=1").await, 400, "invalid_argument");
    fails(&server.delete("/v1/topics/t?dry_run=true").await, 400, "invalid_argument");
    assert_eq!(server.get("/v1/topics/t").await.0, 200);
    assert_eq!(server.get("/healthz?probe").await.0, 200);
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let server = Served::start().await;
    for path in [
        "/v1/topics/t",
        "/v1/topics/t/partitions/0/records",
        "/v1/topics/t/offsets",
        "/v1/topics/t/stream",
    ] {
        fails(&server.get(path).await, 404, "topic_not_found");
    }
    let produced = server.post("/v1/topics/t/records", json!({ "value": "v" })).await;
    fails(&produced, 404, "topic_not_found");
    fails(&server.get("/v1/groups/g").await, 404, "group_not_found");
    fails(&server.delete("/v1/groups/g").await, 404, "group_not_found");
    fails(&server.get("/v1/groups/g/members/m").await, 404, "member_not_found");
    fails(&server.get("/v2").await, 404, "no_such_path");
    let put = answer(server.request(Method::PUT, "/v1/topics")).await;
    fails(&put, 405, "method_not_allowed");
}

#[tokio::test]
async fn a_body_has_to_be_what_it_says() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let send = |kind: &'static str, body: &'static str| {
        let request = server.request(Method::POST, "/v1/topics/t/records");
        answer(request.header("content-type", kind).body(body))
    };
    fails(&send("text/plain", "{}").await, 415, "unsupported_media_type");
    fails(&send("application/json", "{").await, 400, "invalid_json");
    fails(&send("application/json", "").await, 400, "invalid_json");
    assert_eq!(send("application/json; charset=utf-8", "{\"value\":\"v\"}").await.0, 200);
    let request = server.request(Method::POST, "/v1/topics").body("{\"name\":\"x\"}");
    fails(&answer(request).await, 415, "unsupported_media_type");
}

#[tokio::test]
async fn only_who_knows_the_token_gets_in() {
    let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    let config = Config { token: Some("secret".to_owned()), ..Config::default() };
    let server = Served::on(client, config).await;
    let list = |given: &'static str| {
        let request = server.request(Method::GET, "/v1/topics");
        answer(if given.is_empty() { request } else { request.header("authorization", given) })
    };
    for wrong in ["", "secret", "Bearer", "Bearer secre", "Bearer secrets", "Basic secret"] {
        fails(&list(wrong).await, 401, "unauthorized");
    }
    assert_eq!(list("Bearer secret").await.0, 200);
    assert_eq!(list("bearer secret").await.0, 200);
    fails(&server.get("/metrics").await, 401, "unauthorized");
    fails(&server.get("/v1/topics/t/ws").await, 401, "unauthorized");
    for open in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(server.get(open).await.0, 200, "{open}");
    }
}

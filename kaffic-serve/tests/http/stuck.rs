//! A store that stands still, and clients that don't stay.

use crate::gate::{Gate, State};
use crate::support::{Served, answer, fails};
use kaffic_serve::{Config, Limits};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

/// Until no request is worked on: those whose client has gone are not either.
async fn until_idle(server: &Served) {
    loop {
        let (_, metrics) = server.get("/metrics").await;
        if metrics.as_str().unwrap().contains("kaffic_requests_running 0\n") {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_leaves_whether_or_not_its_client_stays() {
    let (gate, client) = Gate::new().await;
    let server = Served::on(client, Config::default()).await;
    server.topic("t", 1).await;
    let members = "/v1/groups/g/members";
    // Nobody would miss it for half an hour.
    let new = json!({ "topics": ["t"], "session_timeout_ms": 1_800_000 });
    let (status, joined) = server.post(members, new.clone()).await;
    assert_eq!(status, 201, "{joined}");
    let member = format!("{members}/{}", joined["id"].as_str().unwrap());
    gate.set(State::Shut);
    let leaving = tokio::spawn(answer(server.request(Method::DELETE, &member)));
    while server.get(&member).await.0 != 404 {}
    leaving.abort();
    until_idle(&server).await;
    gate.set(State::Open);
    while server.get("/v1/groups/g").await.1["members"] != json!([]) {}

    // One that nobody waits for any more has joined in vain.
    let generation = async || server.get("/v1/groups/g").await.1["generation"].as_i64().unwrap();
    let before = generation().await;
    gate.set(State::Shut);
    let asked = gate.asked();
    let joining = tokio::spawn(answer(server.request(Method::POST, members).json(&new)));
    while gate.asked() == asked {
        tokio::task::yield_now().await;
    }
    joining.abort();
    until_idle(&server).await;
    gate.set(State::Open);
    loop {
        let (_, group) = server.get("/v1/groups/g").await;
        if group["generation"].as_i64().unwrap() > before && group["members"] == json!([]) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stands_still_does_not_keep_a_server() {
    let (gate, client) = Gate::new().await;
    let drain_timeout = Duration::from_millis(200);
    let limits = Limits { drain_timeout, ..Limits::default() };
    let server = Served::on(client, Config { limits, ..Config::default() }).await;
    server.topic("t", 1).await;
    server.store("t", &["a"]).await;
    let (status, _) = server.post("/v1/groups/g/members", json!({ "topics": ["t"] })).await;
    assert_eq!(status, 201);
    gate.set(State::Shut);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_the_store_is_asked_once() {
    let (gate, client) = Gate::new().await;
    let server = Served::on(client, Config::default()).await;
    gate.set(State::Refusing);
    let probes = futures_util::future::join_all((0..100).map(|_| server.get("/readyz"))).await;
    for probe in &probes {
        fails(probe, 502, "denied");
    }
    assert!(gate.asked() < 10, "{} times", gate.asked());
}

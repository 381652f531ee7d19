//! Groups, from outside and with members that live on the server.

use crate::support::{Served, answer, fails, values};
use kaffic_serve::{Config, Limits};
use reqwest::Method;
use serde_json::{Value, json};

/// Makes a member and gives its path.
async fn join(server: &Served, group: &str, more: Value) -> String {
    let mut new = json!({ "topics": ["t"] });
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, joined) = server.post(&format!("/v1/groups/{group}/members"), new).await;
    assert_eq!(status, 201, "{joined}");
    format!("/v1/groups/{group}/members/{}", joined["id"].as_str().unwrap())
}

async fn lag(server: &Served) -> i64 {
    server.get("/v1/groups/g").await.1["lag"].as_i64().unwrap()
}

#[tokio::test]
async fn a_member_reads_commits_and_leaves() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    server.store("t", &["a", "b", "c"]).await;
    let member = join(&server, "g", json!({})).await;
    let two = server.values(&format!("{member}/records?max_records=2&wait_ms=20000")).await;
    assert_eq!(two, ["a", "b"]);
    let commits = format!("{member}/commits");
    fails(&server.post(&commits, json!({})).await, 400, "invalid_argument");
    let (status, committed) = server.post(&commits, json!({ "after": 1 })).await;
    assert_eq!(status, 200, "{committed}");
    assert_eq!(committed["offsets"][0]["offset"], 2);
    assert_eq!(lag(&server).await, 1);
    // Whoever watches the server sees it for a while, now that it was asked.
    let (_, metrics) = server.get("/metrics").await;
    let line = "kaffic_consumer_lag{group=\"g\",topic=\"t\",partition=\"0\"} 1\n";
    assert!(metrics.as_str().unwrap().contains(line), "{metrics}");
    let (_, shown) = server.get(&member).await;
    assert_eq!(shown["positions"], json!([{ "topic": "t", "partition": 0, "offset": 2 }]));
    assert_eq!(server.values(&format!("{member}/records?after=1")).await, ["c"]);
    // Not committed, so the next member has it again.
    assert_eq!(server.delete(&member).await.0, 204);
    fails(&server.get(&member).await, 404, "member_not_found");
    let member = join(&server, "g", json!({})).await;
    assert_eq!(server.values(&format!("{member}/records?wait_ms=20000")).await, ["c"]);
    let offset = json!({ "topic": "t", "partition": 0, "offset": 3, "metadata": "m" });
    server.post(&format!("{member}/commits"), json!({ "offsets": [offset] })).await;
    assert_eq!(lag(&server).await, 0);
    server.stop().await;
}

#[tokio::test]
async fn lag_is_asked_for_when_somebody_looks() {
    let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    let lag_every = Some(std::time::Duration::from_millis(1));
    let server = Served::on(client, Config { lag_every, ..Config::default() }).await;
    server.topic("t", 1).await;
    server.store("t", &["a", "b", "c"]).await;
    let commit = json!({ "offsets": [{ "topic": "t", "partition": 0, "offset": 1 }] });
    for group in ["g", "h"] {
        let (status, _) = server.post(&format!("/v1/groups/{group}/commits"), commit.clone()).await;
        assert_eq!(status, 200);
    }
    // An answer has what is known; the question goes on behind it.
    let shown = async |group: &str| {
        let (_, metrics) = server.get("/metrics").await;
        let line =
            format!("kaffic_consumer_lag{{group=\"{group}\",topic=\"t\",partition=\"0\"}} 2\n");
        metrics.as_str().unwrap().contains(&line)
    };
    while !(shown("g").await && shown("h").await) {}
}

#[tokio::test]
async fn two_members_share_a_topic_and_one_takes_over() {
    let server = Served::start().await;
    let other = Served::on(server.client.clone(), Default::default()).await;
    server.topic("t", 2).await;
    let one = join(&server, "g", json!({})).await;
    let two = join(&other, "g", json!({})).await;
    let has = async |server: &Served, member: &str| {
        let (status, answer) = server.get(&format!("{member}/records?wait_ms=100")).await;
        assert_eq!(status, 200, "{answer}");
        server.get(member).await.1["positions"].as_array().unwrap().len()
    };
    while (has(&server, &one).await, has(&other, &two).await) != (1, 1) {}
    // The server of the second stops: its member leaves, and the first has all.
    other.stop().await;
    while has(&server, &one).await != 2 {}
    let (_, group) = server.get("/v1/groups/g").await;
    assert_eq!(group["members"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_client_did_not_stay_for_is_not_lost() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let member = join(&server, "g", json!({})).await;
    let waiting = server.request(Method::GET, &format!("{member}/records?wait_ms=60000"));
    let short = waiting.timeout(std::time::Duration::from_millis(300)).send().await;
    assert!(short.unwrap_err().is_timeout());
    server.store("t", &["a"]).await;
    // The request that was given up may take a moment to be noticed.
    let read = loop {
        let (status, answer) = server.get(&format!("{member}/records?wait_ms=20000")).await;
        match status.as_u16() {
            409 => continue,
            _ => break values(&answer),
        }
    };
    assert_eq!(read, ["a"]);
}

#[tokio::test]
async fn an_answer_comes_again_until_it_has_arrived() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    server.store("t", &["a", "b", "c"]).await;
    let member = join(&server, "g", json!({})).await;
    let poll = async |query: &str| {
        let (status, answer) =
            server.get(&format!("{member}/records?wait_ms=20000&max_records=1{query}")).await;
        assert_eq!(status, 200, "{answer}");
        (values(&answer).join(","), answer["next"].as_u64().unwrap())
    };
    let committed = async |after: u64| {
        let commits = format!("{member}/commits");
        let (status, committed) = server.post(&commits, json!({ "after": after })).await;
        assert_eq!(status, 200, "{committed}");
        committed["offsets"][0]["offset"].as_i64().unwrap()
    };
    assert_eq!(poll("").await, ("a".to_owned(), 1));
    // As if that had been lost.
    assert_eq!(poll("").await, ("a".to_owned(), 1));
    assert_eq!(poll("&after=0").await, ("a".to_owned(), 1));
    assert_eq!(committed(0).await, 0, "nothing has arrived");
    assert_eq!(poll("&after=1").await, ("b".to_owned(), 2));
    assert_eq!(committed(1).await, 1, "the second has not arrived");
    assert_eq!(poll("&after=1").await, ("b".to_owned(), 2));
    // A commit shows it too.
    assert_eq!(committed(2).await, 2);
    assert_eq!(poll("&after=2").await, ("c".to_owned(), 3));
    let unknown = server.get(&format!("{member}/records?after=7")).await;
    fails(&unknown, 400, "invalid_argument");
}

#[tokio::test]
async fn one_request_of_a_member_at_a_time() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let member = join(&server, "g", json!({})).await;
    let waiting = server.request(Method::GET, &format!("{member}/records?wait_ms=60000"));
    let waiting = tokio::spawn(answer(waiting));
    while server.get(&member).await.0 != 409 {}
    fails(&server.get(&format!("{member}/records")).await, 409, "member_in_use");
    server.store("t", &["a"]).await;
    assert_eq!(values(&waiting.await.unwrap().1), ["a"]);
}

#[tokio::test]
async fn a_member_may_commit_by_itself() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    server.store("t", &["a"]).await;
    let member = join(&server, "g", json!({ "auto_commit_ms": 100 })).await;
    assert_eq!(server.values(&format!("{member}/records?wait_ms=20000")).await, ["a"]);
    // Long after: as it is not known to have arrived, it is not committed.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(server.values(&format!("{member}/records")).await, ["a"]);
    assert_eq!(lag_or(&server, 1).await, 1);
    // What has arrived counts as processed when more is asked for.
    while lag_or(&server, 1).await != 0 {
        assert_eq!(server.values(&format!("{member}/records?wait_ms=100&after=1")).await, [""; 0]);
    }
}

async fn lag_or(server: &Served, none: i64) -> i64 {
    let (_, group) = server.get("/v1/groups/g").await;
    group["partitions"][0]["lag"].as_i64().unwrap_or(none)
}

#[tokio::test]
async fn a_member_that_is_not_used_leaves() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let member = join(&server, "g", json!({ "idle_timeout_ms": 1000 })).await;
    // Asking for the group does not use the member.
    while server.get("/v1/groups/g").await.1["members"] != json!([]) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    fails(&server.get(&member).await, 404, "member_not_found");
}

#[tokio::test]
async fn members_are_bounded_and_checked() {
    let server = Served::with(Limits { members: 1, ..Limits::default() }).await;
    server.topic("t", 1).await;
    let members = "/v1/groups/g/members";
    for wrong in [
        json!({}),
        json!({ "topics": ["t"], "from": "x" }),
        json!({ "topics": ["t"], "idle_timeout_ms": 1 }),
        json!({ "topics": ["t"], "session_timeout_ms": 1 }),
        json!({ "topics": ["t"], "auto_commit_ms": 0 }),
        json!({ "pattern": "(" }),
    ] {
        fails(&server.post(members, wrong).await, 400, "invalid_argument");
    }
    fails(&server.post(members, json!({ "topics": ["x"] })).await, 404, "topic_not_found");
    let member = join(&server, "g", json!({})).await;
    fails(&server.post(members, json!({ "topics": ["t"] })).await, 503, "busy");
    server.delete(&member).await;
    join(&server, "g", json!({})).await;
}

#[tokio::test]
async fn a_group_without_members_is_changed_from_outside() {
    let server = Served::start().await;
    server.topic("t", 2).await;
    server.store("t", &["a", "b", "c"]).await;
    let commit = json!({ "offsets": [{ "topic": "t", "partition": 0, "offset": 1 }] });
    let (status, committed) = server.post("/v1/groups/g/commits", commit.clone()).await;
    assert_eq!(status, 200, "{committed}");
    assert_eq!(committed["offsets"][0]["offset"], 1);
    assert_eq!(lag(&server).await, 2);
    let (_, groups) = server.get("/v1/groups").await;
    assert_eq!(
        (&groups["groups"][0]["name"], &groups["groups"][0]["members"]),
        (&json!("g"), &json!(0))
    );

    let reset = |to: &str, dry_run: bool| json!({ "topic": "t", "to": to, "partitions": [0], "dry_run": dry_run });
    let (_, would) = server.post("/v1/groups/g/reset", reset("latest", true)).await;
    assert_eq!((&would["offsets"][0]["offset"], lag(&server).await), (&json!(3), 2));
    for (to, offset) in [("latest", 3), ("shift:-1", 2), ("offset:1", 1), ("earliest", 0)] {
        let (_, done) = server.post("/v1/groups/g/reset", reset(to, false)).await;
        assert_eq!(done["offsets"][0]["offset"], offset, "{to}");
    }
    fails(&server.post("/v1/groups/g/reset", reset("soon", false)).await, 400, "invalid_argument");
    let negative = json!({ "offsets": [{ "topic": "t", "partition": 0, "offset": -1 }] });
    fails(&server.post("/v1/groups/g/commits", negative).await, 400, "invalid_argument");

    let member = join(&server, "g", json!({})).await;
    for path in ["commits", "reset"] {
        let body = if path == "reset" { reset("latest", false) } else { commit.clone() };
        let refused = server.post(&format!("/v1/groups/g/{path}"), body).await;
        fails(&refused, 409, "group_not_empty");
    }
    fails(&server.delete("/v1/groups/g").await, 409, "group_not_empty");
    server.delete(&member).await;
    assert_eq!(server.delete("/v1/groups/g").await.0, 204);
    fails(&server.get("/v1/groups/g").await, 404, "group_not_found");
}

//! Topics, the server's own paths, and the description of the API.

use crate::support::{Served, fails};
use serde_json::json;

#[tokio::test]
async fn a_topic_is_made_changed_and_deleted() {
    for server in [Served::start().await, Served::on_disk().await] {
        let new = json!({ "name": "orders", "partitions": 3, "compression": "zstd",
            "min_expiry_ms": null, "retention_bytes": 1000 });
        let (status, made) = server.post("/v1/topics", new.clone()).await;
        assert_eq!(status, 201);
        assert_eq!((&made["partitions"], &made["compression"]), (&json!(3), &json!("zstd")));
        assert_eq!(
            (&made["min_expiry_ms"], &made["retention_bytes"]),
            (&json!(null), &json!(1000))
        );
        fails(&server.post("/v1/topics", new).await, 409, "topic_exists");
        assert_eq!(server.get("/v1/topics/orders").await.1, made);
        assert_eq!(server.get("/v1/topics").await.1, json!({ "topics": [made] }));

        let change = json!({ "retention_ms": 5000, "compression": null });
        let (status, changed) = server.patch("/v1/topics/orders", change).await;
        assert_eq!(status, 200);
        assert_eq!(changed["retention_ms"], 5000);
        assert_eq!(changed["compression"], json!(null));
        assert_eq!(changed["retention_bytes"], 1000, "what is not named stays");

        let (status, deleted) = server.delete("/v1/topics/orders").await;
        assert_eq!((status.as_u16(), &deleted["removed"].is_u64()), (200, &true));
        fails(&server.get("/v1/topics/orders").await, 404, "topic_not_found");
        server.topic("orders", 1).await;
        assert_eq!(server.get("/v1/topics/orders").await.1["incarnation"], 1);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_topic_has_offsets() {
    let server = Served::start().await;
    server.topic("t", 2).await;
    let at = |timestamp| json!({ "value": "v", "partition": 1, "timestamp": timestamp });
    server.post("/v1/topics/t/records", at(100)).await;
    server.post("/v1/topics/t/records", at(200)).await;
    let expected = json!({ "offsets": [
        { "partition": 0, "earliest": 0, "end": 0 }, { "partition": 1, "earliest": 0, "end": 2 }] });
    assert_eq!(server.get("/v1/topics/t/offsets").await.1, expected);
    let expected = json!({ "offsets": [{ "partition": 1, "earliest": 0, "end": 2, "at": 1 }] });
    assert_eq!(server.get("/v1/topics/t/offsets?partition=1&time=101").await.1, expected);
    fails(&server.get("/v1/topics/t/offsets?partition=2").await, 400, "invalid_argument");
}

#[tokio::test]
async fn a_topic_is_measured() {
    let server = Served::on_disk().await;
    server.topic("t", 1).await;
    server.topic("t2", 1).await;
    server.store("t2", &["of another topic"]).await;
    let size = async || server.get("/v1/topics/t/size").await.1;
    assert_eq!(size().await, json!({ "bytes": 0, "objects": 0, "complete": true }));
    server.store("t", &["x".repeat(10_000).as_str()]).await;
    let (bytes, objects) = (size().await["bytes"].as_u64(), size().await["objects"].as_u64());
    assert!(bytes.unwrap() > 10_000 && bytes.unwrap() < 20_000 && objects.unwrap() > 0);
    fails(&server.get("/v1/topics/x/size").await, 404, "topic_not_found");
}

#[tokio::test]
async fn the_console_is_served_and_only_with_itself() {
    let server = Served::start().await;
    let get = async |path: &str| server.http.get(server.url(path)).send().await.unwrap();
    let page = get("/").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    let page = page.text().await.unwrap();
    let mut waiting = vec!["main.js".to_owned()];
    let files = page.split("\"console/").skip(1).map(|rest| rest.split('"').next().unwrap());
    waiting.extend(files.map(str::to_owned));
    let mut seen = Vec::new();
    while let Some(file) = waiting.pop() {
        let answer = get(&format!("/console/{file}")).await;
        assert_eq!(answer.status(), 200, "{file}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("https://"), "{file} needs something from elsewhere");
        let imports = text.split("from './").skip(1).map(|rest| rest.split('\'').next().unwrap());
        waiting.extend(imports.map(str::to_owned).filter(|file| !seen.contains(file)));
        seen.push(file);
    }
    assert!(seen.contains(&"value.js".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn the_server_tells_of_itself() {
    let server = Served::start().await;
    assert_eq!(server.get("/healthz").await.0, 200);
    assert_eq!(server.get("/readyz").await.0, 200);
    server.topic("t", 1).await;
    server.store("t", &["a", "b"]).await;
    let (_, metrics) = server.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for line in [
        "kaffic_records_produced_total 2",
        "kaffic_http_requests_total{method=\"POST\",path=\"/v1/topics\",status=\"201\"} 1",
        "kaffic_producers 1",
        "kaffic_storage_requests_total{kind=\"put\"}",
        "kaffic_storage_request_duration_seconds_bucket{le=\"+Inf\",kind=\"list\"}",
        "kaffic_append_records_total 2",
        "kaffic_append_duration_seconds_bucket{le=\"30.0\"}",
        "kaffic_append_conflicts_total 0",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn every_path_is_described() {
    let server = Served::start().await;
    let (_, api) = server.get("/openapi.json").await;
    assert_eq!(api["openapi"], "3.1.0");
    let paths: Vec<&String> = api["paths"].as_object().unwrap().keys().collect();
    for path in ["/v1/topics/{topic}/records", "/v1/groups/{group}/members/{id}/records", "/readyz"]
    {
        assert!(paths.iter().any(|known| *known == path), "{path} is not in {paths:?}");
    }
    // Every reference leads somewhere.
    let text = api.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(api["components"]["schemas"][name].is_object(), "{name}");
    }
}

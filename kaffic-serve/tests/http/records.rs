//! Producing and fetching.

use crate::support::{Served, answer, fails, values};
use reqwest::Method;
use serde_json::{Value, json};

const RECORDS: &str = "/v1/topics/t/records";
const FETCH: &str = "/v1/topics/t/partitions/0/records";

#[tokio::test]
async fn what_is_produced_is_fetched() {
    for server in [Served::start().await, Served::on_disk().await] {
        server.topic("t", 1).await;
        let headers = json!([{ "name": "h", "value": "1" }, { "name": "n", "value": null }]);
        let one = json!({ "key": "k", "value": { "json": { "a": 1 } }, "headers": headers,
            "timestamp": 17 });
        let (status, stored) = server.post(RECORDS, one).await;
        assert_eq!(status, 200, "{stored}");
        let expected = json!({ "count": 1, "records": [
            { "partition": 0, "offset": 0, "timestamp": 17, "duplicate": false }] });
        assert_eq!(stored, expected);
        let some = json!({ "records": [{ "value": { "base64": "/w==" } }, {}] });
        let (_, stored) = server.post(RECORDS, some).await;
        assert_eq!(stored["records"][1]["offset"], 2);

        let (_, fetched) = server.get(FETCH).await;
        let expected = json!({ "topic": "t", "partition": 0, "offset": 0, "timestamp": 17,
            "key": "k", "value": "{\"a\":1}", "headers": headers });
        assert_eq!(fetched["records"][0], expected);
        assert_eq!(fetched["records"][1]["value"], json!({ "base64": "/w==" }));
        assert_eq!(fetched["records"][2]["value"], Value::Null);
        assert_eq!(fetched["next_offset"], 3);
        let (_, fetched) = server.get(&format!("{FETCH}?show=json&max_records=1")).await;
        assert_eq!(fetched["records"][0]["value"], json!({ "json": { "a": 1 } }));
        assert_eq!(fetched["next_offset"], 1);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_fetch_starts_anywhere_and_goes_on() {
    let server = Served::on_disk().await;
    server.topic("t", 1).await;
    let numbers: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = numbers.iter().map(String::as_str).collect();
    server.store("t", &texts).await;
    let first = async |query: &str| server.values(&format!("{FETCH}?max_records=1&{query}")).await;
    assert_eq!(first("from=earliest").await, ["0"]);
    assert_eq!(first("from=offset:7").await, ["7"]);
    assert_eq!(first("offset=7").await, ["7"]);
    assert_eq!(first("from=last:3").await, ["1997"]);
    assert_eq!(first("from=time:0").await, ["0"]);
    assert_eq!(first("from=latest").await, [""; 0]);

    let mut read = Vec::new();
    let mut next = 0;
    loop {
        let (_, page) = server.get(&format!("{FETCH}?offset={next}&max_records=300")).await;
        if values(&page).is_empty() {
            break;
        }
        read.extend(values(&page));
        next = page["next_offset"].as_i64().unwrap();
    }
    assert_eq!(read, numbers);
    server.store("t", &["more"]).await;
    assert_eq!(server.values(&format!("{FETCH}?offset={next}")).await, ["more"]);
}

#[tokio::test]
async fn a_fetch_is_bounded_in_bytes_but_gives_one() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    server.store("t", &["12345", "12345", "12345"]).await;
    assert_eq!(server.values(&format!("{FETCH}?max_bytes=10")).await.len(), 2);
    assert_eq!(server.values(&format!("{FETCH}?max_bytes=1")).await.len(), 1);
}

#[tokio::test]
async fn whoever_waits_gets_what_comes() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    assert_eq!(server.values(&format!("{FETCH}?wait_ms=1")).await, [""; 0]);
    let waiting = |offset| {
        let url = server.url(&format!("{FETCH}?offset={offset}&wait_ms=60000"));
        let http = server.http.clone();
        tokio::spawn(async move { answer(http.get(url)).await.1 })
    };
    // The second is served from what is kept, the third waits for the very next.
    for (offset, value) in [(0, "a"), (1, "b"), (2, "c")] {
        let (first, second) = (waiting(offset), waiting(offset));
        server.store("t", &[value]).await;
        assert_eq!(values(&first.await.unwrap()), [value]);
        assert_eq!(values(&second.await.unwrap()), [value]);
        assert_eq!(server.values(&format!("{FETCH}?offset={offset}")).await, [value]);
    }
}

#[tokio::test]
async fn a_raw_body_is_a_value() {
    let server = Served::start().await;
    server.topic("t", 3).await;
    let raw = |query: &str, body: &'static [u8]| {
        let request = server.request(Method::POST, &format!("{RECORDS}?{query}"));
        let request = request.header("content-type", "application/octet-stream");
        answer(request.header("Kaffic-Header-Source", "shop").body(body))
    };
    let (status, stored) = raw("key=k&partition=2&timestamp=5", &[0, 0xff]).await;
    assert_eq!(status, 200, "{stored}");
    let (_, fetched) = server.get("/v1/topics/t/partitions/2/records").await;
    let expected = json!({ "topic": "t", "partition": 2, "offset": 0, "timestamp": 5, "key": "k",
        "value": { "base64": "AP8=" }, "headers": [{ "name": "source", "value": "shop" }] });
    assert_eq!(fetched["records"], json!([expected]));
    let (_, stored) = raw("partition=0", b"").await;
    assert_eq!(stored["count"], 1);
    assert_eq!(server.get(FETCH).await.1["records"][0]["value"], "");
}

#[tokio::test]
async fn a_stream_of_lines_is_stored_as_it_comes() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let lines = |body: reqwest::Body| {
        let request = server.request(Method::POST, RECORDS);
        answer(request.header("content-type", "application/x-ndjson").body(body))
    };
    // Cut anywhere, with an empty line, and no newline at the end.
    let pieces = ["{\"va", "lue\":\"a\"}\n\n{\"value\":\"b\"}\n{\"value\"", ":\"c\"}"];
    let pieces = futures_util::stream::iter(pieces.map(Ok::<_, std::io::Error>));
    let (status, stored) = lines(reqwest::Body::wrap_stream(pieces)).await;
    assert_eq!((status.as_u16(), &stored["count"]), (200, &json!(3)), "{stored}");
    assert_eq!(stored["records"][0]["offset"], 2);
    assert_eq!(server.values(FETCH).await, ["a", "b", "c"]);

    let wrong = lines("{\"value\":\"d\"}\n{\"value\":1}\n{\"value\":\"e\"}\n".into()).await;
    fails(&wrong, 400, "invalid_json");
    assert!(wrong.1["detail"].as_str().unwrap().contains("line 2"), "{}", wrong.1);
    assert_eq!(server.values(FETCH).await, ["a", "b", "c", "d"], "those before it are stored");

    let many: String = (0..30_000).map(|number| format!("{{\"value\":\"{number}\"}}\n")).collect();
    assert_eq!(lines(many.into()).await.1["count"], 30_000);
}

#[tokio::test]
async fn a_sequence_is_written_once_by_whichever_server() {
    let one = Served::start().await;
    let other = Served::on(one.client.clone(), Default::default()).await;
    one.topic("t", 2).await;
    let batch = |sequence: i64, values: [&str; 2]| {
        let records = values.map(|value| json!({ "key": "k", "value": value }));
        json!({ "producer": "p", "sequence": sequence, "records": records })
    };
    let duplicates = async |server: &Served, body: Value| {
        let (status, stored) = server.post(RECORDS, body).await;
        assert_eq!(status, 200, "{stored}");
        let records = stored["records"].as_array().unwrap();
        records.iter().map(|record| record["duplicate"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(duplicates(&one, batch(0, ["a", "b"])).await, [false, false]);
    assert_eq!(duplicates(&one, batch(0, ["a", "b"])).await, [true, true]);
    // The other server takes the name over, and this one takes it back.
    assert_eq!(duplicates(&other, batch(1, ["b", "c"])).await, [true, false]);
    assert_eq!(duplicates(&one, batch(2, ["c", "d"])).await, [true, false]);
    assert_eq!(duplicates(&other, batch(3, ["d", "e"])).await, [true, false]);
    let mut read = one.values(FETCH).await;
    read.extend(one.values("/v1/topics/t/partitions/1/records").await);
    assert_eq!(read, ["a", "b", "c", "d", "e"]);

    let nowhere = json!({ "producer": "p", "sequence": 9, "value": "v" });
    fails(&one.post(RECORDS, nowhere).await, 400, "invalid_argument");
    fails(
        &one.post(RECORDS, json!({ "sequence": 1, "value": "v" })).await,
        400,
        "invalid_argument",
    );
    fails(
        &one.post(RECORDS, json!({ "producer": "p", "value": "" })).await,
        400,
        "invalid_argument",
    );
}

#[tokio::test]
async fn what_is_behind_a_refused_sequence_is_not_written() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    server.patch("/v1/topics/t", json!({ "max_record_bytes": 20 })).await;
    let batch = |second: &str| {
        let records = ["10", second, "12"].map(|value| json!({ "key": "k", "value": value }));
        json!({ "producer": "p", "sequence": 10, "records": records })
    };
    let failed = server.post(RECORDS, batch(&"x".repeat(30))).await;
    fails(&failed, 413, "record_too_large");
    let results = &failed.1["results"];
    assert_eq!(results[0]["offset"], 0, "{results}");
    assert_eq!(results[2]["problem"]["outcome"], "not_written", "{results}");
    assert_eq!(server.values(FETCH).await, ["10"]);
    // So what is sent again is not taken for a duplicate.
    let (status, stored) = server.post(RECORDS, batch("11")).await;
    assert_eq!(status, 200, "{stored}");
    assert_eq!(server.values(FETCH).await, ["10", "11", "12"]);
    // Duplicates are not counted, and what a request stored that failed is.
    let (_, metrics) = server.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("kaffic_records_produced_total 3\n"), "{metrics}");
}

#[tokio::test]
async fn a_name_that_another_server_took_over_is_worth_another_try() {
    let one = Served::start().await;
    let other = Served::on(one.client.clone(), Default::default()).await;
    one.topic("t", 1).await;
    let lines = async |server: &Served, sequence: u32| {
        let path = format!("{RECORDS}?producer=p&sequence={sequence}");
        let request = server.request(Method::POST, &path).body("{\"key\":\"k\",\"value\":\"v\"}\n");
        answer(request.header("content-type", "application/x-ndjson")).await
    };
    assert_eq!(lines(&one, 0).await.0, 200);
    assert_eq!(lines(&other, 1).await.0, 200);
    let fenced = lines(&one, 2).await;
    fails(&fenced, 409, "fenced");
    assert_eq!(fenced.1["retriable"], true, "{}", fenced.1);
    assert_eq!(lines(&one, 2).await.0, 200);
    assert_eq!(one.values(FETCH).await.len(), 3);
}

#[tokio::test]
async fn an_atomic_append_is_all_or_nothing() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let atomic = |expected: i64| {
        json!({ "atomic": true, "partition": 0, "expected_offset": expected,
            "records": [{ "value": "a" }, { "value": "b" }] })
    };
    let (_, stored) = server.post(RECORDS, atomic(0)).await;
    assert_eq!(stored["records"][1]["offset"], 1, "{stored}");
    let failed = server.post(RECORDS, atomic(0)).await;
    fails(&failed, 409, "condition_failed");
    assert_eq!((&failed.1["tail"], &failed.1["outcome"]), (&json!(2), &json!("not_written")));
    assert_eq!(server.values(FETCH).await, ["a", "b"]);
}

#[tokio::test]
async fn of_several_records_each_has_its_own_end() {
    let server = Served::start().await;
    server.topic("t", 2).await;
    let some =
        json!({ "records": [{ "value": "a", "partition": 0 }, { "value": "b", "partition": 9 }] });
    let failed = server.post(RECORDS, some).await;
    fails(&failed, 400, "invalid_argument");
    let results = &failed.1["results"];
    assert_eq!(
        (&results[0]["offset"], &results[1]["problem"]["code"]),
        (&json!(0), &json!("invalid_argument"))
    );
    assert_eq!(server.values(FETCH).await, ["a"]);
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_written_to() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    server.store("t", &["old"]).await;
    // Behind the server's back.
    server.client.topics().delete("t").await.unwrap();
    fails(&server.post(RECORDS, json!({ "value": "v" })).await, 404, "topic_not_found");
    server.client.topics().create("t", Default::default()).await.unwrap();
    server.store("t", &["new"]).await;
    assert_eq!(server.values(FETCH).await, ["new"]);
}

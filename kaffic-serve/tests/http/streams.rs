//! Server-sent events and WebSockets.

use crate::support::{Served, fails};
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Events as they come.
struct Events {
    response: Response,
    text: String,
}

/// One event.
#[derive(Debug, Default)]
struct Event {
    id: String,
    kind: String,
    data: Value,
}

impl Events {
    async fn open(server: &Served, query: &str, last: Option<&str>) -> Self {
        let mut request = server.request(Method::GET, &format!("/v1/topics/t/stream{query}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Self { response, text: String::new() };
        // The first only tells where the stream begins.
        let first = events.block().await.unwrap();
        assert!(first.contains("retry: 1000"), "{first}");
        events
    }

    /// The next piece up to an empty line; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let mut event = Event::default();
            for line in block.lines() {
                match line.split_once(": ") {
                    Some(("id", id)) => event.id = id.to_owned(),
                    Some(("event", kind)) => event.kind = kind.to_owned(),
                    Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                    _ => {}
                }
            }
            if !event.data.is_null() {
                return Some(event);
            }
        }
    }

    async fn values(&mut self, count: usize) -> Vec<String> {
        let mut values = Vec::new();
        while values.len() < count {
            let event = self.next().await.unwrap();
            values.push(event.data["value"].as_str().unwrap().to_owned());
        }
        values
    }
}

#[tokio::test]
async fn a_stream_gives_what_is_there_and_what_comes() {
    for server in [Served::start().await, Served::on_disk().await] {
        server.topic("t", 1).await;
        server.store("t", &["a", "b"]).await;
        let mut all = Events::open(&server, "?from=earliest", None).await;
        let mut new = Events::open(&server, "", None).await;
        let mut one = Events::open(&server, "?from=last:1", None).await;
        server.store("t", &["c"]).await;
        assert_eq!(all.values(3).await, ["a", "b", "c"]);
        assert_eq!(new.values(1).await, ["c"]);
        assert_eq!(one.values(2).await, ["b", "c"]);
        // Others that write to the store are seen too.
        let producer = server.client.producer("t").build().await.unwrap();
        producer.send(kaffic_core::Record::value("d")).await.unwrap();
        assert_eq!(all.values(1).await, ["d"]);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_was_cut_goes_on_where_it_was() {
    let server = Served::start().await;
    server.topic("t", 3).await;
    let store = async |value: &str, partition: u32| {
        let body = json!({ "value": value, "partition": partition });
        assert_eq!(server.post("/v1/topics/t/records", body).await.0, 200);
    };
    let mut events = Events::open(&server, "", None).await;
    store("a", 0).await;
    store("b", 1).await;
    events.next().await.unwrap();
    let last = events.next().await.unwrap().id;
    assert_eq!(last, "0:1,1:1,2:0");
    drop(events);
    store("c", 2).await;
    store("d", 0).await;
    for (query, header) in [("".to_owned(), Some(&*last)), (format!("?position={last}"), None)] {
        let mut events = Events::open(&server, &query, header).await;
        let mut values = events.values(2).await;
        values.sort();
        assert_eq!(values, ["c", "d"]);
    }
    let mut some = Events::open(&server, "?partitions=0,2&from=earliest", None).await;
    let mut values = some.values(3).await;
    values.sort();
    assert_eq!(values, ["a", "c", "d"]);
}

#[tokio::test]
async fn many_follow_one_topic_and_one_task_reads_it() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let mut followers = Vec::new();
    for _ in 0..50 {
        followers.push(Events::open(&server, "", None).await);
    }
    // More than a tail keeps, so that some are served by the store.
    let long = "x".repeat(300_000);
    for _ in 0..8 {
        server.store("t", &[&long]).await;
    }
    server.store("t", &["end"]).await;
    for follower in &mut followers {
        let values = follower.values(9).await;
        assert_eq!((values[0].len(), &*values[8]), (300_000, "end"));
    }
    let (_, metrics) = server.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("kaffic_tails 1\n"), "{metrics}");
    assert!(metrics.contains("kaffic_streams 50\n"), "{metrics}");
}

#[tokio::test]
async fn a_stream_says_why_it_ends() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let mut events = Events::open(&server, "", None).await;
    server.store("t", &["a"]).await;
    assert_eq!(events.values(1).await, ["a"]);
    assert_eq!(server.delete("/v1/topics/t").await.0, 200);
    let end = events.next().await.unwrap();
    assert_eq!((&*end.kind, &end.data["code"]), ("error", &json!("topic_not_found")));
    assert!(events.next().await.is_none());
    fails(&server.get("/v1/topics/t/stream").await, 404, "topic_not_found");
}

#[tokio::test]
async fn a_stream_refuses_what_it_can_not_do() {
    let server = Served::start().await;
    server.topic("t", 200).await;
    for query in ["", "?partitions=200", "?partitions=x", "?from=x", "?position=x", "?offset=1"] {
        let refused = server.get(&format!("/v1/topics/t/stream{query}")).await;
        fails(&refused, 400, "invalid_argument");
    }
    fails(&server.get("/v1/topics/t/ws?partitions=1").await, 426, "upgrade_required");
}

#[tokio::test]
async fn a_web_socket_gives_records_and_positions() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    server.store("t", &["a"]).await;
    let url = format!("ws://{}/v1/topics/t/ws?from=earliest", server.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let mut next = async || loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str::<Value>(&text).unwrap(),
            Message::Close(frame) => return json!({ "close": u16::from(frame.unwrap().code) }),
            _ => {}
        }
    };
    let first = next().await;
    assert_eq!((&first["record"]["value"], &first["position"]), (&json!("a"), &json!("0:1")));
    server.store("t", &["b"]).await;
    assert_eq!(next().await["record"]["value"], "b");
    server.stop().await;
    assert_eq!(next().await, json!({ "close": 1001 }));
}

#[tokio::test]
async fn a_page_from_elsewhere_gets_no_web_socket() {
    let server = Served::start().await;
    server.topic("t", 1).await;
    let open = async |origin: String| {
        let url = format!("ws://{}/v1/topics/t/ws", server.address);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        tokio_tungstenite::connect_async(request).await
    };
    assert!(open("https://elsewhere.example".to_owned()).await.is_err());
    let (mut socket, _) = open(format!("http://{}", server.address)).await.unwrap();
    socket.send(Message::text("what is sent is not asked for")).await.unwrap();
    server.store("t", &["a"]).await;
    let message = socket.next().await.unwrap().unwrap();
    assert!(message.into_text().unwrap().contains("\"a\""));
}

//! Starting a server, and asking it.

use kaffic_core::Kaffic;
use kaffic_serve::{Config, Limits, Server};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) client: Kaffic,
    pub(crate) http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
    directory: Option<tempfile::TempDir>,
}

/// A status, and what came with it.
pub(crate) type Answer = (StatusCode, Value);

pub(crate) fn http() -> reqwest::Client {
    // A second test of this process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Served {
    /// A server on a store in memory.
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let client = Kaffic::connect("memory://").await.unwrap();
        Self::on(client, Config { limits, ..Config::default() }).await
    }

    /// A server on a store on the disk.
    pub(crate) async fn on_disk() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("file://{}", directory.path().display());
        let client = Kaffic::connect(&url).await.unwrap();
        let mut served = Self::on(client, Config::default()).await;
        served.directory = Some(directory);
        served
    }

    pub(crate) async fn on(client: Kaffic, config: Config) -> Self {
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..config };
        let server = Server::bind(client.clone(), config).await.unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, client, http: http(), stop: Some(stop), running, directory: None }
    }

    /// Tells the server to stop, and does not wait.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops the server, and waits until it has. The store is there as long as what this gives.
    pub(crate) async fn stop(mut self) -> Option<tempfile::TempDir> {
        self.begin_stop();
        self.running.await.unwrap();
        self.directory
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        answer(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::PATCH, path).json(&body)).await
    }

    /// Makes a topic.
    pub(crate) async fn topic(&self, name: &str, partitions: u32) {
        let body = serde_json::json!({ "name": name, "partitions": partitions });
        let (status, answer) = self.post("/v1/topics", body).await;
        assert_eq!(status, 201, "{answer}");
    }

    /// Stores values in partition 0, one after the other.
    pub(crate) async fn store(&self, topic: &str, values: &[&str]) {
        let records: Vec<Value> =
            values.iter().map(|value| serde_json::json!({ "value": value })).collect();
        let body = serde_json::json!({ "records": records, "partition": 0 });
        let (status, answer) = self.post(&format!("/v1/topics/{topic}/records"), body).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// The values that one fetch gives.
    pub(crate) async fn values(&self, path: &str) -> Vec<String> {
        let (status, answer) = self.get(path).await;
        assert_eq!(status, 200, "{answer}");
        values(&answer)
    }
}

/// The values of fetched records, as text.
pub(crate) fn values(answer: &Value) -> Vec<String> {
    let records = answer["records"].as_array().unwrap();
    records.iter().map(|record| record["value"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    read(request.send().await.unwrap()).await
}

/// Reads an answer; a failure has to be a problem as RFC 9457 has it.
pub(crate) async fn read(response: Response) -> Answer {
    let status = response.status();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    let value: Value = match text.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
    };
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status} {value}");
        assert_eq!(value["status"], status.as_u16(), "{value}");
        for member in ["title", "code", "detail", "outcome"] {
            assert!(value[member].is_string(), "{member} of {value}");
        }
        assert!(value["retriable"].is_boolean(), "{value}");
    }
    (status, value)
}

/// Asserts a failure by status and code.
#[track_caller]
pub(crate) fn fails((status, value): &Answer, with: u16, code: &str) {
    assert_eq!((status.as_u16(), value["code"].as_str()), (with, Some(code)), "{value}");
}

//! What is counted, as Prometheus reads it.

use crate::app::{App, Shared};
use crate::client_metrics::{ClientMetrics, FRESH};
use crate::reader::size;
use crate::runtime::now;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kaffic_core::ConsumerRecord;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    path: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Path {
    method: &'static str,
    path: String,
}

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    answers: Family<Answered, Counter>,
    seconds: Family<Path, Histogram>,
    produced: Counter,
    read_records: Counter,
    read_bytes: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            answers: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            produced: Counter::default(),
            read_records: Counter::default(),
            read_bytes: Counter::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn produced(&self, records: u64) {
        self.produced.inc_by(records);
    }

    pub(crate) fn fetched(&self, records: &[ConsumerRecord]) {
        self.read_records.inc_by(records.len() as u64);
        self.read_bytes.inc_by(records.iter().map(|record| size(record) as u64).sum());
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests that were answered", self.answers.clone());
        registry.register(
            "http_request_duration_seconds",
            "From a request's head to its answer's",
            self.seconds.clone(),
        );
        registry.register("records_produced", "Records that were written", self.produced.clone());
        registry.register("records_read", "Records that were given", self.read_records.clone());
        registry.register("read_bytes", "Their keys, values, headers", self.read_bytes.clone());
    }
}

/// Counts a request, and how long it takes to be answered.
pub(crate) async fn count(State(app): Shared, request: Request, next: Next) -> Response {
    let method = name(request.method());
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or("other", MatchedPath::as_str).to_owned();
    let begun = now();
    let response = next.run(request).await;
    let Metrics { answers, seconds, .. } = &app.metrics;
    let labels = Path { method, path: path.clone() };
    seconds.get_or_create(&labels).observe(begun.elapsed().as_secs_f64());
    answers.get_or_create(&Answered { method, path, status: response.status().as_u16() }).inc();
    response
}

/// A method by name; those that clients make up are one.
fn name(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "server", responses(
    (status = 200, description = "In the OpenMetrics text format.", body = String,
        content_type = "application/openmetrics-text"),
    crate::problem::Problem,
))]
pub(crate) async fn metrics(State(app): Shared) -> impl IntoResponse {
    app.lag.begin(&app);
    let mut registry = Registry::with_prefix("kaffic");
    app.metrics.register(&mut registry);
    gauges(&app, &mut registry);
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = encode(&mut text, &registry);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text)
}

/// What is so now, and what the client counts.
fn gauges(app: &App, registry: &mut Registry) {
    let mut set = |name: &str, help: &str, value: usize| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value as i64);
        registry.register(name, help, gauge);
    };
    let limits = &app.config.limits;
    set("streams", "Streams and waiting fetches", limits.streams - app.streams.available_permits());
    set("requests_running", "Requests that are worked on", {
        limits.requests - app.requests.available_permits()
    });
    set("producers", "Producers that are open", app.producers.len());
    set("tails", "Partitions that are followed", app.tails.len());
    set("members", "Members of groups that are hosted", app.members.len());
    set("body_bytes", "Bytes of bodies that are held", {
        limits.bodies_bytes - app.bodies.available_permits()
    });
    set("answer_bytes", "Bytes of long answers that are not taken yet", {
        limits.answers_bytes - app.answers.available_permits()
    });
    if let Some(bytes) = resident() {
        set("resident_memory_bytes", "Memory of the process", bytes);
    }
    let fresh = app.config.lag_every.map_or(FRESH, |every| FRESH.max(2 * every));
    registry.register_collector(Box::new(ClientMetrics { of: app.client.metrics(), fresh }));
}

/// The memory that the process has, where the system says so.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<usize>().ok().map(|kib| kib << 10)
}

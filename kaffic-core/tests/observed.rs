//! What a program sees that traces and records. It is the only test here: what other threads do
//! decides whether a span is made where one thread alone wants it.
#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::lab::{Fault, Lab, SECOND};
use support::numbered;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A span with its fields and the name of the span that it is in.
#[derive(Debug, Default, Clone)]
struct Span {
    name: &'static str,
    within: Option<&'static str>,
    fields: BTreeMap<String, String>,
}

impl Visit for Span {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields
            .insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

/// Keeps the spans of the library that have ended.
#[derive(Debug, Default, Clone)]
struct Spans(Arc<Mutex<Vec<Span>>>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let there = context.span(id).unwrap();
        let within = there.parent().map(|parent| parent.name());
        let mut span = Span { name: there.name(), within, ..Span::default() };
        attributes.record(&mut span);
        there.extensions_mut().insert(span);
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        let there = context.span(id).unwrap();
        values.record(there.extensions_mut().get_mut::<Span>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap().extensions().get::<Span>().cloned();
        self.0.lock().unwrap().extend(span);
    }
}

#[test]
fn spans_and_recorded_metrics_have_the_names_of_opentelemetry() {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let work = async {
        let lab = Lab::new();
        let client = lab.client().await;
        client.topics().create("t", Default::default()).await.unwrap();
        let producer = client.producer("t").build().await.unwrap();
        producer.append(0, numbered(0..5), None).await.unwrap();
        let mut consumer = client.consumer().group("g").subscribe(["t"]).build().await.unwrap();
        consumer.poll(3, SECOND).await.unwrap();
        consumer.commit().await.unwrap();
        consumer.lag().await.unwrap();
        lab.store.always(Fault::Fail, |_| true);
        let limited = client.producer("t").delivery_timeout(Duration::from_secs(1)).build().await;
        assert!(limited.is_err(), "the topic can't be looked up");
    };
    tracing::subscriber::with_default(subscriber, || {
        metrics::with_local_recorder(&recorder, || runtime.block_on(work));
    });
    let spans = spans.0.lock().unwrap().clone();
    let find = |name: &str, field: &str, value: &str| {
        let is_it =
            |span: &&Span| span.name == name && span.fields.get(field).is_some_and(|v| v == value);
        spans
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("no {name} with {field} {value}: {spans:#?}"))
    };
    let send = find("send", "messaging.destination.name", "t");
    for (field, value) in [
        ("otel.kind", "producer"),
        ("messaging.system", "kaffic"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.partition.id", "0"),
        ("messaging.batch.message_count", "5"),
        ("kaffic.offset", "0"),
    ] {
        assert_eq!(send.fields.get(field).map(String::as_str), Some(value), "{field}");
    }
    assert!(!send.fields.contains_key("error.type"));
    assert_eq!(
        find("poll", "messaging.batch.message_count", "3").fields["messaging.consumer.group.name"],
        "g"
    );
    assert_eq!(find("commit", "kaffic.offset", "3").fields["messaging.destination.name"], "t");
    let in_send = spans.iter().filter(|span| span.within == Some("send"));
    assert!(in_send.into_iter().any(|span| span.fields["otel.name"] == "put"), "{spans:#?}");
    let failed = spans.iter().find(|span| span.fields.contains_key("error.type")).unwrap();
    assert_eq!((failed.name, &*failed.fields["error.type"]), ("storage", "Unavailable"));

    let recorded: Vec<(String, String)> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, unit, _, value)| {
            let mut labels: Vec<_> = key
                .key()
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            labels.sort();
            let value = match value {
                metrics_util::debugging::DebugValue::Histogram(all) => {
                    format!("{} times", all.len())
                }
                other => format!("{other:?}"),
            };
            (format!("{} {}", key.key().name(), labels.join(",")), format!("{value} {unit:?}"))
        })
        .collect();
    let topic = "messaging.destination.name=t";
    for (key, value) in [
        (
            format!(
                "messaging.client.sent.messages {topic},messaging.operation.name=send,messaging.system=kaffic"
            ),
            "Counter(5) Some(Count)",
        ),
        (
            format!(
                "messaging.client.consumed.messages {topic},messaging.operation.name=poll,messaging.system=kaffic"
            ),
            "Counter(3) Some(Count)",
        ),
        (
            format!(
                "messaging.client.operation.duration {topic},messaging.operation.name=send,messaging.system=kaffic"
            ),
            "1 times Some(Seconds)",
        ),
        (
            format!(
                "messaging.client.operation.duration {topic},messaging.operation.name=commit,messaging.system=kaffic"
            ),
            "1 times Some(Seconds)",
        ),
        (
            format!(
                "kaffic.consumer.lag messaging.consumer.group.name=g,{topic},messaging.destination.partition.id=0,messaging.system=kaffic"
            ),
            "Gauge(2.0) Some(Count)",
        ),
    ] {
        let found = recorded.iter().find(|(there, _)| *there == key);
        assert_eq!(found.map(|(_, value)| &**value), Some(value), "{key} of {recorded:#?}");
    }
    let unavailable =
        "kaffic.storage.request.duration error.type=Unavailable,kaffic.storage.operation=list";
    assert!(recorded.iter().any(|(key, _)| key == unavailable), "{recorded:#?}");
}

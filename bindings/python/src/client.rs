//! A store that is connected to: makes producers and consumers, and answers what is asked of topics and
//! groups by name, as JSON.

use crate::bridge::Bridge;
use crate::consumer::Consumer;
use crate::convert::{place, settings};
use crate::failure::raised;
use crate::listener::commit;
use crate::producer::Producer;
use crate::wait::Call;
use kaffic_bindings::failure::{Failure, Result};
use kaffic_bindings::process::{Belonging, Owned};
use kaffic_bindings::{Settings, describe, settings as read_as};
use kaffic_core::{Kaffic, OffsetReset, Start};
use pyo3::prelude::*;
use serde_json::{Value, json};

type Object<'py> = Bound<'py, PyAny>;
type On<'a, 'py> = Option<&'a Bound<'py, Bridge>>;
type Pairs = Vec<(String, String)>;

/// Connects; nothing is asked of the store yet.
#[pyfunction]
pub(crate) fn connect<'py>(
    py: Python<'py>,
    bridge: On<'_, 'py>,
    url: String,
    options: Pairs,
) -> PyResult<Object<'py>> {
    let options = settings(options);
    let work = async move { Ok(options.connect(&url).connect().await?) };
    let convert = |py: Python<'_>, client: Kaffic| {
        let client = Client { client: Belonging::here().own(client) };
        Ok(Py::new(py, client)?.into_any())
    };
    Call { py, bridge, limit: None, what: "connecting" }.run(work, convert)
}

#[pyclass(frozen, module = "kaffic._kaffic")]
pub(crate) struct Client {
    client: Owned<Kaffic>,
}

impl Client {
    fn client(&self, py: Python<'_>) -> PyResult<&Kaffic> {
        self.client.get().map_err(|failure| raised(py, &failure))
    }
}

#[pymethods]
impl Client {
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.client(py).map(|_| ())
    }

    fn producer<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        topic: &str,
        pairs: Pairs,
    ) -> PyResult<Object<'py>> {
        let builder = settings(pairs).producer(self.client(py)?.producer(topic));
        let work = async move { Ok(builder?.build().await?) };
        let convert = |py: Python<'_>, made| Ok(Py::new(py, Producer::new(made))?.into_any());
        Call { py, bridge, limit: None, what: "making a producer" }.run(work, convert)
    }

    fn consumer(
        &self,
        py: Python<'_>,
        bridge: On<'_, '_>,
        pairs: Pairs,
        told: Option<Py<PyAny>>,
    ) -> PyResult<Consumer> {
        Consumer::new(self.client(py)?, pairs, told, bridge).map_err(|failure| raised(py, &failure))
    }

    /// What is asked, its arguments in their places, offsets, and settings.
    fn ask<'py>(
        &self,
        py: Python<'py>,
        bridge: On<'_, 'py>,
        what: String,
        words: Vec<String>,
        offsets: Vec<(String, u32, i64, Option<String>)>,
        pairs: Pairs,
    ) -> PyResult<Object<'py>> {
        let question = Question {
            client: self.client(py)?.clone(),
            words,
            offsets,
            settings: settings(pairs),
        };
        let work = async move {
            match what.as_str() {
                "metrics" => Ok(describe::metrics(&question.client.metrics())),
                about if about.ends_with("group") || about.ends_with("groups") => {
                    question.of_groups(about).await
                }
                about => question.of_topics(about).await,
            }
        };
        let convert = |py: Python<'_>, answer: Value| {
            Ok(answer.to_string().into_pyobject(py)?.into_any().unbind())
        };
        Call { py, bridge, limit: None, what: "a question to the store" }.run(work, convert)
    }
}

struct Question {
    client: Kaffic,
    words: Vec<String>,
    offsets: Vec<(String, u32, i64, Option<String>)>,
    settings: Settings,
}

impl Question {
    fn word(&self, at: usize) -> Result<&str> {
        self.words.get(at).map(String::as_str).ok_or_else(|| Failure::invalid("too few arguments"))
    }

    fn number(&self, at: usize) -> Result<u32> {
        let word = self.word(at)?;
        word.parse().map_err(|_| Failure::invalid(format!("{word} is no partition")))
    }

    async fn of_topics(self, what: &str) -> Result<Value> {
        let (client, settings, topics) = (&self.client, &self.settings, self.client.topics());
        let name = || self.word(0);
        Ok(match what {
            "list_topics" => describe::topics(&topics.list().await?),
            "examine" => describe::examination(&client.examine().await?),
            "create_topic" => {
                describe::topic(&topics.create(name()?, settings.topic_config()?).await?)
            }
            "ensure_topic" => {
                describe::topic(&topics.ensure(name()?, settings.topic_config()?).await?)
            }
            "alter_topic" => {
                describe::topic(&topics.alter(name()?, settings.topic_change()?).await?)
            }
            "describe_topic" => describe::topic(&topics.describe(name()?).await?),
            "delete_topic" => describe::deletion(&topics.delete(name()?).await?),
            "verify" => describe::verification(&client.verify(name()?, |_| {}).await?),
            "compact" => describe::compaction(&client.compact(name()?, |_| {}).await?),
            "trim" => describe::trim(&client.trim(name()?, settings.trim()?).await?),
            "adopt" => describe::adoption(&client.adopt(name()?, self.word(1)? == "true").await?),
            "offset" => {
                let (of, partition) = (client.offsets(name()?), self.number(1)?);
                match place("where", read_as::start(self.word(2)?))? {
                    Start::Earliest => json!(of.earliest(partition).await?),
                    Start::Latest => json!(of.latest(partition).await?),
                    Start::Timestamp(ms) => json!(of.at(partition, ms).await?),
                    _ => return Err(Failure::invalid("where is earliest, latest or a time")),
                }
            }
            _ => return Err(Failure::invalid(format!("there is no question {what}"))),
        })
    }

    async fn of_groups(self, what: &str) -> Result<Value> {
        let groups = self.client.groups();
        Ok(match what {
            "list_groups" => describe::groups(&groups.list().await?),
            "describe_group" => describe::group(&groups.describe(self.word(0)?).await?),
            "committed_of_group" => describe::committed(&groups.committed(self.word(0)?).await?),
            "commit_group" => {
                let commits: Vec<_> = self.offsets.iter().cloned().map(commit).collect();
                groups.commit(self.word(0)?, commits).await?;
                Value::Null
            }
            "reset_group" => {
                let to = place("where to reset to", read_as::reset(self.word(2)?))?;
                let reset = OffsetReset::new(self.word(1)?, to).dry_run(self.word(3)? == "true");
                // The partitions come last, any number of them, or none for all.
                let some: Vec<u32> =
                    (4..self.words.len()).map(|at| self.number(at)).collect::<Result<_>>()?;
                let reset = if some.is_empty() { reset } else { reset.partitions(some) };
                describe::committed(&groups.reset(self.word(0)?, reset).await?)
            }
            "delete_group" => {
                groups.delete(self.word(0)?).await?;
                Value::Null
            }
            _ => return Err(Failure::invalid(format!("there is no question {what}"))),
        })
    }
}

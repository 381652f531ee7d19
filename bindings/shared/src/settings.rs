//! Settings by name, the same in every language: one table, from which they are checked, applied and
//! documented (docs/configuration.md has the same rows; a test compares them). Values are text as
//! people write it: `5ms`, `64KiB`, `true`.

mod table;
mod values;

pub use table::{Role, SETTINGS, Setting, markdown, page};
pub use values::{reset, start, until};

use crate::failure::{Failure, Result, Status};
use kaffic_core::{
    ConsumerBuilder, KafficBuilder, ProducerBuilder, RangeAssignor, RoundRobinAssignor,
    StickyAssignor, StoreOptions, TopicChange, TopicConfig, Trim,
};
use values::{choice, codec, count, named, never_or_time, or_default, size, switch, time};

/// Names and values. Of two values for one name the later counts.
///
/// ```
/// use kaffic_bindings::{Settings, Status};
/// let settings: Settings = [("partitions", "3"), ("retention", "7d")].into_iter().collect();
/// assert!(settings.topic_config().is_ok());
/// let misspelt: Settings = [("partitons", "3")].into_iter().collect();
/// let failure = misspelt.topic_config().unwrap_err();
/// assert_eq!(failure.status, Status::UnknownSetting);
/// assert!(failure.message.contains("partitions"));
/// ```
#[derive(Clone, Default)]
pub struct Settings(Vec<(String, String)>);

/// Values may be secret, so only the names show.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut settings = Self::default();
        pairs.into_iter().for_each(|(name, value)| settings.set(name, value));
        settings
    }
}

impl Settings {
    /// Adds one, in place of an earlier one of the same name.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, value.into()));
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Takes the value of one out, for settings that a language has besides.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(at).1)
    }

    /// Applies each to `what`, and says which one is wrong and how.
    fn fold<T>(
        &self,
        role: Role,
        what: T,
        apply: impl Fn(T, &str, &str) -> Result<T, String>,
    ) -> Result<T> {
        self.0.iter().try_fold(what, |what, (name, value)| {
            if !table::has(role, name) {
                return Err(Failure::new(Status::UnknownSetting, table::unknown(role, name)));
            }
            apply(what, name, value).map_err(|wrong| {
                Failure::invalid(format!("{} setting {name}={value}: {wrong}", role.name()))
            })
        })
    }

    /// As options of a store, which are checked when it is connected to.
    pub fn connect(&self, url: &str) -> KafficBuilder {
        let set =
            |options: StoreOptions, (name, value): &(String, String)| options.set(name, value);
        let options = self.0.iter().fold(StoreOptions::new(), set);
        kaffic_core::Kaffic::builder().url(url).options(options)
    }

    /// As a producer's.
    ///
    /// # Errors
    /// `UnknownSetting`, `InvalidArgument`.
    pub fn producer(&self, producer: ProducerBuilder) -> Result<ProducerBuilder> {
        self.fold(Role::Producer, producer, |producer, name, value| {
            Ok(match name {
                "linger" => producer.linger(time(value)?),
                "batch_bytes" => producer.batch_bytes(size(value)?),
                "max_in_flight_bytes" => producer.max_in_flight_bytes(size(value)?),
                "max_record_bytes" => producer.max_record_bytes(size(value)?),
                "when_full" => producer.when_full(choice(
                    value,
                    &[("wait", kaffic_core::WhenFull::Wait), ("fail", kaffic_core::WhenFull::Fail)],
                )?),
                "compression" => producer.compression(codec(value)?),
                "delivery_timeout" => producer.delivery_timeout(time(value)?),
                "compaction" => producer.compaction(switch(value)?),
                "name" => producer.name(value),
                "create_topic" => {
                    producer.create_topic(TopicConfig::new().partitions(count(value)?))
                }
                _ => return Err(named(name)),
            })
        })
    }

    /// As a consumer's.
    ///
    /// # Errors
    /// `UnknownSetting`, `InvalidArgument`.
    pub fn consumer(&self, consumer: ConsumerBuilder) -> Result<ConsumerBuilder> {
        self.fold(Role::Consumer, consumer, |consumer, name, value| {
            Ok(match name {
                "group" => consumer.group(value),
                "member_name" => consumer.member_name(value),
                "start" => consumer.start(start(value)?),
                "until" => consumer.until(until(value)?),
                "max_records" => consumer.max_records(count(value)?),
                "max_bytes" => consumer.max_bytes(size::<u64>(value)?),
                "max_poll_bytes" => consumer.max_poll_bytes(size::<u64>(value)?),
                "reset" => {
                    use kaffic_core::ResetPolicy::{Earliest, Error, Latest};
                    let known = [("earliest", Earliest), ("latest", Latest), ("error", Error)];
                    consumer.reset(choice(value, &known)?)
                }
                "fetch_ahead_bytes" => consumer.fetch_ahead_bytes(size(value)?),
                "fetch_max_wait" => consumer.fetch_max_wait(time(value)?),
                "session_timeout" => consumer.session_timeout(time(value)?),
                "heartbeat_interval" => consumer.heartbeat_interval(time(value)?),
                "max_poll_interval" => consumer.max_poll_interval(time(value)?),
                "topics_interval" => consumer.topics_interval(time(value)?),
                "auto_commit" => consumer.auto_commit(never_or_time(value)?),
                "assignor" => match value {
                    "sticky" => consumer.assignor(StickyAssignor),
                    "range" => consumer.assignor(RangeAssignor),
                    "round_robin" => consumer.assignor(RoundRobinAssignor),
                    _ => return Err("it is sticky, range or round_robin".to_owned()),
                },
                _ => return Err(named(name)),
            })
        })
    }

    /// As a new topic's.
    ///
    /// # Errors
    /// `UnknownSetting`, `InvalidArgument`.
    pub fn topic_config(&self) -> Result<TopicConfig> {
        let mut rest = self.clone();
        let partitions = rest.take("partitions");
        let config = TopicConfig::new().settings(rest.topic_change_of(Role::Topic)?);
        let Some(partitions) = partitions else { return Ok(config) };
        let only: Self = [("partitions", partitions)].into_iter().collect();
        only.fold(Role::Topic, config, |config, _, value| Ok(config.partitions(count(value)?)))
    }

    /// As changes of a topic.
    ///
    /// # Errors
    /// `UnknownSetting`, `InvalidArgument`.
    pub fn topic_change(&self) -> Result<TopicChange> {
        self.topic_change_of(Role::Change)
    }

    fn topic_change_of(&self, role: Role) -> Result<TopicChange> {
        self.fold(role, TopicChange::new(), |change, name, value| {
            Ok(match name {
                "min_expiry" => change.min_expiry(values::min_expiry(value)?),
                "retention" => change.retention(or_default(value, time)?),
                "retention_bytes" => change.retention_bytes(or_default(value, size)?),
                "compression" => change.compression(or_default(value, codec)?),
                "max_record_bytes" => change.max_record_bytes(or_default(value, size)?),
                _ => return Err(named(name)),
            })
        })
    }

    /// As what a trim removes; by the topic's retention if nothing is said.
    ///
    /// # Errors
    /// `UnknownSetting`, `InvalidArgument`.
    pub fn trim(&self) -> Result<Trim> {
        self.fold(Role::Trim, Trim::retention(), |trim, name, value| {
            Ok(match name {
                "before_offset" => trim.and_before_offset(count(value)?),
                "before_timestamp" => trim.and_before_timestamp(values::moment(value)?),
                "keep_bytes" => trim.and_keep_bytes(size(value)?),
                "partition" => trim.partition(count(value)?),
                _ => return Err(named(name)),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kaffic_core::Kaffic;

    /// Applies a setting in a role as whoever uses it would.
    async fn apply(role: Role, name: &str, value: &str) -> Result<()> {
        let client = Kaffic::connect("memory://").await?;
        let settings: Settings = [(name, value)].into_iter().collect();
        match role {
            Role::Producer => settings.producer(client.producer("t")).map(drop),
            Role::Consumer => settings.consumer(client.consumer()).map(drop),
            Role::Topic => settings.topic_config().map(drop),
            Role::Change => settings.topic_change().map(drop),
            Role::Trim => settings.trim().map(drop),
        }
    }

    #[tokio::test]
    async fn every_setting_takes_its_example_where_it_applies_and_nowhere_else() {
        for role in Role::ALL {
            for setting in SETTINGS {
                let applied = apply(role, setting.name, setting.example).await;
                if setting.roles.contains(&role) {
                    assert_eq!(applied, Ok(()), "{role:?} {}", setting.name);
                } else {
                    let status = applied.unwrap_err().status;
                    assert_eq!(status, Status::UnknownSetting, "{role:?} {}", setting.name);
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_with_name_value_and_what_is_meant() {
        for (role, name, value, said) in [
            (Role::Producer, "lingr", "5ms", "linger"),
            (Role::Producer, "colour", "red", "batch_bytes"),
            (Role::Producer, "linger", "soon", "5ms"),
            (Role::Producer, "linger", "-1ms", "linger=-1ms"),
            (Role::Producer, "batch_bytes", "64 elephants", "64KiB"),
            (Role::Producer, "max_record_bytes", "1e300GiB", "1e300GiB"),
            (Role::Producer, "when_full", "maybe", "wait or fail"),
            (Role::Producer, "compression", "brotli", "zstd"),
            (Role::Producer, "compaction", "2", "true or false"),
            (Role::Producer, "create_topic", "-3", "number"),
            (Role::Consumer, "start", "tomorrow", "offset:N"),
            (Role::Consumer, "start", "offset:x", "offset:N"),
            (Role::Consumer, "until", "last:3", "until=last:3"),
            (Role::Consumer, "auto_commit", "often", "never"),
            (Role::Consumer, "assignor", "fair", "round_robin"),
            (Role::Consumer, "linger", "5ms", "producer"),
            (Role::Topic, "partitions", "many", "number"),
            (Role::Topic, "partitions", "4294967296", "number"),
            (Role::Topic, "min_expiry", "0", "never"),
            (Role::Change, "partitions", "3", "topic"),
            (Role::Trim, "before_timestamp", "yesterday", "2026"),
        ] {
            let failure = apply(role, name, value).await.unwrap_err();
            assert!(failure.message.contains(said), "{name}={value}: {failure}");
            assert!(failure.message.contains(name), "{failure}");
        }
    }

    #[test]
    fn the_later_of_two_values_counts() {
        let mut settings = Settings::default();
        settings.set("linger", "5ms");
        settings.set("name", "n");
        settings.set("linger", "6ms");
        assert_eq!(settings.get("linger"), Some("6ms"));
        assert_eq!(format!("{settings:?}"), r#"["name", "linger"]"#);
        assert_eq!(settings.take("linger").as_deref(), Some("6ms"));
        assert_eq!(settings.get("linger"), None);
    }

    #[test]
    fn the_documentation_is_of_this_table() {
        let there = std::fs::read_to_string("../../docs/configuration.md").unwrap();
        assert!(there == page(), "make docs/configuration.md anew, by the command on it");
    }
}

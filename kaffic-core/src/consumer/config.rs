//! What a consumer reads, from where to where, and how far ahead.

use super::group::{GroupSide, Listener, Partitions};
use super::{Assigned, Consumer, RebalanceListener};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::group::membership::{MemberConfig, Membership};
use crate::group::{Assignor, StickyAssignor, stand_alone};
use crate::keys;
use crate::topic::{TopicDescription, Topics};
use futures_util::{StreamExt, TryStreamExt};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Where a consumer starts, and where `seek` goes.
///
/// ```
/// assert_eq!(kaffic_core::Start::default(), kaffic_core::Start::Earliest);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// The first record that is still there.
    #[default]
    Earliest,
    /// The tail: only records appended from now on.
    Latest,
    /// This offset. If it has expired or is beyond the tail the [`ResetPolicy`] decides.
    Offset(i64),
    /// The first record with a timestamp at or after this, in Unix milliseconds; the tail if none.
    Timestamp(i64),
    /// This many offsets before the tail, or the earliest record where there are fewer.
    Last(u64),
}

/// Where a consumer ends.
///
/// ```
/// assert_eq!(kaffic_core::Until::default(), kaffic_core::Until::Forever);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// Never: it waits for more.
    #[default]
    Forever,
    /// The end offsets seen at its start.
    Latest,
    /// This offset; it is not delivered.
    Offset(i64),
    /// Before the first record with a timestamp at or after this (Unix milliseconds), or at the
    /// end seen at the start where there is none yet.
    Timestamp(i64),
}

/// What happens when the records at the position have expired, or the offset never was.
///
/// ```
/// assert_eq!(kaffic_core::ResetPolicy::default(), kaffic_core::ResetPolicy::Earliest);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetPolicy {
    /// Go on at the earliest record that remains.
    #[default]
    Earliest,
    /// Go on at the tail.
    Latest,
    /// Fail with [`crate::ErrorKind::OffsetOutOfRange`].
    Error,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) start: Start,
    pub(super) until: Until,
    pub(super) max_records: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_poll_bytes: u64,
    pub(super) reset: ResetPolicy,
    pub(super) fetch_ahead_bytes: usize,
    pub(super) fetch_max_wait: Duration,
}

/// Configures a [`Consumer`]. From [`crate::Kaffic::consumer`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
/// # client.topics().create("t", kaffic_core::TopicConfig::new().partitions(3)).await.unwrap();
/// use kaffic_core::{Start, Until};
/// let consumer = client
///     .consumer()
///     .assign("t", [0, 2])
///     .start(Start::Last(100))
///     .until(Until::Latest)
///     .build()
///     .await
///     .unwrap();
/// assert!(consumer.is_finished()); // nothing is there
/// # });
/// ```
#[derive(Debug)]
#[must_use = "a consumer is made by build()"]
pub struct ConsumerBuilder {
    context: Arc<Context>,
    topics: Vec<(String, Option<Vec<u32>>)>,
    config: Config,
    group: GroupConfig,
}

#[derive(Debug, Clone)]
struct GroupConfig {
    group: Option<String>,
    member_name: Option<String>,
    pattern: Option<String>,
    session: Duration,
    heartbeat: Duration,
    max_poll: Duration,
    topics_interval: Duration,
    auto_commit: Option<Duration>,
    assignor: Arc<dyn Assignor>,
    listener: Listener,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            group: None,
            member_name: None,
            pattern: None,
            session: Duration::from_secs(45),
            heartbeat: Duration::from_secs(3),
            max_poll: Duration::from_secs(300),
            topics_interval: Duration::from_secs(300),
            auto_commit: Some(Duration::from_secs(5)),
            assignor: Arc::new(StickyAssignor),
            listener: Listener::default(),
        }
    }
}

impl ConsumerBuilder {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let config = Config {
            start: Start::Earliest,
            until: Until::Forever,
            max_records: None,
            max_bytes: None,
            max_poll_bytes: 64 << 20,
            reset: ResetPolicy::Earliest,
            fetch_ahead_bytes: 64 << 20,
            fetch_max_wait: Duration::from_secs(1),
        };
        Self { context, topics: Vec::new(), config, group: GroupConfig::default() }
    }

    /// Reads all partitions of `topic`. May be called for several topics.
    pub fn topic(mut self, topic: &str) -> Self {
        self.topics.push((topic.to_owned(), None));
        self
    }

    /// Reads these partitions of `topic`. May be called for several topics.
    pub fn assign(mut self, topic: &str, partitions: impl IntoIterator<Item = u32>) -> Self {
        self.topics.push((topic.to_owned(), Some(partitions.into_iter().collect())));
        self
    }

    /// Makes the consumer one of a group. Members that subscribe to topics share their partitions;
    /// partitions that are [assigned](Self::assign) are its own, and the group only keeps its
    /// offsets. It begins where the group has committed, and at [`start`](Self::start) where it
    /// has not.
    pub fn group(mut self, group: &str) -> Self {
        self.group.group = Some(group.to_owned());
        self
    }

    /// Subscribes to topics, of which the group gives this consumer its share.
    pub fn subscribe<T: AsRef<str>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics.extend(topics.into_iter().map(|topic| (topic.as_ref().to_owned(), None)));
        self
    }

    /// Subscribes to all topics whose whole name fits a regular expression, also those to come.
    pub fn subscribe_pattern(mut self, pattern: &str) -> Self {
        self.group.pattern = Some(pattern.to_owned());
        self
    }

    /// Gives the member a name of its own: a static member. It does not leave when it is closed, and
    /// if it comes back under its name within its session timeout it keeps its partitions.
    pub fn member_name(mut self, name: &str) -> Self {
        self.group.member_name = Some(name.to_owned());
        self
    }

    /// After how long a silence the member is taken for dead: 45 s by default.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.group.session = timeout;
        self
    }

    /// How often the member shows that it lives, and looks at its group: every 3 s by default, at
    /// most every second, and a third of the session timeout at least. Each time costs a put and
    /// four or five gets.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.group.heartbeat = interval;
        self
    }

    /// After how long without a poll the member leaves its group: 5 minutes by default. It joins
    /// again when it polls.
    pub fn max_poll_interval(mut self, interval: Duration) -> Self {
        self.group.max_poll = interval;
        self
    }

    /// How often topics are looked at, for those that came, went or were created anew: every 5
    /// minutes by default. Costs a list and a get a topic, and with a pattern a list more.
    pub fn topics_interval(mut self, interval: Duration) -> Self {
        self.group.topics_interval = interval;
        self
    }

    /// How often positions are committed by themselves, while the consumer is polled: every 5 s by
    /// default, and when partitions are given up and at `close`. `None`: never.
    pub fn auto_commit(mut self, interval: Option<Duration>) -> Self {
        self.group.auto_commit = interval;
        self
    }

    /// Who decides which member has what: [`StickyAssignor`] by default.
    pub fn assignor(mut self, assignor: impl Assignor) -> Self {
        self.group.assignor = Arc::new(assignor);
        self
    }

    /// Who hears what becomes of the partitions.
    pub fn rebalance_listener(mut self, listener: impl RebalanceListener) -> Self {
        self.group.listener = Listener(Some(Arc::new(listener)));
        self
    }

    /// Where to start: at the earliest record by default.
    pub fn start(mut self, start: Start) -> Self {
        self.config.start = start;
        self
    }

    /// Where to end: never by default.
    pub fn until(mut self, until: Until) -> Self {
        self.config.until = until;
        self
    }

    /// Ends after this many records.
    pub fn max_records(mut self, records: u64) -> Self {
        self.config.max_records = Some(records);
        self
    }

    /// Ends before the record that would bring keys, values and headers above this many bytes;
    /// the first record is always delivered.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.config.max_bytes = Some(bytes);
        self
    }

    /// The most bytes of keys, values and headers that one poll gives, however many records it asks
    /// for: 64 MiB by default. One record it gives always.
    pub fn max_poll_bytes(mut self, bytes: u64) -> Self {
        self.config.max_poll_bytes = bytes;
        self
    }

    /// What happens when the records at the position have expired: go on at the earliest that
    /// remains, by default.
    pub fn reset(mut self, policy: ResetPolicy) -> Self {
        self.config.reset = policy;
        self
    }

    /// The bytes that may be fetched ahead of what was polled, over all partitions: 64 MiB by
    /// default. At least one batch is always fetched.
    pub fn fetch_ahead_bytes(mut self, bytes: usize) -> Self {
        self.config.fetch_ahead_bytes = bytes;
        self
    }

    /// The longest wait between two looks at the tail: 1 s by default. The first is 10 ms and each
    /// doubles the one before, until something comes.
    pub fn fetch_max_wait(mut self, wait: Duration) -> Self {
        self.config.fetch_max_wait = wait;
        self
    }

    /// Builds the consumer: reads the topics' descriptions and finds the tail and the start of
    /// every partition (3 lists and a few gets each).
    ///
    /// # Errors
    /// `TopicNotFound`; `InvalidArgument` for a partition that does not exist, one named twice, or
    /// a setting; `OffsetOutOfRange` with [`ResetPolicy::Error`].
    pub async fn build(self) -> Result<Consumer> {
        self.check()?;
        let assigns = self.topics.iter().any(|(_, partitions)| partitions.is_some());
        if self.group.group.is_some() && !assigns {
            return self.join().await;
        }
        let topics = Topics::new(Arc::clone(&self.context));
        let mut wanted: Vec<(TopicDescription, u32)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, partitions) in &self.topics {
            let topic = match &self.group.group {
                None => topics.describe_to_read(name).await?,
                Some(_) => topics.describe(name).await?,
            };
            let all = (0..topic.partitions).collect();
            for partition in partitions.clone().unwrap_or(all) {
                topic.check_partition(partition)?;
                if !seen.insert((name.clone(), partition)) {
                    return Err(Error::invalid(format!(
                        "topic {name} partition {partition} is assigned twice"
                    )));
                }
                wanted.push((topic.clone(), partition));
            }
        }
        let (context, config) = (&self.context, &self.config);
        if let Some(group) = &self.group.group {
            let group: Arc<str> = group.as_str().into();
            context.store.check_contract().await?;
            let view = stand_alone(context, &group).await?;
            let mut assigned = Partitions::new();
            let mut side = self.group_side(group, None);
            side.claim_alone(view, wanted, &mut assigned).await?;
            return Ok(Consumer::new(context, assigned, Some(side), self.config));
        }
        let assigned: Vec<Assigned> = futures_util::stream::iter(wanted)
            .map(|(topic, partition)| Assigned::find(topic.log(context, partition), config))
            .buffered(16)
            .try_collect()
            .await?;
        let assigned = (0..).zip(assigned).collect();
        Ok(Consumer::new(&self.context, assigned, None, self.config))
    }

    /// Joins the group. Partitions are claimed while the consumer is polled.
    async fn join(self) -> Result<Consumer> {
        let settings = &self.group;
        let group: Arc<str> = settings.group.as_deref().unwrap_or_default().into();
        let topics = Topics::new(Arc::clone(&self.context));
        for (name, _) in &self.topics {
            topics.describe(name).await?;
        }
        let config = MemberConfig {
            group: Arc::clone(&group),
            name: settings.member_name.clone(),
            topics: self.topics.iter().map(|(name, _)| name.clone()).collect(),
            pattern: settings.pattern.as_deref().map(whole_name).transpose()?,
            session: settings.session,
            heartbeat: settings.heartbeat,
            max_poll: settings.max_poll,
            topics_interval: settings.topics_interval,
            assignor: Arc::clone(&settings.assignor),
        };
        let membership = Membership::join(&self.context, config).await?;
        let side = self.group_side(group, Some(membership));
        Ok(Consumer::new(&self.context, Partitions::new(), Some(side), self.config))
    }

    fn group_side(&self, group: Arc<str>, membership: Option<Membership>) -> GroupSide {
        let GroupConfig { auto_commit, listener, .. } = &self.group;
        let config = self.config.clone();
        GroupSide::new(&self.context, group, config, *auto_commit, listener.clone(), membership)
    }

    fn check_group(&self) -> Result<()> {
        let settings = &self.group;
        let Some(group) = &settings.group else {
            return match (&settings.pattern, &settings.member_name) {
                (None, None) => Ok(()),
                _ => Err(Error::invalid("a pattern or a member name needs a group: call group()")),
            };
        };
        keys::check_name("group", group)?;
        if let Some(name) = &settings.member_name {
            keys::check_name("member", name)?;
        }
        let assigns = self.topics.iter().filter(|(_, partitions)| partitions.is_some()).count();
        if assigns > 0 && (assigns < self.topics.len() || settings.pattern.is_some()) {
            return Err(Error::invalid(
                "a consumer either subscribes to topics or assigns partitions",
            ));
        }
        let GroupConfig { session, heartbeat, max_poll, topics_interval, .. } = *settings;
        if heartbeat < Duration::from_secs(1) || heartbeat > session / 3 {
            return Err(Error::invalid(format!(
                "heartbeat_interval {heartbeat:?}: it is a second at least, and a third of the \
                 session_timeout ({session:?}) at most"
            )));
        }
        if max_poll < heartbeat || topics_interval < heartbeat {
            return Err(Error::invalid(format!(
                "max_poll_interval and topics_interval are not shorter than the \
                 heartbeat_interval, {heartbeat:?}"
            )));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.check_group()?;
        if self.topics.is_empty() && self.group.pattern.is_none() {
            return Err(Error::invalid("a consumer needs a topic: call topic() or assign()"));
        }
        let Config { start, until, .. } = self.config;
        if let Start::Offset(offset) = start
            && offset < 0
        {
            return Err(Error::invalid(format!("start offset {offset} is negative")));
        }
        if let Until::Offset(offset) = until
            && offset < 0
        {
            return Err(Error::invalid(format!("end offset {offset} is negative")));
        }
        if self.config.fetch_ahead_bytes == 0 || self.config.fetch_max_wait.is_zero() {
            return Err(Error::invalid("fetch_ahead_bytes and fetch_max_wait are more than 0"));
        }
        Ok(())
    }
}

/// A pattern that has to fit the whole name.
fn whole_name(pattern: &str) -> Result<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        Error::new(ErrorKind::InvalidArgument, format!("pattern {pattern:?}: {error}"))
    })
}

//! Members over HTTP: join, fetch, commit, leave.

use crate::answer;
use crate::app::Shared;
use crate::body;
use crate::data::{RecordOut, RecordShape, Show};
use crate::extract::{InPath, Params};
use crate::fetch::{most, shown, wait};
use crate::groups::{Commit, CommittedList, check_count};
use crate::members::Work;
use crate::name::Name;
use crate::object::{list, maybe_objects};
use crate::problem::{Problem, Result};
use crate::reader::{Most, size};
use crate::runtime::spawn;
use crate::start::start;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kaffic_core::{Consumer, ConsumerBuilder, ConsumerRecord, OffsetCommit, PartitionPosition};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

const DEFAULT_IDLE: Duration = Duration::from_secs(300);
/// What a member fetches ahead.
const AHEAD: usize = 8 << 20;

/// A member to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMember {
    /// The topics to subscribe to.
    #[serde(default, deserialize_with = "list")]
    #[schema(value_type = Vec<Name>, max_items = 10000)]
    topics: Vec<String>,
    /// A regular expression that the whole names of topics have to fit, also of those to come.
    #[serde(default)]
    pattern: Option<String>,
    /// A name of its own, under which it keeps its partitions when it comes back in time.
    #[serde(default)]
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    /// Where to begin in partitions in which nothing is committed: `earliest` by default.
    #[serde(default)]
    #[schema(
        pattern = "^(earliest|latest|(offset|last):[0-9]{1,15}|time:([0-9]{1,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])))$"
    )]
    from: Option<String>,
    /// After how long without a request the member leaves: 5 minutes by default.
    #[serde(default)]
    #[schema(minimum = 1000, maximum = 3600000)]
    idle_timeout_ms: Option<u64>,
    /// After how long a silence of this server others take the member's partitions: 45 s by default.
    #[serde(default)]
    #[schema(minimum = 9000, maximum = 1800000)]
    session_timeout_ms: Option<u64>,
    /// Commit what was given when the next records are asked for, every so often. By default only
    /// commits do.
    #[serde(default)]
    #[schema(minimum = 100, maximum = 3600000)]
    auto_commit_ms: Option<u64>,
}

/// A member that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Joined {
    /// By which the member is used, on this server.
    id: String,
    group: String,
    /// Its name in the group.
    #[schema(required)]
    name: Option<String>,
    idle_timeout_ms: u64,
}

/// A member that is hosted here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hosted {
    /// Its name in the group.
    #[schema(required)]
    name: Option<String>,
    /// The partitions that it has, and the offsets that it gives next.
    positions: Vec<PositionShape>,
}

/// A partition and an offset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Position)]
struct PositionShape {
    topic: String,
    partition: u32,
    offset: i64,
}

impl From<PartitionPosition> for PositionShape {
    fn from(at: PartitionPosition) -> Self {
        Self { topic: at.topic.to_string(), partition: at.partition, offset: at.offset }
    }
}

/// How much to fetch, and how long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PollQuery {
    /// The `next` of the last answer that arrived: its records are not given again.
    after: Option<u64>,
    /// At most so many records: 500 by default.
    #[param(minimum = 1, maximum = 10000)]
    max_records: Option<u32>,
    /// Not many more bytes than these: 1 MiB by default.
    #[param(minimum = 1, maximum = 16777216)]
    max_bytes: Option<u32>,
    /// How long to wait for a record where there is none, in milliseconds: not at all by default.
    #[param(minimum = 0, maximum = 60000)]
    wait_ms: Option<u64>,
    /// How bytes are shown.
    #[serde(default)]
    #[param(inline)]
    show: Show,
}

/// Records for a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Polled {
    #[schema(value_type = Vec<RecordShape>)]
    records: Vec<RecordOut>,
    /// Ask with `after` this for the records behind these, or these come again.
    next: u64,
}

/// What to commit: everything up to an answer, or just these offsets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberCommits {
    /// The `next` of the last answer that arrived: all that was given up to it.
    #[serde(default)]
    after: Option<u64>,
    #[serde(default, deserialize_with = "maybe_objects")]
    #[schema(max_items = 1000)]
    offsets: Option<Vec<Commit>>,
}

/// Join a group.
///
/// The member lives on this server, and only there it can be used. It leaves when it is deleted, when
/// its client has not come back for the idle timeout, and when the server stops.
#[utoipa::path(post, path = "/v1/groups/{group}/members", tag = "groups",
    params(("group" = Name, Path, description = "The group's name.")), request_body = NewMember,
    responses(
    (status = 201, description = "It has joined.", body = Joined,
        headers(("Location" = String, description = "Its path."))),
    Problem,
))]
pub(crate) async fn join(
    State(app): Shared,
    InPath(group): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse> {
    let new: NewMember = body::json(&app, &headers, body).await?;
    let idle = new.idle_timeout_ms.map_or(DEFAULT_IDLE, Duration::from_millis);
    if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&idle) {
        return Err(Problem::invalid("idle_timeout_ms is 1000 to 3600000"));
    }
    if new.auto_commit_ms.is_some_and(|ms| !(100..=3_600_000).contains(&ms)) {
        return Err(Problem::invalid("auto_commit_ms is 100 to 3600000"));
    }
    if new.session_timeout_ms.is_some_and(|ms| !(9_000..=1_800_000).contains(&ms)) {
        return Err(Problem::invalid("session_timeout_ms is 9000 to 1800000"));
    }
    let place = app.members.place()?;
    let mut builder = app
        .client
        .consumer()
        .group(&group)
        .subscribe(&new.topics)
        .fetch_ahead_bytes(AHEAD)
        // The idle timeout is the one that counts.
        .max_poll_interval(idle + Duration::from_secs(60))
        // The library takes what was polled as processed; here it may not even have been given.
        .auto_commit(None);
    if let Some(from) = &new.from {
        builder = builder.start(start(from)?);
    }
    if let Some(pattern) = &new.pattern {
        builder = builder.subscribe_pattern(pattern);
    }
    if let Some(name) = &new.name {
        builder = builder.member_name(name);
    }
    if let Some(ms) = new.session_timeout_ms {
        builder = builder.session_timeout(Duration::from_millis(ms));
    }
    let consumer = joined(builder).await?;
    let name = consumer.member_name().map(str::to_owned);
    let auto_commit = new.auto_commit_ms.map(Duration::from_millis);
    let id = app.members.add(group.clone(), Work::new(consumer, auto_commit), idle, place);
    let location = [(header::LOCATION, format!("/v1/groups/{group}/members/{id}"))];
    let joined = Joined { id, group, name, idle_timeout_ms: idle.as_millis() as u64 };
    Ok((StatusCode::CREATED, location, Json(joined)))
}

/// Joins. A member whose client did not stay for it leaves again, and is not missed for as long as a
/// session lasts.
async fn joined(builder: ConsumerBuilder) -> Result<Consumer> {
    let (to_client, joined) = oneshot::channel();
    spawn(async move {
        if let Err(Ok(consumer)) = to_client.send(builder.build().await)
            && let Err(error) = consumer.close().await
        {
            tracing::warn!(%error, "a member could not leave");
        }
    });
    Ok(joined.await.map_err(|_| Problem::stopping())??)
}

/// Show which partitions a member has.
#[utoipa::path(get, path = "/v1/groups/{group}/members/{id}", tag = "groups",
    params(("group" = Name, Path, description = "The group's name."),
        ("id" = String, Path, description = "The member's id.")), responses(
    (status = 200, description = "The member.", body = Hosted),
    Problem,
))]
pub(crate) async fn show(
    State(app): Shared,
    InPath((group, id)): InPath<(String, String)>,
) -> Result<Json<Hosted>> {
    let mut work = app.members.get(&group, &id)?.take()?;
    let consumer = work.consumer()?;
    let name = consumer.member_name().map(str::to_owned);
    let positions = consumer.positions().into_iter().map(PositionShape::from).collect();
    Ok(Json(Hosted { name, positions }))
}

/// Fetch records for a member, from the partitions that it has.
///
/// An answer is given again until the client shows that it arrived, by `after`: whoever got none asks
/// again and misses nothing. Commit what was processed.
#[utoipa::path(get, path = "/v1/groups/{group}/members/{id}/records", tag = "groups",
    params(("group" = Name, Path, description = "The group's name."),
        ("id" = String, Path, description = "The member's id."), PollQuery), responses(
    (status = 200, description = "Records.", body = Polled),
    Problem,
))]
pub(crate) async fn poll(
    State(app): Shared,
    InPath((group, id)): InPath<(String, String)>,
    Params(query): Params<PollQuery>,
) -> Result<Response> {
    let most = most(query.max_records, query.max_bytes)?;
    let wait = wait(query.wait_ms)?;
    let member = app.members.get(&group, &id)?;
    let mut work = member.take()?;
    work.arrived(query.after)?;
    let again = !work.given.is_empty();
    if !again {
        commit_by_itself(&mut work).await;
        tokio::select! {
            biased;
            () = app.stopped() => return Err(Problem::stopping()),
            gathered = gather(&mut work, most, wait) => gathered?,
        }
    }
    member.touch();
    let records = if again { work.given.clone() } else { first(&work.waiting, most) };
    let next = work.answers + u64::from(!again && !records.is_empty());
    let answer = answer::json(&app, &Polled { records: shown(records.clone(), query.show), next })?;
    app.metrics.fetched(&records);
    // Only now: for an answer for which there was no room one may ask for less.
    if !again {
        work.waiting.drain(..records.len());
        work.given = records;
        work.answers = next;
    }
    Ok(answer)
}

/// As many records as one answer may have.
fn first(waiting: &VecDeque<ConsumerRecord>, most: Most) -> Vec<ConsumerRecord> {
    let mut bytes = 0;
    let mut records = Vec::new();
    for record in waiting.iter().take(most.records) {
        if bytes >= most.bytes {
            break;
        }
        bytes += size(record);
        records.push(record.clone());
    }
    records
}

/// Commits what has arrived, if that is wanted and due: whoever asks for more has processed it.
async fn commit_by_itself(work: &mut Work) {
    if !work.is_commit_due() {
        return;
    }
    if let Err(problem) = commit_arrived(work).await {
        // What was not committed is given to somebody again.
        tracing::warn!(?problem, "a member could not commit by itself");
    }
}

/// Polls until there is enough. What was polled waits in `work`, so that nothing is lost with a
/// client that goes away.
async fn gather(work: &mut Work, most: Most, mut wait: Duration) -> Result<()> {
    let mut bytes: usize = work.waiting.iter().map(size).sum();
    while work.waiting.len() < most.records && bytes < most.bytes {
        if !work.waiting.is_empty() {
            wait = Duration::ZERO;
        }
        match work.consumer()?.poll(1, wait).await {
            Ok(records) if records.is_empty() => break,
            Ok(records) => {
                bytes += records.iter().map(size).sum::<usize>();
                work.waiting.extend(records);
            }
            // Those before it are good; the next request meets the fault again.
            Err(_) if !work.waiting.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Commit what a member has processed.
#[utoipa::path(post, path = "/v1/groups/{group}/members/{id}/commits", tag = "groups",
    params(("group" = Name, Path, description = "The group's name."),
        ("id" = String, Path, description = "The member's id.")), request_body = MemberCommits,
    responses(
    (status = 200, description = "What is committed in its partitions.", body = CommittedList),
    Problem,
))]
pub(crate) async fn commit(
    State(app): Shared,
    InPath((group, id)): InPath<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CommittedList>> {
    let commits: MemberCommits = body::json(&app, &headers, body).await?;
    let mut work = app.members.get(&group, &id)?.take()?;
    work.arrived(commits.after)?;
    match commits.offsets {
        Some(offsets) => {
            check_count(&offsets)?;
            let offsets = offsets.into_iter().map(OffsetCommit::from);
            work.consumer()?.commit_offsets(offsets).await?;
        }
        None if commits.after.is_none() => {
            return Err(Problem::invalid(
                "say what is to be committed: \"after\", the `next` of the last answer that \
                 arrived, or \"offsets\"",
            ));
        }
        None => commit_arrived(&mut work).await?,
    }
    Ok(Json(work.consumer()?.committed().await?.into()))
}

/// Commits what has arrived: neither what still waits, nor an answer of which that is not known.
async fn commit_arrived(work: &mut Work) -> Result<()> {
    if work.waiting.is_empty() && work.given.is_empty() {
        return Ok(work.consumer()?.commit().await?);
    }
    let mut first: BTreeMap<(String, u32), i64> = BTreeMap::new();
    for record in work.given.iter().chain(&work.waiting) {
        first.entry((record.topic.to_string(), record.partition)).or_insert(record.offset);
    }
    let consumer = work.consumer()?;
    let arrived = consumer.positions().into_iter().map(|at| {
        let key = (at.topic.to_string(), at.partition);
        let offset = first.get(&key).copied().unwrap_or(at.offset);
        OffsetCommit::new(key.0, key.1, offset)
    });
    let arrived: Vec<OffsetCommit> = arrived.collect();
    Ok(consumer.commit_offsets(arrived).await?)
}

/// Leave the group. What was not committed is given to others, or again.
#[utoipa::path(delete, path = "/v1/groups/{group}/members/{id}", tag = "groups",
    params(("group" = Name, Path, description = "The group's name."),
        ("id" = String, Path, description = "The member's id.")), responses(
    (status = 204, description = "It has left."),
    Problem,
))]
pub(crate) async fn leave(
    State(app): Shared,
    InPath((group, id)): InPath<(String, String)>,
) -> Result<StatusCode> {
    let member = app.members.remove(&group, &id)?;
    // It leaves also if its client does not stay for the answer.
    let leaving = spawn(async move {
        if let Ok(mut work) = member.take() {
            commit_by_itself(&mut work).await;
        }
        member.close().await
    });
    leaving.await.map_err(|_| Problem::stopping())??;
    Ok(StatusCode::NO_CONTENT)
}

//! Groups from outside: list, describe, commit, reset, delete.

use crate::app::Shared;
use crate::body;
use crate::extract::InPath;
use crate::name::Name;
use crate::object::objects;
use crate::problem::{Problem, Result};
use crate::start::reset;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use kaffic_core::{CommittedOffset, GroupDescription, OffsetCommit, OffsetReset};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All groups.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupList {
    /// By name.
    groups: Vec<GroupSummary>,
}

/// A group, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupSummary {
    name: String,
    /// How many members it has.
    members: usize,
    /// The number of its newest change.
    generation: i64,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Group {
    name: String,
    /// The number of its newest change.
    generation: i64,
    /// Who decided who has what.
    assignor: String,
    members: Vec<Member>,
    /// The partitions that members subscribe to, and those with committed offsets.
    partitions: Vec<GroupPartition>,
    /// All lags together.
    lag: i64,
}

/// A member of a group, wherever it runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupMember)]
struct Member {
    name: String,
    /// Whether it keeps its partitions by its name.
    is_static: bool,
    topics: Vec<String>,
    /// How many partitions it has.
    partitions: usize,
    session_timeout_ms: u64,
    joined_ms: i64,
}

/// A partition of a group.
#[derive(Debug, Serialize, ToSchema)]
struct GroupPartition {
    topic: String,
    partition: u32,
    /// The member that has it.
    #[schema(required)]
    owner: Option<String>,
    /// The offset of the next record to be consumed.
    #[schema(required)]
    committed: Option<i64>,
    /// What was committed with it.
    #[schema(required)]
    metadata: Option<String>,
    /// The offset that the next record will get.
    end: i64,
    /// How many offsets lie between the two.
    #[schema(required)]
    lag: Option<i64>,
}

impl From<GroupDescription> for Group {
    fn from(group: GroupDescription) -> Self {
        let members = group.members.into_iter().map(|member| Member {
            name: member.name,
            is_static: member.is_static,
            topics: member.topics,
            partitions: member.partitions,
            session_timeout_ms: member.session_timeout.as_millis() as u64,
            joined_ms: member.joined_ms,
        });
        let lag = group.partitions.iter().filter_map(|partition| partition.lag).sum();
        let partitions = group.partitions.into_iter().map(|partition| GroupPartition {
            topic: partition.topic,
            partition: partition.partition,
            owner: partition.owner,
            committed: partition.committed,
            metadata: partition.metadata,
            end: partition.end,
            lag: partition.lag,
        });
        Self {
            name: group.name,
            generation: group.generation,
            assignor: group.assignor,
            members: members.collect(),
            partitions: partitions.collect(),
            lag,
        }
    }
}

/// Offsets to be committed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Commits {
    #[serde(deserialize_with = "objects")]
    #[schema(max_items = 1000)]
    pub(crate) offsets: Vec<Commit>,
}

/// An offset to be committed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Commit {
    #[schema(value_type = Name)]
    topic: String,
    #[schema(minimum = 0, maximum = 9999)]
    partition: u32,
    /// The offset of the next record to be consumed.
    #[schema(minimum = 0)]
    offset: i64,
    /// Whatever is to be kept with it, 4 KiB at most.
    #[serde(default)]
    metadata: Option<String>,
}

impl From<Commit> for OffsetCommit {
    fn from(commit: Commit) -> Self {
        let Commit { topic, partition, offset, metadata } = commit;
        let commit = Self::new(topic, partition, offset);
        match metadata {
            Some(metadata) => commit.metadata(metadata),
            None => commit,
        }
    }
}

/// Offsets that are committed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommittedList {
    offsets: Vec<Committed>,
}

/// An offset that is committed.
#[derive(Debug, Serialize, ToSchema)]
struct Committed {
    topic: String,
    partition: u32,
    /// The offset of the next record to be consumed.
    offset: i64,
    /// What was committed with it.
    #[schema(required)]
    metadata: Option<String>,
}

impl From<Vec<CommittedOffset>> for CommittedList {
    fn from(offsets: Vec<CommittedOffset>) -> Self {
        let one = |offset: CommittedOffset| Committed {
            topic: offset.topic,
            partition: offset.partition,
            offset: offset.offset,
            metadata: offset.metadata,
        };
        Self { offsets: offsets.into_iter().map(one).collect() }
    }
}

/// Offsets that one request commits, at most.
const MOST_COMMITS: usize = 1000;

pub(crate) fn check_count(offsets: &[Commit]) -> Result<()> {
    match offsets.len() {
        count if count > MOST_COMMITS => Err(Problem::invalid(format!(
            "{count} offsets; a request commits {MOST_COMMITS} at most"
        ))),
        _ => Ok(()),
    }
}

/// Where offsets are to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    #[schema(value_type = Name)]
    topic: String,
    /// `earliest`, `latest`, `offset:N`, `shift:N` (also negative) or `time:RFC3339` (in UTC; or Unix
    /// milliseconds).
    #[schema(
        pattern = "^(earliest|latest|offset:[0-9]{1,15}|shift:-?[0-9]{1,15}|time:([0-9]{1,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])))$"
    )]
    to: String,
    /// Only these partitions.
    #[serde(default)]
    partitions: Option<Vec<u32>>,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// List the groups.
#[utoipa::path(get, path = "/v1/groups", tag = "groups", responses(
    (status = 200, description = "All groups.", body = GroupList),
    Problem,
))]
pub(crate) async fn list(State(app): Shared) -> Result<Json<GroupList>> {
    let groups = app.client.groups().list().await?.into_iter().map(|group| GroupSummary {
        name: group.name,
        members: group.members,
        generation: group.generation,
    });
    Ok(Json(GroupList { groups: groups.collect() }))
}

/// Describe a group: its members, who has which partition, and how far it is.
#[utoipa::path(get, path = "/v1/groups/{group}", tag = "groups",
    params(("group" = Name, Path, description = "The group's name.")), responses(
    (status = 200, description = "The group.", body = Group),
    Problem,
))]
pub(crate) async fn describe(
    State(app): Shared,
    InPath(group): InPath<String>,
) -> Result<Json<Group>> {
    Ok(Json(app.client.groups().describe(&group).await?.into()))
}

/// Delete a group that has no members.
#[utoipa::path(delete, path = "/v1/groups/{group}", tag = "groups",
    params(("group" = Name, Path, description = "The group's name.")), responses(
    (status = 204, description = "Its offsets count no more."),
    Problem,
))]
pub(crate) async fn delete(
    State(app): Shared,
    InPath(group): InPath<String>,
) -> Result<StatusCode> {
    app.client.groups().delete(&group).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Commit offsets of a group that has no members; the group is made if there is none.
#[utoipa::path(post, path = "/v1/groups/{group}/commits", tag = "groups",
    params(("group" = Name, Path, description = "The group's name.")), request_body = Commits,
    responses(
    (status = 200, description = "All that is committed now.", body = CommittedList),
    Problem,
))]
pub(crate) async fn commit(
    State(app): Shared,
    InPath(group): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CommittedList>> {
    let commits: Commits = body::json(&app, &headers, body).await?;
    check_count(&commits.offsets)?;
    let groups = app.client.groups();
    groups.commit(&group, commits.offsets.into_iter().map(OffsetCommit::from)).await?;
    Ok(Json(groups.committed(&group).await?.into()))
}

/// Set the offsets of a group that has no members.
#[utoipa::path(post, path = "/v1/groups/{group}/reset", tag = "groups",
    params(("group" = Name, Path, description = "The group's name.")), request_body = Reset,
    responses(
    (status = 200, description = "What is committed in the topic now.", body = CommittedList),
    Problem,
))]
pub(crate) async fn set(
    State(app): Shared,
    InPath(group): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CommittedList>> {
    let Reset { topic, to, partitions, dry_run } = body::json(&app, &headers, body).await?;
    let mut wanted = OffsetReset::new(topic, reset(&to)?).dry_run(dry_run);
    if let Some(partitions) = partitions {
        wanted = wanted.partitions(partitions);
    }
    Ok(Json(app.client.groups().reset(&group, wanted).await?.into()))
}

//! What a group is, as an entry of its log says it, and how one entry follows from another. No I/O
//! here, and no time.

use super::assign::{Assignment, Assignor, AssignorInput, MemberPartitions, assign};
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version of the stored form.
pub(crate) const FORMAT: u32 = 1;

/// An entry of a group's log: the whole group after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupState {
    pub(crate) format: u32,
    /// What changed, for people.
    pub(crate) change: Change,
    /// The writer's clock, Unix milliseconds; for people.
    pub(crate) at_ms: i64,
    pub(crate) deleted: bool,
    /// Members by name.
    pub(crate) members: BTreeMap<String, Member>,
    /// The topics that members subscribe to, as the assignment rests on them.
    pub(crate) topics: BTreeMap<String, Topic>,
    /// Who decided the assignment.
    pub(crate) assignor: String,
    pub(crate) assignment: Assignment,
}

/// What an entry changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// Offsets were stored, and there was no group yet.
    Created,
    Joined {
        member: String,
        incarnation: String,
    },
    Left {
        member: String,
        incarnation: String,
        why: String,
    },
    /// The heartbeat that was the last to be seen.
    Evicted {
        member: String,
        incarnation: String,
        heartbeat: Option<u64>,
    },
    /// Topics came or went, or have other partitions.
    Topics {
        member: String,
    },
    Deleted,
}

/// A member, as it told when it joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Drawn anew at every join: tells a member from an earlier one of its name.
    pub(crate) incarnation: String,
    /// It has a name of its own, under which it comes back.
    #[serde(rename = "static")]
    pub(crate) is_static: bool,
    /// The topics that it subscribes to, and those there were that fit its pattern.
    pub(crate) topics: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) pattern: Option<String>,
    pub(crate) session_ms: u64,
    pub(crate) heartbeat_ms: u64,
    pub(crate) joined_ms: i64,
}

/// A topic, as whoever looked at it last saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) incarnation: u32,
    pub(crate) partitions: u32,
}

/// The topics that somebody just looked at: `None` for those that are not there.
pub(crate) type TopicsSeen = BTreeMap<String, Option<Topic>>;

impl GroupState {
    /// A group with nobody in it.
    pub(super) fn empty(change: Change, at_ms: i64) -> Self {
        Self {
            format: FORMAT,
            change,
            at_ms,
            deleted: false,
            members: BTreeMap::new(),
            topics: BTreeMap::new(),
            assignor: String::new(),
            assignment: Assignment::new(),
        }
    }

    /// Refuses what a newer version wrote.
    pub(super) fn check(&self, group: &str) -> Result<()> {
        if self.format == FORMAT {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("group {group} is in format {}; this version reads {FORMAT}", self.format),
        ))
    }

    /// Whether this very member is in the group.
    pub(crate) fn has(&self, member: &str, incarnation: &str) -> bool {
        self.members.get(member).is_some_and(|there| there.incarnation == incarnation)
    }

    /// The partitions of a member.
    pub(crate) fn partitions_of(&self, member: &str) -> impl Iterator<Item = (&str, Topic, u32)> {
        let topics: Option<&MemberPartitions> = self.assignment.get(member);
        topics.into_iter().flatten().flat_map(|(name, partitions)| {
            let topic = self.topics.get(name).copied();
            let each = move |partition: &u32| Some((name.as_str(), topic?, *partition));
            partitions.iter().filter_map(each)
        })
    }

    /// Who has a partition.
    pub(crate) fn owner_of(&self, topic: &str, partition: u32) -> Option<&str> {
        let has = |topics: &MemberPartitions| {
            topics.get(topic).is_some_and(|partitions| partitions.contains(&partition))
        };
        self.assignment.iter().find(|(_, topics)| has(topics)).map(|(member, _)| member.as_str())
    }

    /// The group after a change to its members, or to what was seen of its topics.
    pub(super) fn after(
        &self,
        change: Change,
        members: BTreeMap<String, Member>,
        seen: &TopicsSeen,
        assignor: &Arc<dyn Assignor>,
        at_ms: i64,
    ) -> Result<Self> {
        let mut topics = self.topics.clone();
        for (name, topic) in seen {
            match (topic, topics.get(name)) {
                // Whoever looked long ago may know an earlier topic of that name.
                (Some(topic), Some(known)) if known.incarnation > topic.incarnation => {}
                (Some(topic), _) => drop(topics.insert(name.clone(), *topic)),
                (None, _) => drop(topics.remove(name)),
            }
        }
        topics.retain(|name, _| members.values().any(|member| member.topics.contains(name)));
        let subscribed = |member: &Member| {
            member.topics.iter().filter(|topic| topics.contains_key(*topic)).cloned().collect()
        };
        let input = AssignorInput {
            members: members.iter().map(|(name, m)| (name.clone(), subscribed(m))).collect(),
            topics: topics.iter().map(|(name, topic)| (name.clone(), topic.partitions)).collect(),
            current: self.assignment.clone(),
        };
        let assignment = assign(assignor, &input)?;
        Ok(Self {
            format: FORMAT,
            change,
            at_ms,
            deleted: false,
            members,
            topics,
            assignor: assignor.name().to_owned(),
            assignment,
        })
    }

    /// The members after one in the ring, as many as `count`, not the one itself.
    pub(super) fn next_in_ring(&self, member: &str, count: usize) -> Vec<(&String, &Member)> {
        let after = (std::ops::Bound::Excluded(member), std::ops::Bound::Unbounded);
        let before = (std::ops::Bound::Unbounded, std::ops::Bound::Excluded(member));
        let ring = self.members.range::<str, _>(after).chain(self.members.range::<str, _>(before));
        ring.take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::assign::StickyAssignor;
    use super::*;

    fn member(topics: &[&str]) -> Member {
        Member {
            incarnation: "i".into(),
            is_static: false,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            pattern: None,
            session_ms: 45_000,
            heartbeat_ms: 3_000,
            joined_ms: 0,
        }
    }

    fn with(state: &GroupState, name: &str, seen: &TopicsSeen) -> GroupState {
        let mut members = state.members.clone();
        members.insert(name.into(), member(&["t"]));
        let sticky: Arc<dyn Assignor> = Arc::new(StickyAssignor);
        state.after(Change::Created, members, seen, &sticky, 0).unwrap()
    }

    fn seen(incarnation: u32, partitions: u32) -> TopicsSeen {
        [("t".to_owned(), Some(Topic { incarnation, partitions }))].into()
    }

    #[test]
    fn a_stale_view_of_a_topic_does_not_take_back_what_is_known() {
        let state = with(&GroupState::empty(Change::Created, 0), "a", &seen(2, 6));
        let state = with(&state, "b", &seen(1, 3));
        assert_eq!(state.topics["t"], Topic { incarnation: 2, partitions: 6 });
        assert_eq!(state.partitions_of("a").count(), 3);
        assert_eq!(state.partitions_of("b").count(), 3);
        let state = with(&state, "a", &[("t".to_owned(), None)].into());
        assert!(state.topics.is_empty() && state.assignment.is_empty());
    }

    #[test]
    fn the_ring_goes_round_and_names_nobody_twice() {
        let mut state = GroupState::empty(Change::Created, 0);
        for name in ["a", "b", "c", "d", "e"] {
            state = with(&state, name, &seen(0, 1));
        }
        let next = |member| -> Vec<&str> {
            state.next_in_ring(member, 3).into_iter().map(|(name, _)| name.as_str()).collect()
        };
        assert_eq!(next("a"), ["b", "c", "d"]);
        assert_eq!(next("d"), ["e", "a", "b"]);
        assert_eq!(next("e"), ["a", "b", "c"]);
        let two =
            with(&with(&GroupState::empty(Change::Created, 0), "a", &seen(0, 1)), "b", &seen(0, 1));
        assert_eq!(two.next_in_ring("a", 3).len(), 1);
    }

    #[test]
    fn entries_survive_their_stored_form() {
        let state = with(&GroupState::empty(Change::Created, 0), "a", &seen(0, 3));
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<GroupState>(&text).unwrap(), state);
        assert_eq!(state.owner_of("t", 2), Some("a"));
        assert_eq!(state.owner_of("t", 3), None);
    }
}

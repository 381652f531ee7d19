//! Who gets which partitions. An assignor only proposes: its answer counts once it is written in
//! the group's log, and members go by that and compute nothing themselves.

use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

/// Partitions by topic, of one member.
pub type MemberPartitions = BTreeMap<String, Vec<u32>>;

/// The partitions of every member, by the member's name.
pub type Assignment = BTreeMap<String, MemberPartitions>;

/// What an [`Assignor`] goes by.
///
/// ```
/// use kaffic_core::{Assignor, AssignorInput, RangeAssignor};
/// use std::collections::BTreeMap;
/// let input = AssignorInput {
///     members: BTreeMap::from([("a".into(), vec!["t".into()]), ("b".into(), vec!["t".into()])]),
///     topics: BTreeMap::from([("t".into(), 3)]),
///     current: BTreeMap::new(),
/// };
/// let assignment = RangeAssignor.assign(&input);
/// assert_eq!((&assignment["a"]["t"], &assignment["b"]["t"]), (&vec![0, 1], &vec![2]));
/// ```
#[derive(Debug, Clone, Default)]
pub struct AssignorInput {
    /// The members, and the topics that each subscribes to. All of those are in `topics`.
    pub members: BTreeMap<String, Vec<String>>,
    /// The topics, and how many partitions they have.
    pub topics: BTreeMap<String, u32>,
    /// Who has what now. It may name members, topics and partitions that are gone.
    pub current: Assignment,
}

impl AssignorInput {
    /// The members that subscribe to each topic, in order.
    fn subscribers(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut subscribers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (member, topics) in &self.members {
            for topic in topics.iter().collect::<BTreeSet<_>>() {
                subscribers.entry(topic).or_default().push(member);
            }
        }
        subscribers.retain(|topic, _| self.topics.contains_key(*topic));
        subscribers
    }
}

/// Decides who gets which partitions of a group's topics.
///
/// Every partition of every topic that has a subscriber goes to one of its subscribers. Members of a
/// group may use different assignors: that of whoever writes a change decides.
///
/// ```
/// use kaffic_core::{Assignment, Assignor, AssignorInput};
/// /// Gives everything to the first.
/// #[derive(Debug)]
/// struct First;
/// impl Assignor for First {
///     fn name(&self) -> &str {
///         "first"
///     }
///     fn assign(&self, input: &AssignorInput) -> Assignment {
///         let (first, topics) = input.members.first_key_value().expect("a member");
///         let all = topics.iter().map(|topic| (topic.clone(), (0..input.topics[topic]).collect()));
///         Assignment::from([(first.clone(), all.collect())])
///     }
/// }
/// ```
pub trait Assignor: Debug + Send + Sync + 'static {
    /// Its name, as it is written beside what it decided.
    fn name(&self) -> &str;
    /// Decides. The same input has to give the same answer.
    fn assign(&self, input: &AssignorInput) -> Assignment;
}

/// Keeps partitions where they are and moves as few as it can to even out: at rest, members with the
/// same subscription differ by one partition at most. The default.
///
/// ```
/// use kaffic_core::{Assignor, StickyAssignor};
/// assert_eq!(StickyAssignor.name(), "cooperative-sticky");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct StickyAssignor;

/// Gives each member a range of each topic's partitions, so that the same numbers of several topics
/// come together.
///
/// ```
/// use kaffic_core::{Assignor, RangeAssignor};
/// assert_eq!(RangeAssignor.name(), "range");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RangeAssignor;

/// Deals the partitions of all topics out one by one.
///
/// ```
/// use kaffic_core::{Assignor, RoundRobinAssignor};
/// assert_eq!(RoundRobinAssignor.name(), "round-robin");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RoundRobinAssignor;

impl Assignor for RangeAssignor {
    fn name(&self) -> &str {
        "range"
    }

    fn assign(&self, input: &AssignorInput) -> Assignment {
        let mut assignment = Assignment::new();
        for (topic, members) in input.subscribers() {
            let (count, members_len) = (input.topics[topic], members.len() as u32);
            let (each, more) = (count / members_len, count % members_len);
            let mut next = 0;
            for (index, member) in (0..).zip(members) {
                let to = next + each + u32::from(index < more);
                if to > next {
                    give(&mut assignment, member, topic, next..to);
                }
                next = to;
            }
        }
        assignment
    }
}

impl Assignor for RoundRobinAssignor {
    fn name(&self) -> &str {
        "round-robin"
    }

    fn assign(&self, input: &AssignorInput) -> Assignment {
        let mut assignment = Assignment::new();
        let members: Vec<&String> = input.members.keys().collect();
        let mut turn = 0;
        for (topic, subscribers) in input.subscribers() {
            for partition in 0..input.topics[topic] {
                while !subscribers.contains(&members[turn % members.len()].as_str()) {
                    turn += 1;
                }
                give(&mut assignment, members[turn % members.len()], topic, [partition]);
                turn += 1;
            }
        }
        assignment
    }
}

impl Assignor for StickyAssignor {
    fn name(&self) -> &str {
        "cooperative-sticky"
    }

    fn assign(&self, input: &AssignorInput) -> Assignment {
        let subscribers = input.subscribers();
        let mut loads: BTreeMap<&str, usize> =
            input.members.keys().map(|member| (member.as_str(), 0)).collect();
        // What each had it keeps at first, if it may have it still.
        let mut owners: BTreeMap<(&str, u32), &str> = BTreeMap::new();
        for (member, topics) in &input.current {
            for (topic, partitions) in topics {
                let Some((topic, subscribers)) = subscribers.get_key_value(topic.as_str()) else {
                    continue;
                };
                if subscribers.binary_search(&member.as_str()).is_err() {
                    continue;
                }
                for partition in partitions.iter().filter(|p| **p < input.topics[*topic]) {
                    if !owners.contains_key(&(*topic, *partition)) {
                        owners.insert((topic, *partition), member);
                        *loads.entry(member).or_default() += 1;
                    }
                }
            }
        }
        // What nobody has goes to whoever has least.
        for (topic, subscribers) in &subscribers {
            for partition in 0..input.topics[*topic] {
                if !owners.contains_key(&(*topic, partition)) {
                    let Some(to) = least_loaded(&loads, subscribers) else { continue };
                    owners.insert((topic, partition), to);
                    *loads.entry(to).or_default() += 1;
                }
            }
        }
        // Every move makes the sum of the squares of the loads smaller, so this ends.
        loop {
            let mut moved = false;
            for (topic, subscribers) in &subscribers {
                let Some(mut least) = least_loaded(&loads, subscribers) else { continue };
                for partition in 0..input.topics[*topic] {
                    let Some(owner) = owners.get_mut(&(*topic, partition)) else { continue };
                    if loads[*owner] > loads[least] + 1
                        && is_most_loaded(&loads, subscribers, owner)
                    {
                        *loads.entry(*owner).or_default() -= 1;
                        *loads.entry(least).or_default() += 1;
                        *owner = least;
                        moved = true;
                        least = least_loaded(&loads, subscribers).unwrap_or(least);
                    }
                }
            }
            if !moved {
                break;
            }
        }
        let mut assignment = Assignment::new();
        for ((topic, partition), owner) in owners {
            give(&mut assignment, owner, topic, [partition]);
        }
        assignment
    }
}

fn least_loaded<'a>(loads: &BTreeMap<&str, usize>, of: &[&'a str]) -> Option<&'a str> {
    of.iter().copied().min_by_key(|member| loads[*member])
}

/// Those who have most give first, so that nobody gives more than it must.
fn is_most_loaded(loads: &BTreeMap<&str, usize>, of: &[&str], owner: &str) -> bool {
    of.iter().all(|member| loads[member] <= loads[owner])
}

fn give(
    assignment: &mut Assignment,
    member: &str,
    topic: &str,
    partitions: impl IntoIterator<Item = u32>,
) {
    let topics = assignment.entry(member.to_owned()).or_default();
    topics.entry(topic.to_owned()).or_default().extend(partitions);
}

/// Asks an assignor and checks its answer: every partition that somebody subscribes to goes to
/// exactly one of them.
pub(super) fn assign(assignor: &Arc<dyn Assignor>, input: &AssignorInput) -> Result<Assignment> {
    let mut assignment = assignor.assign(input);
    let bad = |what: String| {
        Error::invalid(format!("assignor {} {what}; nothing was changed", assignor.name()))
    };
    let mut given: BTreeSet<(&str, u32)> = BTreeSet::new();
    for (member, topics) in &assignment {
        let subscribed = input.members.get(member);
        for (topic, partitions) in topics {
            if !subscribed.is_some_and(|topics| topics.contains(topic)) {
                return Err(bad(format!("gave topic {topic} to {member}, which did not ask")));
            }
            for partition in partitions {
                if !given.insert((topic, *partition)) {
                    return Err(bad(format!("gave topic {topic} partition {partition} twice")));
                }
            }
        }
    }
    let subscribers = input.subscribers();
    let wanted: u64 = subscribers.keys().map(|topic| u64::from(input.topics[*topic])).sum();
    let sane = given.iter().all(|(topic, partition)| *partition < input.topics[*topic]);
    if !sane || given.len() as u64 != wanted {
        return Err(bad("did not give every partition to a member".to_owned()));
    }
    for topics in assignment.values_mut() {
        topics.values_mut().for_each(|partitions| partitions.sort_unstable());
        topics.retain(|_, partitions| !partitions.is_empty());
    }
    assignment.retain(|_, topics| !topics.is_empty());
    Ok(assignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(members: &[(&str, &[&str])], topics: &[(&str, u32)]) -> AssignorInput {
        let names = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        AssignorInput {
            members: members.iter().map(|(m, topics)| ((*m).to_owned(), names(topics))).collect(),
            topics: topics.iter().map(|(topic, n)| ((*topic).to_owned(), *n)).collect(),
            current: Assignment::new(),
        }
    }

    fn loads(input: &AssignorInput, assignment: &Assignment) -> Vec<usize> {
        let load =
            |member| assignment.get(member).map_or(0, |topics| topics.values().map(Vec::len).sum());
        input.members.keys().map(load).collect()
    }

    fn assignors() -> [Arc<dyn Assignor>; 3] {
        [Arc::new(StickyAssignor), Arc::new(RangeAssignor), Arc::new(RoundRobinAssignor)]
    }

    #[test]
    fn every_assignor_gives_every_partition_to_one_of_its_subscribers() {
        let cases = [
            input(&[("a", &["t"])], &[("t", 3)]),
            input(&[("a", &["t"]), ("b", &["t"]), ("c", &["t"])], &[("t", 10)]),
            input(&[("a", &["t"]), ("b", &["t", "u"]), ("c", &["u"])], &[("t", 4), ("u", 5)]),
            input(&[("a", &["t"]), ("b", &["t"])], &[("t", 1)]),
            input(&[("a", &[])], &[]),
            input(&[], &[]),
        ];
        for case in &cases {
            for assignor in assignors() {
                assign(&assignor, case).unwrap();
            }
        }
    }

    #[test]
    fn sticky_moves_only_what_evens_out() {
        let sticky: Arc<dyn Assignor> = Arc::new(StickyAssignor);
        let mut case = input(&[("a", &["t"]), ("b", &["t"])], &[("t", 9)]);
        case.current = assign(&sticky, &case).unwrap();
        let before = case.current.clone();
        assert_eq!(assign(&sticky, &case).unwrap(), before);
        case.members.insert("c".into(), vec!["t".into()]);
        let after = assign(&sticky, &case).unwrap();
        assert_eq!(loads(&case, &after), [3, 3, 3]);
        for member in ["a", "b"] {
            assert!(after[member]["t"].iter().all(|p| before[member]["t"].contains(p)));
        }
        case.current = after.clone();
        case.members.remove("a");
        let without = assign(&sticky, &case).unwrap();
        assert!(after["b"]["t"].iter().all(|p| without["b"]["t"].contains(p)));
        assert!(after["c"]["t"].iter().all(|p| without["c"]["t"].contains(p)));
    }

    #[test]
    fn sticky_is_even_whatever_was_before() {
        let sticky: Arc<dyn Assignor> = Arc::new(StickyAssignor);
        for members in 1..12usize {
            let names: Vec<String> = (0..members).map(|n| format!("m{n}")).collect();
            let topics = [("t".to_owned(), 30), ("u".to_owned(), 7)].into();
            let mut case = AssignorInput { topics, ..AssignorInput::default() };
            case.current.insert("m0".into(), [("t".into(), (0..30).collect())].into());
            case.current.insert("gone".into(), [("u".into(), (0..7).collect())].into());
            for name in names {
                case.members.insert(name, vec!["t".into(), "u".into()]);
            }
            let loads = loads(&case, &assign(&sticky, &case).unwrap());
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            assert!(most - least <= 1, "{members} members: {loads:?}");
        }
    }

    #[test]
    fn a_bad_answer_is_refused() {
        #[derive(Debug)]
        struct Bad(Assignment);
        impl Assignor for Bad {
            fn name(&self) -> &str {
                "bad"
            }
            fn assign(&self, _: &AssignorInput) -> Assignment {
                self.0.clone()
            }
        }
        let case = input(&[("a", &["t"]), ("b", &["t"])], &[("t", 2)]);
        let one = |member: &str, topic: &str, partitions: &[u32]| {
            (member.to_owned(), MemberPartitions::from([(topic.to_owned(), partitions.to_vec())]))
        };
        for bad in [
            Assignment::new(),
            [one("a", "t", &[0])].into(),
            [one("a", "t", &[0, 1]), one("b", "t", &[1])].into(),
            [one("a", "t", &[0, 2])].into(),
            [one("c", "t", &[0, 1])].into(),
            [one("a", "u", &[0, 1])].into(),
        ] {
            let assignor: Arc<dyn Assignor> = Arc::new(Bad(bad.clone()));
            let error = assign(&assignor, &case).unwrap_err();
            assert!(error.to_string().contains("assignor bad"), "{error}");
        }
    }
}

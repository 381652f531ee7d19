//! Who seems to be dead: each member watches the heartbeats of the next three in the ring. This is
//! no part of correctness: an eviction that was wrong costs a rebalance and nothing else.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many members each watches.
pub(super) const WATCHED: usize = 3;

/// What a member writes over and over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heartbeat {
    pub(super) incarnation: String,
    pub(super) beat: u64,
}

/// What is known of a member that is watched.
#[derive(Debug, Clone)]
struct Watched {
    incarnation: String,
    beat: Option<u64>,
    /// When it was first looked at, or last changed.
    since: Duration,
    looked_at: Duration,
    session: Duration,
}

/// The members that are watched, by name.
#[derive(Debug, Default)]
pub(super) struct Watch(BTreeMap<String, Watched>);

impl Watch {
    /// Forgets all but these.
    pub(super) fn keep(&mut self, members: &[&str]) {
        self.0.retain(|name, _| members.contains(&name.as_str()));
    }

    /// Notes what a look brought. True when the member has not changed for `session`, as seen by
    /// looks without a large gap between them: who slept itself knows nothing of others.
    pub(super) fn note(
        &mut self,
        member: &str,
        incarnation: &str,
        seen: Option<&Heartbeat>,
        session: Duration,
        now: Duration,
    ) -> bool {
        // What an earlier member of that name wrote says nothing of this one.
        let beat = seen.filter(|seen| seen.incarnation == incarnation).map(|seen| seen.beat);
        let incarnation_now = incarnation.into();
        let fresh =
            Watched { incarnation: incarnation_now, beat, since: now, looked_at: now, session };
        let Some(watched) = self.0.get_mut(member) else {
            self.0.insert(member.to_owned(), fresh);
            return false;
        };
        let gap = now.saturating_sub(watched.looked_at);
        let changed =
            watched.incarnation != incarnation || beat.is_some_and(|b| watched.beat != Some(b));
        if changed || gap > session / 2 {
            let known = watched.beat.filter(|_| watched.incarnation == incarnation);
            *watched = Watched { beat: beat.or(known), ..fresh };
            return false;
        }
        (watched.looked_at, watched.session) = (now, session);
        now.saturating_sub(watched.since) >= session
    }

    /// When the next of them is to be looked at, if it stays silent.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.0.values().map(|watched| watched.since + watched.session).min()
    }

    /// The heartbeat of a member that was seen last.
    pub(super) fn last_beat(&self, member: &str) -> Option<u64> {
        self.0.get(member).and_then(|watched| watched.beat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(10);

    fn beat(incarnation: &str, beat: u64) -> Heartbeat {
        Heartbeat { incarnation: incarnation.into(), beat }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silence_for_a_session_is_death() {
        let mut watch = Watch::default();
        for second in 0..10 {
            assert!(!watch.note("a", "i", Some(&beat("i", 7)), SESSION, at(second)), "{second}");
        }
        assert_eq!(watch.next_deadline(), Some(at(10)));
        assert!(watch.note("a", "i", Some(&beat("i", 7)), SESSION, at(10)));
        assert_eq!(watch.last_beat("a"), Some(7));
        assert!(!watch.note("a", "i", Some(&beat("i", 8)), SESSION, at(11)));
    }

    #[test]
    fn a_member_that_never_wrote_a_heartbeat_is_dead_after_a_session_too() {
        let mut watch = Watch::default();
        assert!((0..10).all(|second| !watch.note("a", "i", None, SESSION, at(second))));
        assert!(watch.note("a", "i", None, SESSION, at(10)));
    }

    #[test]
    fn who_did_not_look_for_half_a_session_begins_anew() {
        let mut watch = Watch::default();
        for second in 0..9 {
            assert!(!watch.note("a", "i", Some(&beat("i", 7)), SESSION, at(second)));
        }
        assert!(!watch.note("a", "i", Some(&beat("i", 7)), SESSION, at(3600)));
        for second in 3601..3610 {
            assert!(!watch.note("a", "i", Some(&beat("i", 7)), SESSION, at(second)));
        }
        assert!(watch.note("a", "i", Some(&beat("i", 7)), SESSION, at(3610)));
    }

    #[test]
    fn another_incarnation_is_another_member_and_its_predecessors_beats_are_not_its_own() {
        let mut watch = Watch::default();
        for second in 0..9 {
            assert!(!watch.note("a", "i", Some(&beat("i", 7)), SESSION, at(second)));
        }
        for second in 9..19 {
            let old = beat("i", second);
            assert!(!watch.note("a", "j", Some(&old), SESSION, at(second)), "{second}");
        }
        assert!(watch.note("a", "j", Some(&beat("i", 99)), SESSION, at(19)));
        assert_eq!(watch.last_beat("a"), None);
    }
}

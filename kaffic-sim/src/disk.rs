//! The objects of the simulated storage and their stamps. Pure: no faults, no time of its own.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A stored object.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Bytes,
    /// `LastModified`, in milliseconds; a get says it in whole seconds.
    pub(crate) stamp_ms: i64,
    /// Tells this object from one put there again after it was deleted.
    pub(crate) tag: u64,
}

/// An entry of a listing.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) stamp_ms: i64,
    pub(crate) size: u64,
    pub(crate) tag: u64,
}

/// All objects, by key.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    objects: BTreeMap<String, Stored>,
    tags: u64,
}

impl Disk {
    /// Puts an object if none is there; says whether it did.
    pub(crate) fn create(&mut self, key: &str, bytes: Bytes, stamp_ms: i64) -> bool {
        if self.objects.contains_key(key) {
            return false;
        }
        self.tags += 1;
        self.objects.insert(key.to_owned(), Stored { bytes, stamp_ms, tag: self.tags });
        true
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Stored> {
        self.objects.get(key)
    }

    pub(crate) fn remove(&mut self, key: &str) -> bool {
        self.objects.remove(key).is_some()
    }

    /// Everything under a directory, as deep as it goes.
    fn under<'a>(&'a self, dir: &str) -> impl Iterator<Item = (&'a str, &'a Stored)> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let from = self.objects.range(prefix.clone()..);
        from.map(|(key, stored)| (key.as_str(), stored))
            .take_while(move |(key, _)| key.starts_with(&prefix))
    }

    /// Every object under a directory.
    pub(crate) fn list_deep(&self, dir: &str) -> Vec<Listed> {
        self.under(dir).map(|(key, stored)| listed(key, stored)).collect()
    }

    /// The objects and the directories that stand directly under a directory.
    pub(crate) fn list(&self, dir: &str) -> (Vec<Listed>, Vec<String>) {
        let skip = if dir.is_empty() { 0 } else { dir.len() + 1 };
        let (mut objects, mut dirs) = (Vec::new(), BTreeSet::new());
        for (key, stored) in self.under(dir) {
            match key[skip..].find('/') {
                Some(end) => drop(dirs.insert(&key[..skip + end])),
                None => objects.push(listed(key, stored)),
            }
        }
        (objects, dirs.into_iter().map(str::to_owned).collect())
    }

    /// The messages whose stamps are at or before a time: what a lifecycle rule may delete.
    pub(crate) fn messages_before(&self, stamp_ms: i64) -> Vec<String> {
        self.under("data")
            .filter(|(_, stored)| stored.stamp_ms <= stamp_ms)
            .map(|(key, _)| key.to_owned())
            .collect()
    }
}

fn listed(key: &str, stored: &Stored) -> Listed {
    Listed {
        key: key.to_owned(),
        stamp_ms: stored.stamp_ms,
        size: stored.bytes.len() as u64,
        tag: stored.tag,
    }
}

//! What was asked and what came of it: counters, and a line for each request where that is wanted.

use crate::fault::Fault;
use hyper::{Method, Uri};
use percent_encoding::percent_decode_str;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Operation {
    /// An object, or a part of it.
    Get,
    /// To write an object.
    Put,
    /// Names of objects.
    List,
    /// To delete an object.
    Delete,
    /// Anything else.
    Other,
}

impl Operation {
    const COUNT: usize = 5;

    fn of(method: &Method, query: &str) -> Self {
        match *method {
            Method::GET if is_list(query) => Self::List,
            Method::GET => Self::Get,
            Method::PUT => Self::Put,
            Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }
}

/// As S3, Google and Azure ask for a list.
fn is_list(query: &str) -> bool {
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        matches!(name, "list-type" | "prefix" | "delimiter") || (name, value) == ("comp", "list")
    })
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// As it was sent.
    pub method: Method,
    /// Decoded, from the first slash on: with the bucket, and without the query.
    pub path: String,
    /// What it asks for.
    pub operation: Operation,
    /// What the server said, if it was asked and has answered.
    pub server: Option<u16>,
    /// What the client was told, if anything.
    pub client: Option<u16>,
    /// What was done to it.
    pub fault: Option<Fault>,
}

impl Access {
    pub(crate) fn of(method: &Method, uri: &Uri) -> Self {
        Self {
            method: method.clone(),
            path: percent_decode_str(uri.path()).decode_utf8_lossy().into_owned(),
            operation: Operation::of(method, uri.query().unwrap_or_default()),
            server: None,
            client: None,
            fault: None,
        }
    }

    fn line(&self) -> String {
        serde_json::json!({
            "method": self.method.as_str(),
            "path": self.path,
            "operation": self.operation.name(),
            "server": self.server,
            "client": self.client,
            "fault": self.fault.map(Fault::name),
        })
        .to_string()
    }
}

/// How many requests there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    asked: [u64; Operation::COUNT],
    served: [u64; Operation::COUNT],
    faults: [u64; Fault::ALL.len()],
}

impl Counts {
    /// Requests that clients sent.
    pub fn asked(&self, operation: Operation) -> u64 {
        self.asked[operation as usize]
    }

    /// Requests that the server answered.
    pub fn served(&self, operation: Operation) -> u64 {
        self.served[operation as usize]
    }

    /// Requests that something was done to.
    pub fn faults(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    /// All requests that clients sent.
    pub fn total(&self) -> u64 {
        self.asked.iter().sum()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} requests", self.total())?;
        for fault in Fault::ALL {
            write!(f, ", {} {fault}", self.faults(fault))?;
        }
        Ok(())
    }
}

/// Where accesses go.
pub(crate) struct Log {
    counts: Mutex<Counts>,
    lines: Option<Mutex<Box<dyn Write + Send>>>,
}

impl Log {
    pub(crate) fn new(lines: Option<Box<dyn Write + Send>>) -> Self {
        Self { counts: Mutex::default(), lines: lines.map(Mutex::new) }
    }

    pub(crate) fn counts(&self) -> Counts {
        *lock(&self.counts)
    }

    fn write(&self, access: &Access) {
        let operation = access.operation as usize;
        {
            let mut counts = lock(&self.counts);
            counts.asked[operation] += 1;
            counts.served[operation] += u64::from(access.server.is_some());
            if let Some(fault) = access.fault {
                counts.faults[fault as usize] += 1;
            }
        }
        if let Some(lines) = &self.lines {
            let mut lines = lock(lines);
            // A log that can't be written is no reason to fail other requests than were asked for.
            let _ = writeln!(lines, "{}", access.line()).and_then(|()| lines.flush());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// An access that is logged when it is over, also if that is because the client gave up.
pub(crate) struct Entry {
    pub(crate) access: Access,
    log: Arc<Log>,
}

impl Entry {
    pub(crate) fn new(access: Access, log: Arc<Log>) -> Self {
        Self { access, log }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.log.write(&self.access);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_keys_are_told_apart() {
        for (method, uri, operation, path) in [
            (Method::GET, "/b/a%20b%2Fc?versionId=1", Operation::Get, "/b/a b/c"),
            (Method::GET, "/b?list-type=2&prefix=x%2F", Operation::List, "/b"),
            (Method::GET, "/b?restype=container&comp=list", Operation::List, "/b"),
            (Method::PUT, "/b/k", Operation::Put, "/b/k"),
            (Method::DELETE, "/b/k", Operation::Delete, "/b/k"),
            (Method::POST, "/b?delete", Operation::Other, "/b"),
        ] {
            let access = Access::of(&method, &uri.parse().unwrap());
            assert_eq!((access.operation, access.path.as_str()), (operation, path), "{uri}");
        }
    }
}

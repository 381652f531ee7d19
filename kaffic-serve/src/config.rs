//! What a server is told, and its bounds. Everything that clients can make grow has one.

use crate::object;
use crate::server::ServerError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What hyper needs for a head.
const LEAST_HEAD: usize = 8 << 10;
/// A timeout that is longer is a mistake.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How a server runs.
///
/// ```
/// let config = kaffic_serve::Config::default();
/// assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
/// assert!(config.token.is_none());
/// ```
#[derive(Clone)]
pub struct Config {
    /// The address to listen on: 127.0.0.1:8080 by default; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Files in PEM with the certificates and the key for HTTPS; plain HTTP without.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What clients have to give as `Authorization: Bearer …`; everybody may do everything without.
    pub token: Option<String>,
    /// The bounds.
    pub limits: Limits,
    /// How often all groups' lag is asked for at most, when somebody asks for the metrics; never by
    /// default.
    pub lag_every: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            token: None,
            limits: Limits::default(),
            lag_every: None,
        }
    }
}

/// Without the token.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("tls", &self.tls)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("limits", &self.limits)
            .field("lag_every", &self.lag_every)
            .finish()
    }
}

/// The bounds of a server.
///
/// ```
/// let limits = kaffic_serve::Limits { body_bytes: 1 << 20, ..Default::default() };
/// assert_eq!(limits.connections, 20_000);
/// ```
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; further ones wait to be accepted. 20,000 by default.
    pub connections: usize,
    /// Requests that are worked on at once, streams and waiting fetches apart; further ones get
    /// 503. 1,024 by default.
    pub requests: usize,
    /// Streams, WebSockets and waiting fetches at once; further ones get 503. 15,000 by default.
    pub streams: usize,
    /// The head of a request: its line and headers. 32 KiB by default, 8 KiB at least.
    pub head_bytes: usize,
    /// The body of a request; a longer one gets 413. 16 MiB by default. A stream of records is
    /// bounded by the line.
    pub body_bytes: usize,
    /// All bodies that are held at once; a further one gets 503. 256 MiB by default.
    pub bodies_bytes: usize,
    /// All long answers that are held at once; a further one becomes a 503. 512 MiB by default.
    pub answers_bytes: usize,
    /// How long a request may take to arrive: its head, and again its body. 30 s by default. The
    /// body of a stream of records may take for ever, but never be silent for that long.
    pub read_timeout: Duration,
    /// How long an answer may find no room on its way to the client. 60 s by default.
    pub write_timeout: Duration,
    /// How long storing a record may take before the request fails. 60 s by default.
    pub delivery_timeout: Duration,
    /// Records in a request. 10,000 by default, and at most.
    pub records: usize,
    /// Producers that are kept, one a topic and name; further ones get 503 while all are in use.
    /// 1,000 by default.
    pub producers: usize,
    /// Partitions that are followed for streams and waiting fetches; further ones get 503. 1,000 by
    /// default.
    pub tails: usize,
    /// Members of groups that are hosted; further ones get 503. 200 by default.
    pub members: usize,
    /// How long requests under way have to finish when the server is told to stop. 30 s by default.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            requests: 1024,
            streams: 15_000,
            head_bytes: 32 << 10,
            body_bytes: 16 << 20,
            bodies_bytes: 256 << 20,
            answers_bytes: 512 << 20,
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(60),
            records: 10_000,
            producers: 1000,
            tails: 1000,
            members: 200,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Whether a server can work within them, and what to change if not.
    pub(crate) fn check(&self) -> Result<(), ServerError> {
        // What counts them has 32 bits.
        let most = u32::MAX as usize;
        for (name, given, least, most) in [
            ("connections", self.connections, 1, most),
            ("requests", self.requests, 1, most),
            ("streams", self.streams, 1, most),
            ("head_bytes", self.head_bytes, LEAST_HEAD, most),
            ("body_bytes", self.body_bytes, 1, self.bodies_bytes),
            ("bodies_bytes", self.bodies_bytes, 1, most),
            ("answers_bytes", self.answers_bytes, 1, most),
            ("records", self.records, 1, object::MOST),
            ("producers", self.producers, 1, most),
            ("tails", self.tails, 1, most),
            ("members", self.members, 1, most),
        ] {
            if !(least..=most).contains(&given) {
                return Err(ServerError(format!("{name} is {given}; it is {least} to {most}")));
            }
        }
        for (name, given) in [
            ("read_timeout", self.read_timeout),
            ("write_timeout", self.write_timeout),
            ("delivery_timeout", self.delivery_timeout),
            ("drain_timeout", self.drain_timeout),
        ] {
            if given.is_zero() || given > LONGEST {
                return Err(ServerError(format!("{name} is {given:?}; it is up to {LONGEST:?}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_limits() {
        Limits::default().check().unwrap();
        let wrong = [
            (Limits { requests: 0, ..Limits::default() }, "requests is 0"),
            (Limits { head_bytes: 100, ..Limits::default() }, "head_bytes is 100"),
            (Limits { body_bytes: 2000, bodies_bytes: 1000, ..Limits::default() }, "1 to 1000"),
            (Limits { answers_bytes: 1 << 40, ..Limits::default() }, "1 to 4294967295"),
            (Limits { records: 10_001, ..Limits::default() }, "1 to 10000"),
            (Limits { read_timeout: Duration::ZERO, ..Limits::default() }, "read_timeout is 0ns"),
        ];
        for (limits, expected) in wrong {
            let ServerError(said) = limits.check().unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }
}

//! The real server that `scripts/servers/run` has started for this process, as `scripts/servers/faults`
//! names it in the environment: its address, its death and return, and its own access log.

use crate::access::Operation;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static NEXT: AtomicU32 = AtomicU32::new(0);
/// The longest that the log may be behind, and that a request of ours may take.
const MUCH_TIME: Duration = Duration::from_secs(30);

/// An S3 server with a bucket.
#[derive(Debug, Clone)]
pub struct Server {
    url: String,
    options: Vec<(String, String)>,
}

impl Server {
    /// The server, or `None` where there is none, which is said.
    pub fn of(test: &str) -> Option<Self> {
        let Some(url) = variable("KAFFIC_TEST_URL") else {
            println!(
                "skipped: {test} runs under scripts/servers/run ... -- scripts/servers/faults"
            );
            return None;
        };
        let text = variable("KAFFIC_TEST_OPTIONS").unwrap_or_default();
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        let options = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Some(Self { url: url.trim_end_matches('/').to_owned(), options })
    }

    /// A URL below which nothing was ever put.
    pub fn fresh_url(&self, test: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{}/{test}-{now}-{}-{number}", self.url, process::id())
    }

    /// Where it answers.
    ///
    /// # Panics
    /// If the environment does not say.
    pub fn endpoint(&self) -> &str {
        let endpoint = self.options.iter().find(|(key, _)| key == "endpoint");
        &endpoint.expect("KAFFIC_TEST_OPTIONS has an endpoint").1
    }

    /// The options of a store, as `key=value,key=value`, with these in place of its own.
    pub fn options(&self, changed: &[(&str, &str)]) -> String {
        let own = self.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let kept = own.filter(|(key, _)| changed.iter().all(|(other, _)| other != key));
        let pairs = kept.chain(changed.iter().copied());
        pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }

    /// As `kill -9` does.
    ///
    /// # Panics
    /// If it can't be done.
    pub fn kill(&self) {
        control("kill");
    }

    /// Starts it again on the same port and data. It answers when this returns.
    ///
    /// # Panics
    /// If it can't be done.
    pub fn start(&self) {
        control("start");
    }

    /// Its own access log from now on, or `None` where it keeps none, which is said.
    pub fn log(&self, test: &str) -> Option<AccessLog> {
        let Some(path) = variable("KAFFIC_TEST_LOG") else {
            println!("skipped: {test} needs a server with an access log of its own");
            return None;
        };
        let mut log = AccessLog { server: self.clone(), path: path.into(), read: 0 };
        log.take(0);
        Some(log)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn control(action: &str) {
    let said = (|| {
        let missing = |name| std::io::Error::other(format!("{name} is not set"));
        let path = variable("KAFFIC_TEST_SERVERS").ok_or_else(|| missing("KAFFIC_TEST_SERVERS"))?;
        let name = variable("KAFFIC_TEST_SERVER").ok_or_else(|| missing("KAFFIC_TEST_SERVER"))?;
        let mut stream = UnixStream::connect(path)?;
        writeln!(stream, "{action} {name}")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    })();
    assert!(matches!(&said, Ok(answer) if answer == "ok\n"), "{action}: {said:?}");
}

/// A request as the server has logged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// What it asked for.
    pub operation: Operation,
    /// The object's key; empty for a list.
    pub key: String,
    /// What was answered.
    pub status: u64,
}

/// The access log of a server.
#[derive(Debug)]
pub struct AccessLog {
    server: Server,
    path: PathBuf,
    /// Bytes of the file that were read.
    read: usize,
}

impl AccessLog {
    /// The requests since the last time, `at_least` so many: a server may log one only after it has
    /// answered it. Asks for an object of a name that nobody else asks for, and reads on until that is
    /// logged, too.
    ///
    /// # Panics
    /// If they are not.
    pub fn take(&mut self, at_least: u64) -> Vec<Logged> {
        let marker = self.server.fresh_url("marker").replace("s3://", "/");
        self.ask(&marker);
        let end = marker.splitn(3, '/').nth(2).unwrap_or_default().to_owned();
        let begun = Instant::now();
        let mut found = Vec::new();
        let mut marked = false;
        while !marked || (found.len() as u64) < at_least {
            let text = std::fs::read_to_string(&self.path).expect("the access log can be read");
            let new = &text[self.read..];
            let whole = new.rfind('\n').map_or(0, |at| at + 1);
            self.read += whole;
            for logged in new[..whole].lines().map(parse) {
                match logged.key == end {
                    true => marked = true,
                    false => found.push(logged),
                }
            }
            let in_time = begun.elapsed() < MUCH_TIME;
            assert!(in_time, "{end}: {} of {at_least} in {}", found.len(), self.path.display());
            std::thread::yield_now();
        }
        found
    }

    /// Without a signature, so it is refused, and logged.
    fn ask(&self, path: &str) {
        let host = self.server.endpoint().trim_start_matches("http://");
        let asked = TcpStream::connect(host).and_then(|mut stream| {
            stream.set_read_timeout(Some(MUCH_TIME))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
            stream.read_to_end(&mut Vec::new())
        });
        assert!(matches!(asked, Ok(1..)), "{asked:?}");
    }
}

/// A line of SeaweedFS's audit log, which has the fields of Amazon's.
fn parse(line: &str) -> Logged {
    let entry: Value = serde_json::from_str(line).expect("a line of the access log is JSON");
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let key = text("key");
    let operation = match text("operation").as_str() {
        "REST.GET.OBJECT" if key.is_empty() => Operation::List,
        "REST.GET.OBJECT" => Operation::Get,
        "REST.PUT.OBJECT" => Operation::Put,
        "REST.DELETE.OBJECT" => Operation::Delete,
        _ => Operation::Other,
    };
    Logged { operation, key, status: entry["status"].as_u64().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_audit_log_are_understood() {
        let line = |operation, key| {
            let entry = serde_json::json!({"operation": operation, "key": key, "status": 206});
            parse(&entry.to_string())
        };
        for (name, key, operation) in [
            ("REST.GET.OBJECT", "a/b", Operation::Get),
            ("REST.GET.OBJECT", "", Operation::List),
            ("REST.PUT.OBJECT", "a/b", Operation::Put),
            ("REST.POST.OBJECT", "", Operation::Other),
        ] {
            assert_eq!(line(name, key), Logged { operation, key: key.to_owned(), status: 206 });
        }
    }

    #[test]
    fn options_are_changed() {
        let options = [("endpoint", "http://a"), ("secret", "x=")];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let server = Server { url: "s3://b".to_owned(), options };
        assert_eq!(server.endpoint(), "http://a");
        let changed = server.options(&[("endpoint", "http://c"), ("request_timeout", "1s")]);
        assert_eq!(changed, "secret=x=,endpoint=http://c,request_timeout=1s");
        assert!(server.fresh_url("t").starts_with("s3://b/t-"));
        assert_ne!(server.fresh_url("t"), server.fresh_url("t"));
    }
}

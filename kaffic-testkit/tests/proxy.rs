//! What the two sides of the proxy see, byte by byte.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "sockets, in real time")]

use kaffic_testkit::{Config, Fault, FaultProxy, Operation, Rates};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const GET: &str = "GET /b/a%20b?x=%2F HTTP/1.1\r\nHost: signed:1\r\nX-Amz-Date: 1\r\n\r\n";
const PUT: &str = "PUT /b/k HTTP/1.1\r\nhost: signed:1\r\ncontent-length: 5\r\n\r\nhello";
const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nServer: it\r\nETag: \"1\"\r\ncontent-length: 16\r\n\r\n0123456789abcdef";
const MUCH_TIME: Duration = Duration::from_secs(30);

/// A server that gives one answer to everything, and remembers what it was asked.
struct Server {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let memory = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let memory = memory.clone();
                std::thread::spawn(move || answer_all(stream.unwrap(), &memory));
            }
        });
        Self { url, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn answer_all(mut stream: TcpStream, heard: &Mutex<Vec<String>>) {
    let mut text = String::new();
    let mut some = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut some) {
        text.push_str(std::str::from_utf8(&some[..count]).unwrap());
        if text == GET || text == PUT {
            heard.lock().unwrap().push(std::mem::take(&mut text));
            stream.write_all(ANSWER.as_bytes()).unwrap();
        }
    }
}

fn proxy(server: &Server, rates: Rates) -> FaultProxy {
    FaultProxy::start(Config::new(&server.url).rates(rates).delay(Duration::from_millis(20)))
        .unwrap()
}

fn only(fault: Fault) -> Rates {
    Rates::none().with(fault, 1.0)
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(MUCH_TIME)).unwrap();
    stream
}

/// One answer of the usual length.
fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; ANSWER.len()];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// All that comes until the connection ends, and how it ends.
fn ask_to_the_end(proxy: &FaultProxy, request: &str) -> (String, Result<(), ErrorKind>) {
    let mut stream = connect(proxy);
    stream.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut some) = (Vec::new(), [0; 1024]);
    loop {
        let ended = match stream.read(&mut some) {
            Ok(0) => Ok(()),
            Ok(count) => {
                answer.extend_from_slice(&some[..count]);
                // An answer of ours is whole: nothing more is to be read here.
                let text = String::from_utf8_lossy(&answer);
                if !text.ends_with("</Error>") {
                    continue;
                }
                Ok(())
            }
            Err(error) => Err(error.kind()),
        };
        return (String::from_utf8(answer).unwrap(), ended);
    }
}

#[test]
fn without_faults_nothing_is_changed() {
    let server = Server::start();
    let proxy = proxy(&server, Rates::none());
    let mut stream = connect(&proxy);
    for request in [GET, PUT, PUT, GET] {
        assert_eq!(ask(&mut stream, request), ANSWER);
    }
    assert_eq!(server.heard(), [GET, PUT, PUT, GET]);
    let counts = proxy.counts();
    assert_eq!((counts.served(Operation::Get), counts.served(Operation::Put)), (2, 2));
    assert!(Fault::ALL.into_iter().all(|fault| counts.faults(fault) == 0), "{counts}");
}

#[test]
fn a_reset_is_a_reset_before_and_after_the_server_was_asked() {
    for (fault, heard) in [(Fault::ResetBefore, 0), (Fault::ResetAfter, 1)] {
        let server = Server::start();
        let proxy = proxy(&server, only(fault));
        let end = (String::new(), Err(ErrorKind::ConnectionReset));
        assert_eq!(ask_to_the_end(&proxy, PUT), end, "{fault}");
        assert_eq!(server.heard().len(), heard, "{fault}");
        let counts = proxy.counts();
        assert_eq!((counts.faults(fault), counts.asked(Operation::Put)), (1, 1));
        assert_eq!(counts.served(Operation::Put), heard as u64);
    }
}

#[test]
fn errors_are_said_before_and_after_the_server_was_asked() {
    for (fault, status, code, heard) in [
        (Fault::Status500Before, "500 Internal", "InternalError", 0),
        (Fault::Status500After, "500 Internal", "InternalError", 1),
        (Fault::Status503Before, "503 Service", "SlowDown", 0),
        (Fault::Status503After, "503 Service", "SlowDown", 1),
        (Fault::Status429, "429 Too", "TooManyRequests", 0),
    ] {
        let server = Server::start();
        let proxy = proxy(&server, only(fault));
        let (answer, _) = ask_to_the_end(&proxy, PUT);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{fault}: {answer}");
        assert!(answer.contains(&format!("<Code>{code}</Code>")), "{fault}: {answer}");
        assert_eq!(server.heard().len(), heard, "{fault}");
    }
}

#[test]
fn a_truncated_body_is_shorter_than_promised() {
    let server = Server::start();
    let proxy = proxy(&server, only(Fault::Truncated));
    let half = ANSWER.strip_suffix("89abcdef").unwrap().to_owned();
    assert_eq!(ask_to_the_end(&proxy, GET), (half, Ok(())));
    // A put has no body worth cutting.
    assert_eq!(ask(&mut connect(&proxy), PUT), ANSWER);
}

#[test]
fn slow_is_slow_and_whole() {
    let server = Server::start();
    for (rates, latency, at_least) in
        [(only(Fault::Delay), 0, 20), (only(Fault::SlowBody), 0, 8 * 20), (Rates::none(), 30, 30)]
    {
        let proxy = proxy(&server, rates);
        proxy.set_latency(Duration::from_millis(latency));
        let begun = Instant::now();
        assert_eq!(ask(&mut connect(&proxy), GET), ANSWER);
        assert!(begun.elapsed() >= Duration::from_millis(at_least), "{rates:?}");
    }
}

#[test]
fn half_open_lasts_until_the_client_gives_up() {
    for (fault, heard) in [(Fault::HalfOpenBefore, 0), (Fault::HalfOpenAfter, 1)] {
        let server = Server::start();
        let proxy = proxy(&server, only(fault));
        let mut stream = connect(&proxy);
        stream.write_all(PUT.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{fault}");
        assert_eq!(server.heard().len(), heard, "{fault}");
        // The proxy closes its side when it sees that, and counts the request as over.
        stream.shutdown(Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(MUCH_TIME)).unwrap();
        let _ = stream.read(&mut [0]);
        assert_eq!(proxy.counts().faults(fault), 1, "{fault}");
    }
}

#[test]
fn rates_change_while_it_runs_and_the_log_says_what_was_done() {
    let server = Server::start();
    let lines = Lines::default();
    let config = Config::new(&server.url).rates(only(Fault::Status503After)).log(lines.clone());
    let proxy = FaultProxy::start(config).unwrap();
    assert_eq!(ask_to_the_end(&proxy, PUT).1, Ok(()));
    proxy.set_rates(Rates::none());
    ask(&mut connect(&proxy), GET);
    drop(proxy);
    let lines = lines.0.lock().unwrap();
    assert_eq!(
        std::str::from_utf8(&lines).unwrap(),
        "{\"client\":503,\"fault\":\"503-after\",\"method\":\"PUT\",\"operation\":\"put\",\
         \"path\":\"/b/k\",\"server\":200}\n\
         {\"client\":200,\"fault\":null,\"method\":\"GET\",\"operation\":\"get\",\
         \"path\":\"/b/a b\",\"server\":200}\n"
    );
}

#[test]
fn a_server_that_is_away_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let proxy = FaultProxy::start(Config::new(url)).unwrap();
    assert_eq!(ask_to_the_end(&proxy, GET), (String::new(), Err(ErrorKind::ConnectionReset)));
    let counts = proxy.counts();
    assert_eq!((counts.asked(Operation::Get), counts.served(Operation::Get)), (1, 0));
}

#[test]
fn it_ends_with_its_handle() {
    let server = Server::start();
    let proxy = proxy(&server, Rates::none());
    let address = proxy.address();
    let mut open = connect(&proxy);
    ask(&mut open, GET);
    drop(proxy);
    assert!(TcpStream::connect(address).is_err());
    assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)));
}

/// A log that is kept in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, some: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(some)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

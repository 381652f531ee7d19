//! `kaffic serve`: the log over HTTP.

use crate::signals::Interrupt;
use crate::stop::{Stop, say};
use crate::store::Place;
use crate::units;
use kaffic_serve::{Config, Limits, Server};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "\
Any number of servers may run on one store, behind any load balancer. What clients may do is the
proxy's to say, or --token's; docs/serve.md has examples.

Examples:
  kaffic serve --listen 127.0.0.1:8080
  kaffic --store s3://bucket/logs serve --listen 0.0.0.0:8443 \\
      --tls-cert cert.pem --tls-key key.pem --token-file /run/secrets/kaffic";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "KAFFIC_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The certificates for HTTPS, in PEM, the server's own first
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// What clients have to give as Authorization: Bearer TOKEN
    #[arg(long, env = "KAFFIC_TOKEN", hide_env_values = true, conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with the token; white space at its end is not part of it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Ask for all groups' lag when the metrics are asked for, not more often than this
    #[arg(long, value_name = "DURATION", env = "KAFFIC_LAG_EVERY", value_parser = units::duration)]
    lag_every: Option<Duration>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// The bounds that a server has, where they are not the library's.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits (docs/serve.md has the defaults)")]
struct LimitArgs {
    /// Connections at once; further ones wait
    #[arg(long, value_name = "N", env = "KAFFIC_CONNECTIONS", value_parser = units::number::<usize>)]
    connections: Option<usize>,
    /// Requests that are worked on at once, streams and waiting fetches apart
    #[arg(long, value_name = "N", env = "KAFFIC_REQUESTS", value_parser = units::number::<usize>)]
    requests: Option<usize>,
    /// Streams, WebSockets and waiting fetches at once
    #[arg(long, value_name = "N", env = "KAFFIC_STREAMS", value_parser = units::number::<usize>)]
    streams: Option<usize>,
    /// The line and headers of a request
    #[arg(long, value_name = "SIZE", env = "KAFFIC_HEAD_BYTES", value_parser = units::size)]
    head_bytes: Option<u64>,
    /// The body of a request, or a line of a stream
    #[arg(long, value_name = "SIZE", env = "KAFFIC_BODY_BYTES", value_parser = units::size)]
    body_bytes: Option<u64>,
    /// All bodies that are held at once
    #[arg(long, value_name = "SIZE", env = "KAFFIC_BODIES_BYTES", value_parser = units::size)]
    bodies_bytes: Option<u64>,
    /// All long answers that are held at once
    #[arg(long, value_name = "SIZE", env = "KAFFIC_ANSWERS_BYTES", value_parser = units::size)]
    answers_bytes: Option<u64>,
    /// How long a request's head may take, its body, and the next request of a connection
    #[arg(long, value_name = "DURATION", env = "KAFFIC_READ_TIMEOUT", value_parser = units::duration)]
    read_timeout: Option<Duration>,
    /// How long a client may take nothing of its answer
    #[arg(long, value_name = "DURATION", env = "KAFFIC_WRITE_TIMEOUT", value_parser = units::duration)]
    write_timeout: Option<Duration>,
    /// How long storing a record may take
    #[arg(long, value_name = "DURATION", env = "KAFFIC_DELIVERY_TIMEOUT", value_parser = units::duration)]
    delivery_timeout: Option<Duration>,
    /// Records in a request that is no stream
    #[arg(long, value_name = "N", env = "KAFFIC_RECORDS", value_parser = units::number::<usize>)]
    records: Option<usize>,
    /// Topics and producers' names that are written to at once
    #[arg(long, value_name = "N", env = "KAFFIC_PRODUCERS", value_parser = units::number::<usize>)]
    producers: Option<usize>,
    /// Partitions that are followed
    #[arg(long, value_name = "N", env = "KAFFIC_TAILS", value_parser = units::number::<usize>)]
    tails: Option<usize>,
    /// Members of groups that are hosted
    #[arg(long, value_name = "N", env = "KAFFIC_MEMBERS", value_parser = units::number::<usize>)]
    members: Option<usize>,
    /// How long requests have to finish when the server is told to stop, and closing then
    #[arg(long, value_name = "DURATION", env = "KAFFIC_DRAIN_TIMEOUT", value_parser = units::duration)]
    drain_timeout: Option<Duration>,
}

impl LimitArgs {
    fn limits(self) -> Limits {
        let default = Limits::default();
        let bytes = |given: Option<u64>, default| given.map_or(default, |given| given as usize);
        Limits {
            connections: self.connections.unwrap_or(default.connections),
            requests: self.requests.unwrap_or(default.requests),
            streams: self.streams.unwrap_or(default.streams),
            head_bytes: bytes(self.head_bytes, default.head_bytes),
            body_bytes: bytes(self.body_bytes, default.body_bytes),
            bodies_bytes: bytes(self.bodies_bytes, default.bodies_bytes),
            answers_bytes: bytes(self.answers_bytes, default.answers_bytes),
            read_timeout: self.read_timeout.unwrap_or(default.read_timeout),
            write_timeout: self.write_timeout.unwrap_or(default.write_timeout),
            delivery_timeout: self.delivery_timeout.unwrap_or(default.delivery_timeout),
            records: self.records.unwrap_or(default.records),
            producers: self.producers.unwrap_or(default.producers),
            tails: self.tails.unwrap_or(default.tails),
            members: self.members.unwrap_or(default.members),
            drain_timeout: self.drain_timeout.unwrap_or(default.drain_timeout),
        }
    }
}

pub(crate) async fn run(store: &Place, args: Args, interrupt: Interrupt) -> Result<(), Stop> {
    let token = match args.token_file {
        None => args.token,
        Some(file) => {
            let text = std::fs::read_to_string(&file).map_err(|error| {
                Stop::failed(format!("cannot read {}: {error}", file.display()))
            })?;
            Some(text.trim_end().to_owned())
        }
    };
    if token.as_deref().is_some_and(str::is_empty) {
        return Err(Stop::usage("the token is empty"));
    }
    let config = Config {
        listen: args.listen,
        tls: args.tls_cert.zip(args.tls_key),
        token,
        limits: args.limits.limits(),
        lag_every: args.lag_every,
    };
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    if config.token.is_none() && !config.listen.ip().is_loopback() {
        say("no --token given: whoever reaches this address may do everything");
    }
    let client = store.connect().await?;
    let failed = |error: kaffic_serve::ServerError| Stop::failed(error.to_string());
    let server = Server::bind(client, config).await.map_err(failed)?;
    say(&format!("listening on {scheme}://{}, store {}", server.local_addr(), store.url()));
    server.run(async move { interrupt.wait().await }).await;
    say("stopped");
    Ok(())
}

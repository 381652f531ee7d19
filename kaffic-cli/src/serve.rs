//! `kaffic serve`: the log over HTTP.

use crate::signals::Interrupt;
use crate::stop::{Stop, say};
use crate::store::Place;
use kaffic_serve::{Config, Server};
use std::net::SocketAddr;
use std::path::PathBuf;

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
        ..Config::default()
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

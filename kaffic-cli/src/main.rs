//! The `kaffic` command: arguments, and which file does the work.
//!
//! Exit codes are part of the interface: 0 done, 1 failed, 2 the call was wrong, 130 interrupted.

mod adopt;
mod bench;
mod compact;
mod consume;
mod doctor;
mod format;
mod group;
mod input;
mod output;
mod position;
mod produce;
mod progress;
mod serve;
mod signals;
mod stop;
mod store;
mod topic;
mod trim;
mod units;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};
use signals::Interrupt;
use std::process::ExitCode;
use stop::Stop;

const AFTER_HELP: &str = "\
Examples:
  kaffic topic create orders --partitions 3
  tail -f orders.log | kaffic produce orders --key-separator :
  kaffic consume orders --from last:10 --format json
  kaffic consume orders --follow
  kaffic --store file:///mnt/log verify orders

Exit codes: 0 done, 1 failed, 2 the call was wrong, 130 interrupted.";

/// A message log with no broker: topics, partitions and offsets on any object storage.
#[derive(Debug, Parser)]
#[command(name = "kaffic", version, after_help = AFTER_HELP, subcommand_required = true)]
struct Cli {
    /// Where the log is stored: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix,
    /// file:///path, or memory:// for nothing to outlast the command. By default a directory in the
    /// user's data home
    /// ($XDG_DATA_HOME/kaffic, or ~/.local/share/kaffic)
    #[arg(long, global = true, env = "KAFFIC_STORE", value_name = "URL", display_order = 1000)]
    store: Option<String>,
    /// An option of the store, such as endpoint, region or request_timeout (docs/stores.md has them
    /// all). Can be repeated; KAFFIC_STORE_OPTIONS takes a list: KEY=VALUE,KEY=VALUE
    #[arg(long, global = true, value_name = "KEY=VALUE", display_order = 1000)]
    store_option: Vec<store::StoreOption>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, list, describe and delete topics
    #[command(subcommand)]
    Topic(topic::Command),
    /// List, describe, reset and delete consumer groups
    #[command(subcommand)]
    Group(group::Command),
    /// Append lines of standard input or of a file to a topic
    Produce(produce::Args),
    /// Print the records of a topic
    Consume(consume::Args),
    /// Read everything in a topic and say what is wrong and where
    Verify(verify::Args),
    /// Remove the oldest records of a topic, where the storage has no lifecycle rules
    Trim(trim::Args),
    /// Make a copied or restored store usable
    Adopt(adopt::Args),
    /// Join the small objects of old blocks into few large ones, and apply the topic's retention
    Compact(compact::Args),
    /// Try what kaffic needs on this store, and say what to expect of it
    Doctor(doctor::Args),
    /// Answer HTTP requests: topics, records and groups for programs that can't link the library
    Serve(serve::Args),
    /// Measure produce, catch-up and end-to-end on this store
    Bench(bench::Args),
    /// One of the writers that bench starts
    #[command(hide = true)]
    BenchWriter(bench::writer::Args),
    /// Print a shell's completion script
    #[command(
        after_help = "Example:\n  kaffic completions bash > ~/.local/share/bash-completion/completions/kaffic"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Threads that read files for `consume`, `verify` and `compact`. The C library's allocator gives each thread a store of
/// free memory that grows with the objects it reads, so hundreds of them would undo the bound on
/// what is fetched ahead; and a few keep any disk busy.
const READING_THREADS: usize = 4;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Command::Consume(_) | Command::Verify(_) | Command::Compact(_) = cli.command {
        runtime.max_blocking_threads(READING_THREADS);
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Stop::failed(format!("cannot start: {error}")).report(),
    };
    let result = runtime.block_on(run(cli));
    // A thread may still wait for standard input; nothing is lost by leaving it there.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.report(),
    }
}

async fn run(cli: Cli) -> Result<(), Stop> {
    if let Command::Completions { shell } = cli.command {
        return completions(shell);
    }
    let interrupt = Interrupt::install()?;
    let store = store::Place::new(cli.store, cli.store_option)?;
    match cli.command {
        Command::Topic(command) => interrupt.cut(topic::run(&store, command)).await,
        Command::Group(command) => interrupt.cut(group::run(&store, command)).await,
        Command::Produce(args) => produce::run(&store, args, interrupt).await,
        Command::Consume(args) => consume::run(&store, args, interrupt).await,
        Command::Verify(args) => interrupt.cut(verify::run(&store, args)).await,
        Command::Trim(args) => interrupt.cut(trim::run(&store, args)).await,
        Command::Adopt(args) => interrupt.cut(adopt::run(&store, args)).await,
        Command::Compact(args) => interrupt.cut(compact::run(&store, args)).await,
        Command::Doctor(args) => interrupt.cut(doctor::run(&store, args)).await,
        Command::Serve(args) => serve::run(&store, args, interrupt).await,
        Command::Bench(args) => bench::run(&store, args, interrupt).await,
        Command::BenchWriter(args) => interrupt.cut(bench::writer::run(&store, args)).await,
        Command::Completions { .. } => Ok(()),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Stop> {
    let mut out = output::Output::stdout();
    clap_complete::generate(shell, &mut shown(Cli::command()), "kaffic", out.buffer());
    out.flush()
}

/// The command without what is hidden in it: the scripts would offer that too.
fn shown(command: clap::Command) -> clap::Command {
    clap::Command::new("kaffic")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}

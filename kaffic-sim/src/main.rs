//! Runs seeds of the simulation and says what did not hold.

use clap::Parser;
use kaffic_core::env::Rule;
use kaffic_sim::{Config, REGRESSIONS, run, run_many, share};
use std::process::ExitCode;

/// Simulates kaffic: the real library on a faulty store in virtual time.
#[derive(Debug, Parser)]
#[command(name = "kaffic-sim")]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Run just this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
    /// Leave out a rule of the protocol.
    #[arg(long, value_parser = parse_rule)]
    without: Option<Rule>,
    /// More of what makes a rule of the protocol matter, with the rule kept.
    #[arg(long, value_parser = parse_rule, conflicts_with = "without")]
    bias: Option<Rule>,
    /// Go on after a violation.
    #[arg(long)]
    all: bool,
    /// Instead, let ten busy writers share a log without faults, and one alone, for 20 s.
    #[arg(long)]
    fairness: bool,
    /// Instead, runs of consumer groups.
    #[arg(long)]
    groups: bool,
    /// Worlds at once.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn parse_rule(name: &str) -> Result<Rule, String> {
    let known =
        kaffic_sim::RULES.iter().find(|rule| format!("{rule:?}").eq_ignore_ascii_case(name));
    known.copied().ok_or_else(|| format!("the rules are {:?}", kaffic_sim::RULES))
}

/// What ten writers that always have something to write get, and what one gets alone.
fn fairness(seed: u64) -> ExitCode {
    let (alone, all) = (share(seed, 1, 20), share(seed, 10, 20));
    println!("{alone}\n{all}");
    let (part, even) = (all.total() * 100 / alone.total().max(1), all.jain());
    println!("together {part} % of one alone");
    for violation in alone.violation.iter().chain(&all.violation) {
        println!("{violation}");
    }
    let holds = alone.violation.is_none() && all.violation.is_none();
    if holds && part >= 70 && even >= 0.9 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Consumer groups, whose members come, go and die.
fn groups(args: &Args, config: &Config) -> ExitCode {
    let seeds: Vec<u64> = match args.seed {
        Some(seed) => vec![seed],
        None => (args.start..args.start + args.seeds).collect(),
    };
    let sum = kaffic_sim::groups(&seeds, config, args.threads, !args.all);
    println!("{sum}");
    if let Some(violation) = &sum.violation {
        println!("{violation}");
    }
    println!("{} passed, {} failed", sum.runs - sum.failed, sum.failed);
    if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::disallowed_methods, reason = "it measures itself, in real time")]
fn main() -> ExitCode {
    let args = Args::parse();
    let mut config = args.without.map_or_else(Config::default, Config::without);
    config.bias = config.bias.or(args.bias);
    if args.fairness {
        return fairness(args.seed.unwrap_or(args.start));
    }
    if args.groups {
        return groups(&args, &config);
    }
    if let Some(seed) = args.seed {
        config.trace = args.trace;
        let outcome = run(seed, &config);
        for line in &outcome.trace {
            println!("{line}");
        }
        println!(
            "trace {:016x}, {} events, {} steps",
            outcome.trace_hash, outcome.events, outcome.steps
        );
        let Some(violation) = outcome.violation else { return ExitCode::SUCCESS };
        println!("{violation}");
        return ExitCode::FAILURE;
    }
    let mut seeds: Vec<u64> = if args.start == 0 { REGRESSIONS.to_vec() } else { Vec::new() };
    seeds.extend(args.start..args.start + args.seeds);
    let began = std::time::Instant::now();
    let report = run_many(&seeds, &config, args.threads, !args.all);
    let seconds = began.elapsed().as_secs_f64();
    print!("{report}");
    println!("{seconds:.1} s, {:.0} schedules/s", report.runs as f64 / seconds);
    println!("{} passed, {} failed", report.runs - report.failed, report.failed);
    if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

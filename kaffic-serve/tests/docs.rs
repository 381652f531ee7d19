//! The examples of `docs/serve.md` are run as they stand, one after the other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "tests are not simulated")]

use kaffic_serve::{Config, Server};
use std::process::{Command, Stdio};

const DOCS: &str = include_str!("../../docs/serve.md");

/// A command, and what it should print.
#[derive(Debug, Default)]
struct Example {
    command: String,
    expected: String,
}

/// The `console` blocks: `$` begins a command, `>` goes on with it, all else is output.
fn examples() -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let blocks = DOCS.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), found.last_mut()) {
            (Some(command), ..) => {
                found.push(Example { command: command.to_owned(), ..Example::default() });
            }
            (None, Some(more), Some(last)) => last.command += &format!("\n{more}"),
            (None, None, Some(last)) => last.expected += &format!("{line}\n"),
            (None, _, None) => panic!("output before a command: {line}"),
        }
    }
    found
}

/// Whether `text` is `pattern`, in which `…` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(pieces.next().unwrap()) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_print_what_they_say() {
    let client = kaffic_core::Kaffic::connect("memory://").await.unwrap();
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let server = Server::bind(client, config).await.unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.run(std::future::pending()));

    let examples = examples();
    assert!(examples.len() > 15, "{} examples", examples.len());
    // One shell for all, as for whoever tries them; a line tells where the output of each ends.
    let script: String = examples
        .iter()
        .map(|example| format!("{}\necho; echo '=== end ==='\n", example.command))
        .collect();
    let script = script.replace("127.0.0.1:8080", &address);
    let run = move || {
        let mut bash = Command::new("bash");
        bash.arg("-c").arg(script).stdin(Stdio::null()).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let outputs: Vec<&str> = text.split("\n=== end ===\n").collect();
    assert_eq!(outputs.len(), examples.len() + 1, "{text}");
    for (example, printed) in examples.iter().zip(outputs) {
        let Example { command, expected } = example;
        let (expected, printed) = (expected.trim_end(), printed.trim_end());
        assert!(fits(expected, printed), "{command}\nprinted\n{printed}\nand not\n{expected}");
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
}

#[test]
fn a_pattern_fits_what_it_should() {
    assert!(fits("a…c", "abc") && fits("ac", "ac") && fits("…", "") && fits("a…", "ab"));
    assert!(!fits("a…c", "ab") && !fits("ac", "abc") && !fits("…b…", "ac"));
}

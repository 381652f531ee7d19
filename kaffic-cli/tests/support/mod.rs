//! The real command on a store: in a temporary directory, or wherever a URL says.

#![allow(dead_code, reason = "every test binary uses a part of it")]

pub(crate) mod load;

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A store by its URL; a `file://` store goes away with the test.
pub(crate) struct Store {
    url: String,
    options: String,
    directory: Option<TempDir>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("file://{}", directory.path().display());
        Self { url, options: String::new(), directory: Some(directory) }
    }

    /// A store with one topic.
    pub(crate) fn with_topic(name: &str, partitions: u32) -> Self {
        let store = Self::new();
        store.ok(&["topic", "create", name, "--partitions", &partitions.to_string()], b"");
        store
    }

    /// The store that a URL and options name.
    pub(crate) fn at(url: &str, options: String) -> Self {
        Self { url: url.to_owned(), options, directory: None }
    }

    /// The directory of a `file://` store.
    pub(crate) fn path(&self) -> &Path {
        self.directory.as_ref().unwrap().path()
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// `kaffic ARGS` on this store.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = kaffic(args);
        command.env("KAFFIC_STORE", &self.url).env("KAFFIC_STORE_OPTIONS", &self.options);
        command
    }

    /// Runs to the end, whatever that is.
    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> Output {
        run(&mut self.command(args), input)
    }

    /// Runs, must succeed in silence, and gives what it printed.
    pub(crate) fn ok(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(args, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {:?}: {errors}", output.status);
        assert_eq!(errors, "", "{args:?}");
        output.stdout
    }

    /// Runs, must succeed, and gives the JSON that it printed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.ok(args, b"")).unwrap()
    }

    /// Runs, must succeed, and gives the lines of JSON that it printed.
    pub(crate) fn json_lines(&self, args: &[&str], input: &[u8]) -> Vec<Value> {
        json_lines(&self.ok(args, input))
    }

    /// Runs, must end with `code`, and gives its complaint.
    pub(crate) fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args, b"");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        errors
    }

    /// All files below a directory of the store, in order.
    pub(crate) fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.path().join(below)];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                found.push(path);
            }
        }
        found.sort();
        found
    }
}

/// `kaffic ARGS` with nothing of the caller's environment that matters to it.
pub(crate) fn kaffic(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaffic"));
    command.args(args).env_remove("KAFFIC_STORE").env_remove("XDG_DATA_HOME");
    command
}

/// Runs `command` to its end with `input`.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = start(command);
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A command that fails early does not read its input.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

/// Starts `command` with pipes on all sides.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal by name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(status.unwrap().success());
}

pub(crate) fn json_lines(text: &[u8]) -> Vec<Value> {
    serde_json::Deserializer::from_slice(text).into_iter().map(|value| value.unwrap()).collect()
}

/// The values of records printed as JSON, as text.
pub(crate) fn values(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["value"].as_str().unwrap()).collect()
}

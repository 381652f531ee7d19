//! Stores, help, completions, exit codes.

use crate::support::{Store, kaffic, run};

#[test]
fn the_default_store_is_announced_once() {
    let home = tempfile::tempdir().unwrap();
    let list = || run(kaffic(&["topic", "list"]).env("XDG_DATA_HOME", home.path()), b"");
    let first = list();
    assert!(first.status.success());
    let errors = String::from_utf8(first.stderr).unwrap();
    assert!(errors.contains(&format!("file://{}/kaffic", home.path().display())), "{errors}");
    assert!(home.path().join("kaffic").is_dir());
    assert_eq!(list().stderr, b"");
}

#[test]
fn without_a_data_home_the_default_store_is_in_the_home() {
    let home = tempfile::tempdir().unwrap();
    let mut create = kaffic(&["topic", "create", "t"]);
    assert!(run(create.env("HOME", home.path()), b"").status.success());
    assert!(home.path().join(".local/share/kaffic").is_dir());
}

#[test]
fn the_option_goes_before_the_environment() {
    let (store, other) = (Store::with_topic("here", 1), Store::with_topic("there", 1));
    let listed = store.ok(&["topic", "list", "--store", &other.url()], b"");
    assert!(String::from_utf8(listed).unwrap().starts_with("there"));
}

#[test]
fn bad_urls_are_usage_errors() {
    for url in ["nonsense", "ftp://host/path", "", "/tmp/log"] {
        let output = run(&mut kaffic(&["topic", "list", "--store", url]), b"");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{url}: {errors}");
        assert!(errors.starts_with("kaffic: "), "{url}: {errors}");
    }
}

#[test]
fn store_options_come_from_arguments_and_the_environment() {
    let store = Store::with_topic("t", 1);
    store.ok(&["topic", "list", "--store-option", "request_timeout=10s"], b"");
    for (listed, args, said) in [
        ("", &["--store-option", "request_timeout"][..], "KEY=VALUE"),
        ("", &["--store-option", "request_timout=1s"], "request_timeout meant?"),
        ("", &["--store", "s3://b", "--store-option", "path_style=2"], "path_style=2"),
        ("request_timeout=soon", &[], "request_timeout=soon"),
        ("request_timeout=1s,hush", &[], "KAFFIC_STORE_OPTIONS"),
        ("request_timeout=1s", &["--store-option", "request_timeout=never"], "=never"),
    ] {
        let mut command = store.command(&["topic", "list"]);
        let output = run(command.args(args).env("KAFFIC_STORE_OPTIONS", listed), b"");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{listed} {args:?}: {errors}");
        assert!(errors.contains(said) && !errors.contains("hush"), "{errors}");
    }
}

#[test]
fn bad_arguments_are_usage_errors() {
    let store = Store::new();
    for args in [
        &["produce"][..],
        &["produce", "t", "--compression", "rar"],
        &["produce", "t", "--header", "x"],
        &["produce", "t", "--key-separator", ""],
        &["consume", "t", "--from", "middle"],
        &["consume", "t", "--from", "time:noon"],
        &["consume", "t", "--follow", "--until", "latest"],
        &["topic", "create", "t", "--min-expiry", "soon"],
        &["produce", "t", "--partition", "-1"],
        &["produce", "t", "--linger", "3m"],
        &["produce", "t", "--create-partitions", "0"],
        &["consume", "t", "--from", "offset:-1"],
        &["consume", "t", "--max", "-1"],
        &["bench", "--rate", "fast"],
        &["bench", "--records", "0"],
        &["bench", "--duration", "0s"],
        &["bench", "--record-size", "17MiB"],
        &["frobnicate"],
    ] {
        store.fails(args, 2);
    }
}

#[test]
fn help_and_version() {
    let version = String::from_utf8(Store::new().ok(&["--version"], b"")).unwrap();
    assert_eq!(version, format!("kaffic {}\n", env!("CARGO_PKG_VERSION")));
    for command in [
        &["produce"][..],
        &["consume"],
        &["verify"],
        &["compact"],
        &["doctor"],
        &["bench"],
        &["completions"],
        &["topic", "create"],
        &["topic", "list"],
        &["topic", "describe"],
        &["topic", "delete"],
    ] {
        let args = [command, &["--help"]].concat();
        let help = String::from_utf8(Store::new().ok(&args, b"")).unwrap();
        assert!(help.contains("Example"), "{help}");
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(Store::new().ok(&["completions", shell], b"")).unwrap();
        assert!(script.contains("create-partitions"), "{shell}");
        assert!(!script.contains("bench-writer"), "{shell}: it is hidden");
    }
}

/// Puts the cursor after the last of `words` and gives what bash would offer.
fn offered(script: &std::path::Path, words: &[&str]) -> Option<Vec<String>> {
    let program = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _kaffic kaffic "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", program, "bash"]).arg(script).args(words);
    let output = bash.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes() {
    let store = Store::new();
    let script = store.path().join("script");
    std::fs::write(&script, store.ok(&["completions", "bash"], b"")).unwrap();
    for (words, expected) in [
        (&["kaffic", "top"][..], &["topic"][..]),
        (&["kaffic", "topic", "de"], &["describe", "delete"]),
        (&["kaffic", "produce", "t", "--key"], &["--key-separator"]),
        (&["kaffic", "produce", "t", "-z", ""], &["none", "gzip", "snappy", "lz4", "zstd"]),
        (&["kaffic", "--store", "file:///x", "cons"], &["consume"]),
        (&["kaffic", "consume", "t", "--format", "j"], &["json"]),
    ] {
        // Where there is no bash nobody misses it.
        let Some(found) = offered(&script, words) else { return };
        assert_eq!(found, expected, "{words:?}");
    }
}

#[test]
fn doctor_examines_the_store() {
    let store = Store::new();
    let text = String::from_utf8(store.ok(&["doctor"], b"")).unwrap();
    assert!(text.contains("ok     races") && text.contains("kaffic can be used on"), "{text}");
    let json = store.ok(&["doctor", "--json", "--load", "10MiB/s"], b"");
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["usable"], true);
    assert!(json["requests_usd_a_month"].as_f64().unwrap() > 0.0);
}

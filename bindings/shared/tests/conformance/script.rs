//! Scenarios as text: steps, their words, and what has to come of them.

use std::path::Path;

pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// One line.
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) verb: String,
    /// Words without a `=`.
    pub(crate) args: Vec<Vec<u8>>,
    /// Words with one.
    pub(crate) given: Vec<(String, Vec<u8>)>,
    /// What is behind the `->`: words with a `=`, and others with nothing as their value.
    pub(crate) expected: Vec<(String, Option<Vec<u8>>)>,
}

pub(crate) fn all() -> Vec<Scenario> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| Scenario {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            steps: std::fs::read_to_string(&path)
                .unwrap()
                .lines()
                .enumerate()
                .filter_map(step)
                .collect(),
        })
        .collect()
}

fn step((line, text): (usize, &str)) -> Option<Step> {
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let mut words = text.split(' ');
    let verb = words.next().unwrap().to_owned();
    let (mut args, mut given, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for word in words.by_ref().take_while(|word| *word != "->") {
        match word.split_once('=') {
            Some((name, value)) => given.push((name.to_owned(), bytes(value))),
            None => args.push(bytes(word)),
        }
    }
    for word in words {
        let (name, value) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(bytes(v))));
        expected.push((name.to_owned(), value));
    }
    Some(Step { line: line + 1, text: text.to_owned(), verb, args, given, expected })
}

/// A value's bytes: `%XX` is a byte, and `repeat:x:N` is x, N times.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    if let Some((what, times)) = text.strip_prefix("repeat:").and_then(|rest| rest.rsplit_once(':'))
    {
        return bytes(what).repeat(times.parse().unwrap());
    }
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(&tail[..2]).unwrap();
            out.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `NAME:VALUE` of a header; no colon is a null value. The name ends at the first colon, so its
/// percent signs are read apart.
pub(crate) fn header(bytes: &[u8]) -> (String, Option<Vec<u8>>) {
    match bytes.iter().position(|byte| *byte == b':') {
        Some(at) => (text(&bytes[..at]), Some(bytes[at + 1..].to_vec())),
        None => (text(bytes), None),
    }
}

impl Step {
    pub(crate) fn arg(&self, at: usize) -> String {
        self.args.get(at).map(|arg| text(arg)).unwrap_or_default()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        self.given.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.value(name).map(|value| text(value).parse().unwrap())
    }

    pub(crate) fn expects(&self, name: &str) -> Option<String> {
        let found = self.expected.iter().find(|(expected, _)| expected == name)?;
        Some(text(found.1.as_deref().unwrap_or_default()))
    }
}

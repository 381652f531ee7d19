//! Options of a store as key/value strings: collected here, checked against the table.

use super::property::{Form, Kind, PASSED_ON, PASSED_ON_BY_ALL, PROPERTIES, Property, REFUSED};
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Options of a store, such as its endpoint and credentials: names and values, both text. Of two
/// values for one name the later counts. `docs/stores.md` has the table of names.
///
/// Values are checked when a client connects, and are in no `Debug` output: some are secret.
///
/// ```
/// use kaffic_core::StoreOptions;
/// let options: StoreOptions = "endpoint=http://127.0.0.1:9000,region=eu-west-1".parse().unwrap();
/// let options = options.set("secret_access_key", "don't tell");
/// assert!(!format!("{options:?}").contains("tell"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions(Vec<(String, String)>);

impl StoreOptions {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an option, in place of an earlier one of the same name.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.0.retain(|(other, _)| *other != key);
        self.0.push((key, value.into()));
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// A switch that was checked before.
    #[cfg(feature = "cloud")]
    pub(super) fn switch(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(parse_switch)
    }

    /// The longest that one request may take, if it was said.
    pub(super) fn request_timeout(&self) -> Result<Option<Duration>> {
        self.get("request_timeout").map(|value| time("request_timeout", value)).transpose()
    }

    /// Refuses what does not apply to `kind` or is not written as it should be. `passed_on` tells
    /// whether the client library knows a key that is not in the table.
    pub(super) fn check(&self, kind: Kind, passed_on: impl Fn(&str) -> bool) -> Result<()> {
        for (key, value) in self.iter() {
            if let Some((_, advice)) = REFUSED.iter().find(|(name, _)| *name == plain(key)) {
                return Err(Error::invalid(format!("store option {key}: {advice}")));
            }
            let property = PROPERTIES.iter().find(|property| property.name == key);
            if value.is_empty() {
                return Err(no_value(key, property));
            }
            match property {
                Some(property) if property.applies_to(kind) => check_value(property, value)?,
                Some(property) => return Err(elsewhere(property, kind)),
                None if passed_on(key) => {}
                None => return Err(unknown(key, kind)),
            }
        }
        Ok(())
    }
}

impl FromStr for StoreOptions {
    type Err = Error;

    /// Reads `key=value,key=value`. A value can't have a comma in it here.
    fn from_str(text: &str) -> Result<Self> {
        let mut options = Self::new();
        for (at, part) in text.split(',').enumerate().filter(|(_, part)| !part.trim().is_empty()) {
            // The part itself may be the end of a secret, so it is not shown.
            let (key, value) = part.split_once('=').ok_or_else(|| {
                Error::invalid(format!(
                    "store option {} of the list is not key=value (a value can't have a comma)",
                    at + 1
                ))
            })?;
            options = options.set(key.trim(), value.trim());
        }
        Ok(options)
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(key, _)| key)).finish()
    }
}

/// A key without the cloud's name, which the client library takes as well.
fn plain(key: &str) -> &str {
    ["aws_", "google_", "azure_"].iter().find_map(|cloud| key.strip_prefix(cloud)).unwrap_or(key)
}

fn parse_switch(value: &str) -> Option<bool> {
    match value {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn time(name: &str, value: &str) -> Result<Duration> {
    let time = humantime::parse_duration(value).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| {
        Error::invalid(format!("store option {name}={value}: not a time like 500ms, 30s or 2m"))
    })
}

fn check_value(property: &Property, value: &str) -> Result<()> {
    let name = property.name;
    match property.form {
        Form::Text | Form::Secret | Form::File => Ok(()),
        Form::Time => time(name, value).map(drop),
        Form::Switch if parse_switch(value).is_some() => Ok(()),
        Form::Switch => {
            Err(Error::invalid(format!("store option {name}={value}: it is true or false")))
        }
        Form::Url => {
            let url = url::Url::parse(value).ok();
            if url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                return Ok(());
            }
            // Before an @ there may be a password.
            let shown = value.rsplit('@').next().unwrap_or_default();
            Err(Error::invalid(format!(
                "store option {name}={shown}: it is a URL like http://127.0.0.1:9000"
            )))
        }
    }
}

fn no_value(key: &str, property: Option<&Property>) -> Error {
    let meaning = property
        .map(|property| format!(": {} (by default: {})", property.meaning, property.default));
    Error::invalid(format!("store option {key} has no value{}", meaning.unwrap_or_default()))
}

fn elsewhere(property: &Property, kind: Kind) -> Error {
    let names: Vec<&str> = property.keys.iter().map(|(kind, _)| kind.name()).collect();
    Error::invalid(format!(
        "store option {} applies to {} stores, and this one is {}; here there are {}",
        property.name,
        names.join(" and "),
        kind.name(),
        names_for(kind).join(", "),
    ))
}

fn unknown(key: &str, kind: Kind) -> Error {
    let passed_on = PASSED_ON.iter().filter(|(at, _)| *at == kind).flat_map(|(_, keys)| *keys);
    let by_all = PASSED_ON_BY_ALL.iter().filter(|_| kind != Kind::Local);
    let known = names_for(kind);
    let nearest = known
        .iter()
        .chain(passed_on)
        .chain(by_all)
        .map(|name| (distance(key, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4);
    let advice = match nearest {
        Some((_, name)) => format!("is {name} meant?"),
        None => format!("{} stores have {}", kind.name(), known.join(", ")),
    };
    Error::invalid(format!("store option {key:?} is not known; {advice}"))
}

fn names_for(kind: Kind) -> Vec<&'static str> {
    PROPERTIES.iter().filter(|property| property.applies_to(kind)).map(|p| p.name).collect()
}

/// How many letters have to be put in, left out or changed to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refused(kind: Kind, list: &str) -> String {
        let options: StoreOptions = list.parse().unwrap();
        let error = options.check(kind, |key| key == "user_agent").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    }

    #[test]
    fn lists_are_read() {
        let options: StoreOptions =
            " region = eu , endpoint=http://h/?a=b,region=us,".parse().unwrap();
        assert_eq!(options.get("region"), Some("us"));
        assert_eq!(options.get("endpoint"), Some("http://h/?a=b"));
        assert_eq!(options.iter().count(), 2);
        let error = "a=b,topsecret".parse::<StoreOptions>().unwrap_err().to_string();
        assert!(error.contains("option 2") && !error.contains("topsecret"), "{error}");
    }

    #[test]
    fn a_good_list_is_taken() {
        let list = "endpoint=http://127.0.0.1:1,path_style=off,request_timeout=500ms,user_agent=x";
        let options: StoreOptions = list.parse().unwrap();
        options.check(Kind::S3, |key| key == "user_agent").unwrap();
        assert_eq!(options.request_timeout().unwrap(), Some(Duration::from_millis(500)));
        assert_eq!(options.switch("path_style"), Some(false));
    }

    #[test]
    fn errors_name_the_option_the_value_and_the_choices() {
        for (kind, list, said) in [
            (Kind::S3, "path_style=maybe", &["path_style=maybe", "true or false"][..]),
            (Kind::Gcs, "request_timeout=soon", &["request_timeout=soon", "30s"]),
            (Kind::Gcs, "request_timeout=0s", &["request_timeout=0s"]),
            (Kind::S3, "endpoint=localhost:9000", &["endpoint=localhost:9000", "http://"]),
            (Kind::S3, "endpont=http://h", &["endpont", "endpoint meant?"]),
            (Kind::S3, "s3_expres=true", &["s3_express meant?"]),
            (Kind::Azure, "useragent=x", &["user_agent meant?"]),
            (Kind::Azure, "colour=red", &["colour", "Azure stores have", "account_key"]),
            (Kind::Gcs, "account_key=x", &["account_key", "Azure", "GCS", "service_account_key"]),
            (Kind::Local, "endpoint=http://h", &["endpoint", "local", "request_timeout"]),
            (Kind::S3, "region=", &["region has no value"]),
            (Kind::S3, "aws_timeout=3s", &["request_timeout"]),
            (Kind::S3, "bucket=b", &["bucket", "URL"]),
        ] {
            let message = refused(kind, list);
            for part in said {
                assert!(message.contains(part), "{list}: {message}");
            }
        }
        let message = refused(Kind::S3, "proxy_url=ftp://user:pw@proxy");
        assert!(!message.contains("pw") && message.contains("proxy"), "{message}");
    }
}

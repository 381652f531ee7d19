//! Which store a command works on: the URL and options that were given, or a directory in the
//! user's data home.

use crate::stop::{Stop, say};
use kaffic_core::{Kaffic, StoreOptions};
use std::path::{Path, PathBuf};
use url::Url;

/// The environment variable with options: `key=value,key=value`.
const OPTIONS_VARIABLE: &str = "KAFFIC_STORE_OPTIONS";

/// A store by URL and options.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    url: String,
    options: StoreOptions,
    /// As they were given on the command line, for a process that inherits the environment.
    given: Vec<StoreOption>,
}

impl Place {
    /// From the command line and the environment, of which the command line counts more.
    pub(crate) fn new(given_url: Option<String>, given: Vec<StoreOption>) -> Result<Self, Stop> {
        let listed = std::env::var(OPTIONS_VARIABLE).unwrap_or_default();
        let listed: StoreOptions =
            listed.parse().map_err(|error| Stop::usage(format!("{OPTIONS_VARIABLE}: {error}")))?;
        let options = given
            .iter()
            .fold(listed, |options, one| options.set(one.key.clone(), one.value.clone()));
        Ok(Self { url: url(given_url)?, options, given })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn connect(&self) -> Result<Kaffic, Stop> {
        let options = self.options.clone();
        Ok(Kaffic::builder().url(&self.url).options(options).connect().await?)
    }

    /// The arguments with which another process gets to the same store.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let options = self
            .given
            .iter()
            .flat_map(|one| ["--store-option".to_owned(), format!("{}={}", one.key, one.value)]);
        ["--store".to_owned(), self.url.clone()].into_iter().chain(options).collect()
    }

    /// The directory of a `file://` store; `None` for any other.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        directory(&self.url)
    }
}

/// One `--store-option`.
#[derive(Clone)]
pub(crate) struct StoreOption {
    key: String,
    value: String,
}

/// Without the value, which may be secret.
impl std::fmt::Debug for StoreOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)
    }
}

impl std::str::FromStr for StoreOption {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or("it is KEY=VALUE")?;
        Ok(Self { key: key.trim().to_owned(), value: value.to_owned() })
    }
}

/// The URL given, or that of the default directory. The directory is made at its first use, which
/// is said once on standard error, so that nobody wonders where the records went.
fn url(given: Option<String>) -> Result<String, Stop> {
    if let Some(given) = given {
        if given.is_empty() {
            return Err(Stop::usage("the store's URL is empty"));
        }
        if let Some(url) = path_as_url(&given) {
            return Err(Stop::usage(format!("the store {given} is a path; write {url}")));
        }
        return Ok(given);
    }
    let directory = default_directory(std::env::var_os("XDG_DATA_HOME"), std::env::home_dir())
        .ok_or_else(|| Stop::usage("there is no home directory; name a store with --store URL"))?;
    let url = Url::from_file_path(&directory)
        .map_err(|()| Stop::usage(format!("{} is not an absolute path", directory.display())))?;
    if !directory.exists() {
        std::fs::create_dir_all(&directory).map_err(|error| {
            Stop::failed(format!("cannot create {}: {error}", directory.display()))
        })?;
        say(&format!("no --store given; records are kept in {url}"));
    }
    Ok(url.into())
}

/// A path that was given where a URL belongs, as a URL.
fn path_as_url(given: &str) -> Option<Url> {
    if !given.starts_with(['/', '.', '~']) {
        return None;
    }
    let path = std::path::absolute(given).ok()?;
    Url::from_file_path(path).ok()
}

fn default_directory(
    data_home: Option<std::ffi::OsString>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    // A relative $XDG_DATA_HOME is to be ignored, says its specification.
    let data_home = data_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.filter(|path| path.is_absolute());
    Some(data_home.or_else(|| home.map(|home| home.join(".local/share")))?.join("kaffic"))
}

fn directory(url: &str) -> Option<PathBuf> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok().filter(|path| path != Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_in_the_data_home() {
        let home = || Some(PathBuf::from("/home/u"));
        let of = |data: Option<&str>| default_directory(data.map(Into::into), home());
        assert_eq!(of(Some("/data")), Some("/data/kaffic".into()));
        assert_eq!(of(None), Some("/home/u/.local/share/kaffic".into()));
        assert_eq!(of(Some("relative")), Some("/home/u/.local/share/kaffic".into()));
        assert_eq!(default_directory(None, None), None);
    }

    #[test]
    fn a_path_is_not_a_url() {
        let url = |given| path_as_url(given).map(String::from);
        assert_eq!(url("/tmp/a b"), Some("file:///tmp/a%20b".to_owned()));
        assert!(url("./log").unwrap().ends_with("/log"));
        assert_eq!(url("file:///tmp"), None);
        assert_eq!(url("memory://"), None);
    }

    #[test]
    fn only_file_stores_have_a_directory() {
        assert_eq!(directory("file:///tmp/a%20b"), Some("/tmp/a b".into()));
        assert_eq!(directory("memory://"), None);
        assert_eq!(directory("nonsense"), None);
    }
}

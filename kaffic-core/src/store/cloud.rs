//! S3, Google Cloud Storage and Azure: from the environment, a URL and options to a store.
//!
//! The client library does not retry. What it would do again behind our back is done here again by
//! `Store` (reads, lists, deletes) or by the log (puts, after a look at what is there), where tries
//! are counted and the caller's time is watched.

use super::options::StoreOptions;
use super::property::Kind;
use crate::error::{Error, Result};
use object_store::ObjectStore;
use std::sync::Arc;
use url::Url;

/// Opens a cloud's store. Nothing is asked of it yet.
pub(super) fn open(kind: Kind, url: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
    match kind {
        #[cfg(feature = "aws")]
        Kind::S3 => s3::open(url, options),
        #[cfg(feature = "gcp")]
        Kind::Gcs => gcs::open(url, options),
        #[cfg(feature = "azure")]
        Kind::Azure => azure::open(url, options),
        #[allow(unreachable_patterns, reason = "which are left depends on the features")]
        kind => {
            let _ = (url, options);
            let feature = match kind {
                Kind::S3 => "aws",
                Kind::Gcs => "gcp",
                Kind::Azure => "azure",
                Kind::Local => return Err(Error::internal("a local store is no cloud")),
            };
            Err(Error::invalid(format!(
                "this program was built without {}: kaffic-core's feature {feature} is off",
                kind.name()
            )))
        }
    }
}

#[cfg(feature = "cloud")]
mod build;

#[cfg(feature = "aws")]
mod s3 {
    use super::build::{self, Build};
    use super::*;
    use object_store::StaticCredentialProvider;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};

    build::implement!(AmazonS3Builder, AmazonS3ConfigKey, |builder| {
        let of = |key| builder.get_config_value(&key);
        of(AmazonS3ConfigKey::S3Endpoint).or_else(|| of(AmazonS3ConfigKey::Endpoint))
    });

    pub(super) fn open(url: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
        let mut builder = build::configure(AmazonS3Builder::from_env(), Kind::S3, url, options)?;
        if let Some(credential) = credential(options)? {
            // These are whole: no session token of the environment goes with them.
            let provider = StaticCredentialProvider::new(credential);
            builder = builder.with_credentials(Arc::new(provider));
        }
        if let Some(path_style) = options.switch("path_style") {
            builder = builder.with_virtual_hosted_style_request(!path_style);
            if let (false, Some(endpoint)) = (path_style, options.get("endpoint")) {
                let endpoint = with_bucket(endpoint, url)?;
                builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
            }
        }
        build::finish(builder.build())
    }

    fn credential(options: &StoreOptions) -> Result<Option<AwsCredential>> {
        let of = |key| options.get(key).map(str::to_owned);
        match (of("access_key_id"), of("secret_access_key"), of("session_token")) {
            (Some(key_id), Some(secret_key), token) => {
                Ok(Some(AwsCredential { key_id, secret_key, token }))
            }
            (None, None, None) => Ok(None),
            _ => Err(Error::invalid(
                "store options access_key_id and secret_access_key go together \
                 (and session_token with them)",
            )),
        }
    }

    /// The endpoint with the bucket before the host, as the client library wants it.
    fn with_bucket(endpoint: &str, url: &Url) -> Result<String> {
        let bad = || Error::invalid("path_style=false needs an endpoint with a host name");
        let bucket = match url.scheme() {
            "s3" | "s3a" => url.host_str().ok_or_else(bad)?,
            _ => {
                return Err(Error::invalid("path_style=false needs a URL like s3://bucket/prefix"));
            }
        };
        let mut endpoint = Url::parse(endpoint).map_err(|_| bad())?;
        let host = endpoint.domain().ok_or_else(bad)?;
        let host = format!("{bucket}.{host}");
        endpoint.set_host(Some(&host)).map_err(|_| bad())?;
        Ok(endpoint.as_str().trim_end_matches('/').to_owned())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_bucket_goes_before_the_host() {
            let url = Url::parse("s3://logs/x").unwrap();
            let with = |endpoint| with_bucket(endpoint, &url);
            assert_eq!(with("https://h.example:9/").unwrap(), "https://logs.h.example:9");
            assert!(with("http://127.0.0.1:9").is_err());
        }
    }
}

#[cfg(feature = "gcp")]
mod gcs {
    use super::build::{self, Build};
    use super::*;
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

    build::implement!(GoogleCloudStorageBuilder, GoogleConfigKey, |builder| {
        builder.get_config_value(&GoogleConfigKey::BaseUrl)
    });

    pub(super) fn open(url: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
        let builder = GoogleCloudStorageBuilder::from_env();
        let builder = build::configure(builder, Kind::Gcs, url, options)?;
        let builder = match options.get("service_account_key") {
            Some(json) if json.trim_start().starts_with('{') => {
                builder.with_service_account_key(json)
            }
            Some(path) => {
                let json = std::fs::read_to_string(path).map_err(|error| {
                    let what = format!("store option service_account_key={path}: {error}");
                    Error::invalid(what).with_source(error)
                })?;
                builder.with_service_account_key(json)
            }
            None => builder,
        };
        build::finish(builder.build())
    }
}

#[cfg(feature = "azure")]
mod azure {
    use super::build::{self, Build};
    use super::*;
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

    /// The account that every Azurite has.
    const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
    const EMULATOR_KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    build::implement!(MicrosoftAzureBuilder, AzureConfigKey, |builder| {
        builder.get_config_value(&AzureConfigKey::Endpoint)
    });

    pub(super) fn open(url: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
        let builder = MicrosoftAzureBuilder::from_env();
        let builder = build::configure(builder, Kind::Azure, url, options)?;
        let emulator = options.switch("use_emulator") == Some(true);
        let builder = match options.get("endpoint").filter(|_| emulator) {
            Some(endpoint) => at_emulator(builder, endpoint, options),
            None => builder,
        };
        build::finish(builder.build())
    }

    /// The client library's own notion of an emulator takes its address from the environment
    /// alone; this is the same with an address that was given.
    fn at_emulator(
        builder: MicrosoftAzureBuilder,
        endpoint: &str,
        options: &StoreOptions,
    ) -> MicrosoftAzureBuilder {
        let account = options.get("account_name").unwrap_or(EMULATOR_ACCOUNT);
        builder
            .with_use_emulator(false)
            .with_endpoint(format!("{}/{account}", endpoint.trim_end_matches('/')))
            .with_account(account)
            .with_access_key(options.get("account_key").unwrap_or(EMULATOR_KEY))
    }
}

#[cfg(test)]
mod tests;

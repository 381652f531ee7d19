//! What the builders of the three clouds have in common.

use crate::error::{Error, Result};
use crate::store::REQUEST_TIMEOUT;
use crate::store::failure::root_cause;
use crate::store::options::StoreOptions;
use crate::store::property::{Kind, PROPERTIES};
use object_store::{Certificate, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use std::sync::Arc;
use url::Url;

/// A builder of the client library.
pub(super) trait Build: Sized {
    fn knows(key: &str) -> bool;
    fn set(self, key: &str, value: &str) -> object_store::Result<Self>;
    /// The address that was set, by the environment or an option.
    fn endpoint(&self) -> Option<String>;
    fn client_value(&self, key: ClientConfigKey) -> Option<String>;
    fn with_client(self, client: ClientOptions) -> Self;
    fn with_address(self, url: &Url) -> Self;
    fn with_retries(self, retry: RetryConfig) -> Self;
}

/// Implements [`Build`] for a builder and the type of its keys.
macro_rules! implement {
    ($builder:ty, $key:ty, |$self:ident| $endpoint:expr) => {
        impl Build for $builder {
            fn knows(key: &str) -> bool {
                key.parse::<$key>().is_ok()
            }
            fn set(self, key: &str, value: &str) -> object_store::Result<Self> {
                Ok(self.with_config(key.parse::<$key>()?, value))
            }
            fn endpoint(&self) -> Option<String> {
                let $self = self;
                $endpoint
            }
            fn client_value(&self, key: object_store::ClientConfigKey) -> Option<String> {
                self.get_config_value(&<$key>::Client(key))
            }
            fn with_client(self, client: object_store::ClientOptions) -> Self {
                self.with_client_options(client)
            }
            fn with_address(self, url: &Url) -> Self {
                self.with_url(url.as_str())
            }
            fn with_retries(self, retry: object_store::RetryConfig) -> Self {
                self.with_retry(retry)
            }
        }
    };
}
pub(super) use implement;

/// Everything of the HTTP client that an environment variable may have set.
const CLIENT_KEYS: [ClientConfigKey; 20] = [
    ClientConfigKey::AllowHttp,
    ClientConfigKey::AllowInvalidCertificates,
    ClientConfigKey::NoSystemCertificates,
    ClientConfigKey::ConnectTimeout,
    ClientConfigKey::DefaultContentType,
    ClientConfigKey::Http1Only,
    ClientConfigKey::Http2KeepAliveInterval,
    ClientConfigKey::Http2KeepAliveTimeout,
    ClientConfigKey::Http2KeepAliveWhileIdle,
    ClientConfigKey::Http2MaxFrameSize,
    ClientConfigKey::Http2Only,
    ClientConfigKey::PoolIdleTimeout,
    ClientConfigKey::PoolMaxIdlePerHost,
    ClientConfigKey::ProxyUrl,
    ClientConfigKey::ProxyCaCertificate,
    ClientConfigKey::ProxyExcludes,
    ClientConfigKey::RandomizeAddresses,
    ClientConfigKey::ReadTimeout,
    ClientConfigKey::Timeout,
    ClientConfigKey::UserAgent,
];

/// Checks the options and applies those that every cloud has, and those that are only passed on.
pub(super) fn configure<B: Build>(
    builder: B,
    kind: Kind,
    url: &Url,
    options: &StoreOptions,
) -> Result<B> {
    options.check(kind, B::knows)?;
    provide_tls();
    let refused = |key: &str, error: object_store::Error| {
        Error::invalid(format!("store option {key}: {}", root_cause(&error)))
    };
    let mut builder = builder.with_address(url);
    for (key, value) in options.iter() {
        let property = PROPERTIES.iter().find(|property| property.name == key);
        let native = match property {
            None => key,
            Some(property) => {
                property.keys.iter().find(|(at, _)| *at == kind).map_or("", |(_, native)| native)
            }
        };
        if !native.is_empty() {
            builder = builder.set(native, value).map_err(|error| refused(key, error))?;
        }
    }
    if builder.endpoint().is_some_and(|endpoint| endpoint.starts_with("http://")) {
        if options.switch("allow_http") == Some(false) {
            return Err(Error::invalid("the endpoint is http:// and allow_http=false"));
        }
        builder =
            builder.set("allow_http", "true").map_err(|error| refused("allow_http", error))?;
    }
    let timeout = options.request_timeout()?.unwrap_or(REQUEST_TIMEOUT);
    let timeout = humantime::format_duration(timeout).to_string();
    builder =
        builder.set("timeout", &timeout).map_err(|error| refused("request_timeout", error))?;
    if let Some(path) = options.get("ca_certificate") {
        builder = trust(builder, path)?;
    }
    Ok(builder.with_retries(RetryConfig { max_retries: 0, ..RetryConfig::default() }))
}

/// Trusts the certificates of a file, besides those of the system.
fn trust<B: Build>(builder: B, path: &str) -> Result<B> {
    let bad = |what: String| Error::invalid(format!("store option ca_certificate={path}: {what}"));
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|error| bad(root_cause(&error)))?;
    if certificates.is_empty() {
        return Err(bad("there is no PEM certificate in it".into()));
    }
    // Certificates can only be given with all other options of the HTTP client.
    let mut client = ClientOptions::new();
    for key in CLIENT_KEYS {
        if let Some(value) = builder.client_value(key) {
            client = client.with_config(key, value);
        }
    }
    let client = certificates.into_iter().fold(client, ClientOptions::with_root_certificate);
    Ok(builder.with_client(client))
}

/// The store, or what was missing.
pub(super) fn finish<S: ObjectStore>(
    built: object_store::Result<S>,
) -> Result<Arc<dyn ObjectStore>> {
    match built {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(Error::invalid(root_cause(&error)).with_source(error)),
    }
}

/// TLS needs to know whose cryptography to use. A program that has chosen one keeps it.
fn provide_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

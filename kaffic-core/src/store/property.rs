//! The options of a store: one table, from which options are checked, applied and documented
//! (docs/stores.md has the same rows; a test compares them).

use Form::{File, Secret, Switch, Text, Time, Url};
use Kind::{Azure, Gcs, Local, S3};

/// What is behind a URL, as far as options are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    Gcs,
    Azure,
    /// `file://`, `memory://` and stores of the caller's own.
    Local,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            S3 => "S3",
            Gcs => "GCS",
            Azure => "Azure",
            Local => "local",
        }
    }
}

/// How a value is written. Values of [`Form::Secret`] are never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Secret,
    Switch,
    Time,
    Url,
    File,
}

/// One option.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// Where it applies, and the client library's key for it there. An empty key: see `cloud`.
    pub(super) keys: &'static [(Kind, &'static str)],
    pub(super) default: &'static str,
    pub(super) meaning: &'static str,
}

impl Property {
    pub(super) fn applies_to(&self, kind: Kind) -> bool {
        self.keys.iter().any(|(at, _)| *at == kind)
    }
}

const fn row(
    name: &'static str,
    form: Form,
    keys: &'static [(Kind, &'static str)],
    default: &'static str,
    meaning: &'static str,
) -> Property {
    Property { name, form, keys, default, meaning }
}

/// Every option by name.
#[rustfmt::skip]
pub(super) const PROPERTIES: &[Property] = &[
    row("endpoint", Url, &[(S3, "aws_endpoint_url_s3"), (Gcs, "base_url"), (Azure, "endpoint")],
        "the cloud's own", "where the service answers; `http://` implies `allow_http`"),
    row("region", Text, &[(S3, "region")],
        "us-east-1 (R2 by https URL: auto)", "the region of the bucket"),
    row("path_style", Switch, &[(S3, "")],
        "true", "the bucket goes into the path; false puts it before the host"),
    row("allow_http", Switch, &[(S3, "allow_http"), (Gcs, "allow_http"), (Azure, "allow_http")],
        "true for an `http://` endpoint, else false", "requests without TLS are allowed"),
    row("request_timeout", Time, &[(S3, ""), (Gcs, ""), (Azure, ""), (Local, "")],
        "30s", "the longest that one request may take"),
    row("connect_timeout", Time,
        &[(S3, "connect_timeout"), (Gcs, "connect_timeout"), (Azure, "connect_timeout")],
        "5s", "the longest that making a connection may take"),
    row("proxy_url", Url, &[(S3, "proxy_url"), (Gcs, "proxy_url"), (Azure, "proxy_url")],
        "the system's (`HTTPS_PROXY`)", "a proxy for all requests"),
    row("ca_certificate", File, &[(S3, ""), (Gcs, ""), (Azure, "")],
        "none", "a PEM file with certificates to trust besides the system's"),
    row("access_key_id", Text, &[(S3, "")],
        "environment, then web identity, container, instance", "with `secret_access_key`"),
    row("secret_access_key", Secret, &[(S3, "")], "as above", "with `access_key_id`"),
    row("session_token", Secret, &[(S3, "")],
        "none", "of temporary credentials; with the two above"),
    row("service_account_key", Secret, &[(Gcs, "")],
        "environment, then application default, instance",
        "a service account's key: JSON, or the path of the file with it"),
    row("account_name", Text, &[(Azure, "account_name")],
        "environment, or the URL's", "the storage account"),
    row("account_key", Secret, &[(Azure, "account_key")],
        "environment, then workload or managed identity", "the account's key"),
    row("sas_token", Secret, &[(Azure, "sas_token")], "none", "a shared access signature"),
    row("anonymous", Switch,
        &[(S3, "skip_signature"), (Gcs, "skip_signature"), (Azure, "skip_signature")],
        "false", "requests are not signed; also known as `skip_signature`"),
    row("use_emulator", Switch, &[(Azure, "use_emulator")],
        "false", "the service is Azurite, with its well-known account unless another is given"),
];

/// Keys of the client library that are passed on, as far as one would look for them: so that a
/// misspelt one can be answered with the right one.
#[rustfmt::skip]
pub(super) const PASSED_ON: &[(Kind, &[&str])] = &[
    (S3, &[
        "skip_signature", "s3_express", "unsigned_payload", "checksum_algorithm", "request_payer",
        "role_arn", "role_session_name", "web_identity_token_file", "endpoint_url_sts",
        "metadata_endpoint", "imdsv1_fallback", "server_side_encryption", "sse_kms_key_id",
        "sse_bucket_key_enabled", "sse_customer_key_base64",
    ]),
    (Gcs, &["skip_signature", "bearer_token", "application_credentials"]),
    (Azure, &[
        "skip_signature", "bearer_token", "client_id", "client_secret", "tenant_id",
        "authority_host", "federated_token_file", "msi_endpoint", "object_id", "msi_resource_id",
        "use_azure_cli", "use_fabric_endpoint", "credential_type", "encryption_key",
    ]),
];

/// The same for keys of the HTTP client, which every cloud has.
pub(super) const PASSED_ON_BY_ALL: &[&str] = &[
    "allow_invalid_certificates",
    "disable_system_certificates",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_ca_certificate",
    "proxy_excludes",
    "randomize_addresses",
    "read_timeout",
    "user_agent",
];

/// Keys of the client library that would be overruled or do harm, and what to do instead.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("timeout", "write request_timeout"),
    ("virtual_hosted_style_request", "write path_style, which is its opposite"),
    ("conditional_put", "kaffic rests on conditional puts, so they are always on"),
    ("bucket", "the bucket is in the URL"),
    ("bucket_name", "the bucket is in the URL"),
    ("container_name", "the container is in the URL"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_same_table() {
        let document = include_str!("../../../docs/stores.md");
        let found: Vec<&str> =
            document.lines().filter(|line| line.starts_with("| `")).map(str::trim).collect();
        let expected: Vec<String> = PROPERTIES
            .iter()
            .map(|property| {
                let kinds: Vec<&str> = property.keys.iter().map(|(kind, _)| kind.name()).collect();
                format!(
                    "| `{}` | {} | {} | {} |",
                    property.name,
                    kinds.join(", "),
                    property.meaning,
                    property.default
                )
            })
            .collect();
        assert_eq!(found, expected, "write:\n{}", expected.join("\n"));
    }

    #[test]
    fn passed_on_keys_are_in_the_document() {
        let document = include_str!("../../../docs/stores.md");
        let keys = PASSED_ON.iter().flat_map(|(_, keys)| keys.iter()).chain(PASSED_ON_BY_ALL);
        for key in keys {
            assert!(document.contains(&format!("`{key}`")), "{key}");
        }
    }
}

//! HTTPS by rustls, on ring.

use crate::server::ServerError;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What answers handshakes with these files.
pub(crate) fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, ServerError> {
    let unread = |file: &Path, error: &dyn std::fmt::Display| {
        ServerError(format!("cannot read {}: {error}", file.display()))
    };
    let certs: Vec<_> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| unread(cert, &error))?;
    if certs.is_empty() {
        return Err(unread(cert, &"there is no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(certs, private))
        .map_err(|error| {
            ServerError(format!("{} and {}: {error}", cert.display(), key.display()))
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

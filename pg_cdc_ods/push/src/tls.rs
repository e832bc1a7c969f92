//! Whom an endpoint's certificate must come from.

use std::sync::{Arc, LazyLock};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// The authorities whose certificates are believed. Chain and host name are always checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system trusts, read once for each process.
    #[default]
    System,
    /// Only these certificates, in PEM.
    Authorities(Vec<u8>),
}

/// A list of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is not PEM.
    #[error("the certificates of the authorities cannot be read; give them in PEM")]
    Pem(#[from] pem::Error),
    /// There is none.
    #[error("the list of authorities has no certificate in it; give at least one in PEM")]
    Empty,
    /// A certificate is malformed, or TLS cannot be set up.
    #[error("a certificate of an authority cannot be used")]
    Certificate(#[from] rustls::Error),
}

/// The system's authorities. Reading them takes some ten milliseconds, so all endpoints share them.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
});

impl Trust {
    /// TLS 1.2 or 1.3 with these authorities, and without a certificate of our own.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, TrustError> {
        config(self.roots()?)
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TrustError> {
        let Self::Authorities(pem) = self else { return Ok(Arc::clone(&SYSTEM)) };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate?)?;
        }
        if roots.is_empty() { Err(TrustError::Empty) } else { Ok(Arc::new(roots)) }
    }
}

/// What a connector asks for even if it never speaks TLS: a configuration that believes nobody.
pub(crate) fn without_authorities() -> Result<ClientConfig, TrustError> {
    config(RootCertStore::empty())
}

fn config(roots: impl Into<Arc<RootCertStore>>) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_authorities_needs_a_good_certificate() {
        let config = |pem: &str| Trust::Authorities(pem.as_bytes().to_vec()).client_config();
        assert!(matches!(config(""), Err(TrustError::Empty)));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(config(broken), Err(TrustError::Certificate(_))));
        let unfinished = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(config(unfinished), Err(TrustError::Pem(_))));
    }
}

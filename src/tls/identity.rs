//! Certificates of ours, and which one a server gets.

use std::{path::Path, sync::Arc};

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::CryptoProvider,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::{
    TlsError,
    certificate::Certificate,
    client::{PEM_MAX, certificates},
};
use crate::io::read_capped;

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(super) struct Identity {
    key: Arc<CertifiedKey>,
    /// Who has issued the certificates of its chain.
    issuers: Vec<Vec<u8>>,
}

impl Identity {
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let unusable = |reason: String| TlsError::Identity { certificate: certificate.into(), key: key.into(), reason };
        let chain = certificates(&read_capped(certificate, PEM_MAX)?).map_err(&unusable)?;
        if chain.is_empty() {
            return Err(unusable("the one holds no PEM certificate".to_owned()));
        }
        let pem = Zeroizing::new(read_capped(key, PEM_MAX)?);
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(format!("the other holds no private key: {error}")))?;
        let issuers = chain.iter().filter_map(|one| Certificate::parse(one).ok()).map(|one| one.issuer).collect();
        let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
        let key = CertifiedKey::from_der(chain, private, &provider).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { key: Arc::new(key), issuers })
    }
}

/// All that we may be. Where there is only one it is shown to whoever asks; of several that which the server knows the issuer of (Go, crypto/tls,
/// `getClientCertificate`).
#[derive(Debug)]
pub(super) struct Identities(pub(super) Vec<Identity>);

impl ResolvesClientCert for Identities {
    fn resolve(&self, known: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if let [only] = self.0.as_slice() {
            return Some(only.key.clone());
        }
        let fits = |one: &&Identity| {
            one.key.key.choose_scheme(schemes).is_some() && (known.is_empty() || one.issuers.iter().any(|issuer| known.contains(&issuer.as_slice())))
        };
        self.0.iter().find(fits).map(|one| one.key.clone())
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

//! What a connection needs, put together from files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::ClientBuilder;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    folder,
    identity::{Identities, Identity},
    verifier::Verifier,
};
use crate::io::{FileError, read_capped};

/// The largest PEM file that is read.
pub(super) const PEM_MAX: u64 = 4 << 20;
/// What is spoken inside (RFC 7301; the client of `reqwest` is built without HTTP/2).
const HTTP: &[u8] = b"http/1.1";

/// Why a connection cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file without authorities that can be used.
    #[error("cannot use the certificate authorities in `{}`: {reason}", path.display())]
    Authorities { path: PathBuf, reason: String },
    /// A certificate of ours, or its key.
    #[error("cannot use the certificate `{}` with the key `{}`: {reason}", certificate.display(), key.display())]
    Identity { certificate: PathBuf, key: PathBuf, reason: String },
    /// The machine itself has none.
    #[error("cannot use the certificate authorities of this machine: {0}")]
    Machine(rustls::Error),
}

/// Whom a connection trusts, and who it says we are.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    authorities: Vec<CertificateDer<'static>>,
    identities: Vec<Identity>,
}

impl Tls {
    /// Trusts the certificates of a PEM file too: authorities, and servers that present one of exactly these.
    pub(crate) fn trust(&mut self, path: &Path) -> Result<(), TlsError> {
        let unusable = |reason: String| TlsError::Authorities { path: path.into(), reason };
        let found = certificates(&read_capped(path, PEM_MAX)?).map_err(&unusable)?;
        if found.is_empty() {
            return Err(unusable("it holds no PEM certificate".to_owned()));
        }
        for certificate in &found {
            RootCertStore::empty().add(certificate.clone()).map_err(|error| unusable(error.to_string()))?;
        }
        self.authorities.extend(found);
        Ok(())
    }

    /// Says who we are by PEM files, where a server asks.
    pub(crate) fn identify(&mut self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        self.identities.push(Identity::read(certificate, key)?);
        Ok(())
    }

    /// Fills in what the first of some folders has for a host, as far as nothing else was said.
    pub(crate) fn or_of_host(&mut self, places: &[PathBuf], host: &str) -> Result<(), TlsError> {
        let Some(folder) = folder::of_host(places, host)? else { return Ok(()) };
        if self.authorities.is_empty() {
            self.authorities = folder.authorities()?;
        }
        if self.identities.is_empty() {
            self.identities = folder.identities()?;
        }
        Ok(())
    }

    /// Puts it into a client, with the machine's authorities besides.
    pub(crate) fn put(self, builder: ClientBuilder) -> Result<ClientBuilder, TlsError> {
        let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
        let verifier = Verifier::new(self.authorities, provider.clone());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(TlsError::Machine)?;
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = config.with_client_cert_resolver(Arc::new(Identities(self.identities)));
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(builder.tls_backend_preconfigured(config))
    }
}

/// The certificates of a PEM text, whatever else is in it.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

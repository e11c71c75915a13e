//! TLS of the server's own, where no proxy stands before it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::io::{FileError, read_capped};

/// The largest file with certificates or a key.
const PEM_MAX: u64 = 1 << 20;

/// What the server shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, and behind it those of authorities in between; PEM.
    pub certificate: PathBuf,
    /// The private key of the first; PEM.
    pub key: PathBuf,
}

/// The files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path}: wanted certificates as PEM: {reason}", path = path.display())]
    Certificates { path: PathBuf, reason: String },
    #[error("{path}: wanted a private key as PEM: {source}", path = path.display())]
    Key { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{certificate} and {key} do not make a server: {source}", certificate = files.certificate.display(), key = files.key.display())]
    Server { files: TlsFiles, source: rustls::Error },
}

/// What turns connections into TLS.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read_capped(&files.key, PEM_MAX)?).map_err(|source| TlsError::Key { path: files.key.clone(), source })?;
    let failed = |source| TlsError::Server { files: files.clone(), source };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().map_err(failed)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(failed)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::Certificates { path: path.to_owned(), reason };
    let bytes = read_capped(path, PEM_MAX)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if chain.is_empty() { Err(failed("there is none".to_owned())) } else { Ok(chain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_none_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (empty, broken) = (file("empty.pem", "no PEM\n"), file("broken.pem", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"));
        let said = |certificate: &Path, key: &Path| {
            let files = TlsFiles { certificate: certificate.to_owned(), key: key.to_owned() };
            acceptor(&files).err().map(|error| error.to_string()).unwrap_or_default()
        };
        for (certificate, key, wanted) in [
            (&empty, &empty, "empty.pem: wanted certificates as PEM: there is none"),
            (&broken, &empty, "broken.pem: wanted certificates as PEM"),
            (&folder.path().join("gone.pem"), &empty, "gone.pem"),
        ] {
            assert!(said(certificate, key).contains(wanted), "{}", said(certificate, key));
        }
    }
}

//! Provenance files: whether somebody of a keyring signed a packaged chart (helm, pkg/provenance/sign.go and pkg/downloader, `VerifyChart`).

use std::{
    path::{self, Path},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    goyaml,
    io::{FileError, read_capped},
    oci::Digest,
    openpgp::{Cleartext, Keyring, PgpError, Signer},
};

/// The largest provenance file that is read: Chart.yaml is in it, and has five megabytes at most in a chart.
pub(super) const PROVENANCE_MAX: u64 = 6 << 20;
/// The largest keyring.
const KEYRING_MAX: u64 = 32 << 20;

/// Why a chart does not count as signed, in Helm's words.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// A folder.
    #[error("unpacked charts cannot be verified")]
    Unpacked,
    /// A file that is no package.
    #[error("chart must be a tgz file")]
    NotPackaged,
    /// No such file beside the package.
    #[error("could not load provenance file {path}: {}", in_gos_words("stat", .source))]
    NoFile {
        /// Where it would be.
        path: String,
        /// Why it is not there.
        #[source]
        source: FileError,
    },
    /// The server has none. Helm leaves out why.
    #[error("failed to fetch provenance {url:?}")]
    NotFetched {
        /// Where it would be.
        url: String,
        /// Why it cannot be had.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A keyring that is not there.
    #[error("failed to load keyring: {}", in_gos_words("open", .0))]
    NoKeyring(#[source] FileError),
    /// A keyring that is none.
    #[error("failed to load keyring: {0}")]
    Keyring(#[source] PgpError),
    /// A provenance file without a signature, or cut.
    #[error("failed to decode signature: signature block not found")]
    NoSignature,
    /// A signature that is not good, or by nobody of the ring.
    #[error(transparent)]
    Signature(PgpError),
    /// What is signed is no provenance.
    #[error("message block must have at least two parts")]
    Parts,
    /// What is signed cannot be read.
    #[error("{0}")]
    Text(String),
    /// Another chart was signed.
    #[error("provenance does not contain a SHA for a file named {0:?}")]
    OtherFile(String),
    /// The chart has changed.
    #[error("sha256 sum does not match for {name}: {wanted:?} != {found:?}")]
    Sum {
        /// Name of the package.
        name: String,
        /// What was signed.
        wanted: String,
        /// What it has.
        found: String,
    },
}

/// Reads a package that lies on this machine, with its provenance beside it; what was verified is what is given back.
pub(super) fn read_signed(package: &Path, keyring: &Path) -> Result<(Vec<u8>, Signer), ProvenanceError> {
    // Helm shows the whole path.
    let package = path::absolute(package).unwrap_or_else(|_| package.to_owned());
    if package.is_dir() {
        return Err(ProvenanceError::Unpacked);
    }
    if !package.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tgz")) {
        return Err(ProvenanceError::NotPackaged);
    }
    let beside = format!("{}.prov", package.display());
    let text = read_capped(Path::new(&beside), PROVENANCE_MAX).map_err(|source| ProvenanceError::NoFile { path: beside, source })?;
    let ring = read_keyring(keyring)?;
    let bytes = read_capped(&package, super::chart::ARCHIVE_MAX).map_err(|error| ProvenanceError::Text(in_gos_words("open", &error)))?;
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let signer = check(Some(&name), &Digest::of(&bytes), &text, &ring)?;
    Ok((bytes, signer))
}

/// A package that was downloaded. Without a name, as a digest says none, any file with these bytes may have been signed.
pub(super) fn verify(name: Option<&str>, package: &Digest, text: &[u8], keyring: &Path) -> Result<Signer, ProvenanceError> {
    check(name, package, text, &read_keyring(keyring)?)
}

fn read_keyring(path: &Path) -> Result<Keyring, ProvenanceError> {
    let bytes = read_capped(path, KEYRING_MAX).map_err(ProvenanceError::NoKeyring)?;
    Keyring::read(&bytes).map_err(ProvenanceError::Keyring)
}

fn check(name: Option<&str>, package: &Digest, text: &[u8], ring: &Keyring) -> Result<Signer, ProvenanceError> {
    let message = std::str::from_utf8(text).ok().and_then(Cleartext::find).ok_or(ProvenanceError::NoSignature)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    let signer = ring.signer(&message, now).map_err(ProvenanceError::Signature)?;
    let sums = sums(&message.text)?;
    let found = package.as_str();
    let listed = match name {
        Some(name) => sums.get(name).map(|sum| (name, sum)),
        None => sums.iter().find(|(_, sum)| sum.as_str() == Some(found)).map(|(name, sum)| (name.as_str(), sum)),
    };
    let (name, wanted) = listed.ok_or_else(|| ProvenanceError::OtherFile(name.unwrap_or(found).to_owned()))?;
    let wanted = wanted.as_str().unwrap_or_default();
    if wanted == found {
        return Ok(signer);
    }
    Err(ProvenanceError::Sum { name: name.to_owned(), wanted: wanted.to_owned(), found: found.to_owned() })
}

/// `parseMessageBlock`: Chart.yaml, and below it the sums of files.
fn sums(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, ProvenanceError> {
    let mut parts = text.split("\n...\n");
    let (Some(chart), Some(sums)) = (parts.next(), parts.next()) else { return Err(ProvenanceError::Parts) };
    let read = |text: &str| goyaml::parse(text).map_err(|error| ProvenanceError::Text(error.to_string()));
    read(chart)?;
    match read(sums)?.get_mut("files").map(serde_json::Value::take) {
        Some(serde_json::Value::Object(files)) => Ok(files),
        _ => Ok(serde_json::Map::new()),
    }
}

/// `open /a/b: no such file or directory`.
fn in_gos_words(action: &str, error: &FileError) -> String {
    match error {
        FileError::Io { path, source, .. } => {
            let text = source.to_string();
            let reason = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
            format!("{action} {}: {reason}", path.display())
        }
        error => error.to_string(),
    }
}

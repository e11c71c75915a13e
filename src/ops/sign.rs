//! `sign`: signs an archive, or signs it anew, in place. Its payload is not touched.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::verify::{BadKey, archive_failure, file_failure};
use crate::{
    archive::{self, Standing, Trust},
    failure::{Failure, Kind},
    io,
    progress::Reporter,
    redact::Secret,
    signing::{KEY_MAX, KeyError, PrivateKey},
};

/// What to sign.
#[derive(Debug, Clone)]
pub struct SignOptions {
    /// The archive.
    pub archive: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
    /// Opens the key, where it is encrypted.
    pub password: Option<Secret<String>>,
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignOutcome {
    /// The archive.
    pub archive: PathBuf,
    /// SHA-256 of the public key.
    pub fingerprint: String,
    /// Whether it carried a signature before.
    pub replaced: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("`{}` is in volumes, and only an archive that is one file can be signed anew", .0.display())]
struct InVolumes(PathBuf);

/// Reads a private key.
pub fn private_key(path: &Path, password: Option<&Secret<String>>) -> Result<PrivateKey, Failure> {
    let pem = io::read_capped_text(path, KEY_MAX).map_err(file_failure)?;
    let pem = zeroize::Zeroizing::new(pem);
    PrivateKey::from_pem(&pem, password).map_err(|source| {
        let no_password = matches!(source, KeyError::NoPassword);
        let failure = Failure::new(Kind::Usage, BadKey { path: path.into(), source });
        if no_password { failure.hint("give the password of the key") } else { failure }
    })
}

/// Signs an archive. Every byte is checked first, so that nobody vouches for a damaged one.
pub fn run(options: &SignOptions, reporter: &dyn Reporter) -> Result<SignOutcome, Failure> {
    if archive::volumes::stands_for_volumes(&options.archive) {
        return Err(Failure::new(Kind::Usage, InVolumes(options.archive.clone())).hint("join them with `cat`, sign that, or export again with the other key"));
    }
    let key = private_key(&options.key, options.password.as_ref())?;
    let unverified = archive::open(&options.archive).map_err(archive_failure)?;
    let archive = unverified.verify(&Trust::AllowUnsigned, reporter).map_err(archive_failure)?;
    archive.sign(&key).map_err(archive_failure)?;
    Ok(SignOutcome { archive: options.archive.clone(), fingerprint: key.public().fingerprint(), replaced: *archive.standing() != Standing::Unsigned })
}

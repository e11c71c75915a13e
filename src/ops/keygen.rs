//! `keygen`: makes a pair of keys in cosign's format.

use std::path::PathBuf;

use serde::Serialize;

use super::verify::file_failure;
use crate::{
    failure::{Failure, Kind},
    io::{self, FileError},
    redact::Secret,
    signing::PrivateKey,
};

/// What to make.
#[derive(Debug, Clone)]
pub struct KeygenOptions {
    /// Path without ending: `NAME` makes `NAME.key` and `NAME.pub`.
    pub name: PathBuf,
    /// Encrypts the private key.
    pub password: Secret<String>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeygenOutcome {
    /// The private key, which only its owner may read.
    pub private: PathBuf,
    /// The public key, to give to whoever installs.
    pub public: PathBuf,
    /// SHA-256 of the public key.
    pub fingerprint: String,
}

/// Makes the keys. Files that exist are never replaced.
pub fn run(options: &KeygenOptions) -> Result<KeygenOutcome, Failure> {
    let with_ending = |ending: &str| {
        let mut name = options.name.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let (private, public) = (with_ending(".key"), with_ending(".pub"));
    if let Some(path) = [&private, &public].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        let exists = FileError::new("create", path, std::io::ErrorKind::AlreadyExists.into());
        return Err(file_failure(exists).hint("name another place for the keys; whoever trusts the old key would no longer be able to install"));
    }
    let key = PrivateKey::generate().map_err(|e| Failure::new(Kind::Other, e))?;
    let pem = key.to_encrypted_pem(&options.password).map_err(|e| Failure::new(Kind::Other, e))?;
    io::create_private(&private, pem.as_bytes()).map_err(file_failure)?;
    if let Err(error) = io::create_public(&public, key.public().to_pem().as_bytes()) {
        // Half a pair is of no use; the key is seconds old and nobody has it.
        let _ = std::fs::remove_file(&private);
        return Err(file_failure(error));
    }
    Ok(KeygenOutcome { private, public, fingerprint: key.public().fingerprint() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_a_pair_once() {
        let folder = tempfile::tempdir().unwrap();
        let options = KeygenOptions { name: folder.path().join("team"), password: "pw".into() };
        let made = run(&options).unwrap();
        assert!(made.private.ends_with("team.key") && made.public.ends_with("team.pub"));
        let before = std::fs::read(&made.private).unwrap();
        let error = run(&options).unwrap_err();
        assert_eq!(error.kind, Kind::Other);
        assert!(error.to_string().contains("team.key"), "{error}");
        assert_eq!(std::fs::read(&made.private).unwrap(), before);
    }
}

//! Whom to trust: keys that are named when a command is run, or those that were pinned by a name before.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{verify::file_failure, version};
use crate::{
    archive::Trust,
    delivery::record::Record,
    failure::{Failure, Kind},
    io::{self, FileError},
    signing::{KEY_MAX, KeySource, KeySourceError, PublicKey, TrustedKeys},
    transport::Reach,
};

/// The ending of a pinned key's file.
const ENDING: &str = "pub";
/// More keys than that are not pinned.
const KEYS_MAX: usize = 1000;
/// The longest name of a key.
const NAME_MAX: usize = 63;

/// Whom a person trusts.
#[derive(Debug, Clone, Default)]
pub struct TrustOptions {
    /// Public keys; a signature by any of them counts.
    pub keys: Vec<KeySource>,
    /// Without keys: take an archive that nobody vouches for.
    pub allow_unsigned: bool,
    /// How many different keys must have signed; 0 is one.
    pub require: usize,
    /// The folder with pinned keys, which count where no key is named.
    pub pinned: Option<PathBuf>,
    /// The oldest version of a delivery that is accepted.
    pub minimum_version: Option<String>,
    /// What is needed to reach an archive that lies elsewhere.
    pub reach: Reach,
}

impl TrustOptions {
    /// Reads the keys. Without keys, pinned ones, and permission to do without, nothing is trusted.
    pub fn load(&self) -> Result<Trust, Failure> {
        if self.keys.is_empty() && self.allow_unsigned {
            return Ok(Trust::AllowUnsigned);
        }
        let trusted = TrustedKeys::named(self.named()?);
        let required = self.require.max(1);
        match trusted.count() {
            0 => Err(no_key()),
            keys if keys < required => Err(Failure::new(Kind::Usage, TrustError::TooFewKeys { keys, required })),
            _ => Ok(Trust::Keys(Box::new(trusted.require(required)))),
        }
    }

    /// Refuses a delivery that is older than what is accepted.
    pub(super) fn check_version(&self, record: &Record) -> Result<(), Failure> {
        match &self.minimum_version {
            Some(wanted) => version::at_least(&record.name, &record.version, wanted),
            None => Ok(()),
        }
    }

    fn named(&self) -> Result<Vec<(Option<String>, PublicKey)>, Failure> {
        if !self.keys.is_empty() {
            return self.keys.iter().map(|key| Ok((None, public_key(key)?))).collect();
        }
        let Some(folder) = &self.pinned else { return Ok(Vec::new()) };
        Ok(list(folder)?.into_iter().map(|pinned| (Some(pinned.name), pinned.key)).collect())
    }
}

fn no_key() -> Failure {
    Failure::new(Kind::Untrusted, TrustError::NoKey)
        .hint("give the public key of whoever made the archive with --key FILE, or pin it once with `trust add NAME FILE`")
        .hint("--allow-unsigned takes an archive without a check of who made it")
}

/// Something about the keys that are to be trusted.
#[derive(Debug, thiserror::Error)]
enum TrustError {
    #[error("no public key was given and none is pinned, so no archive can be trusted")]
    NoKey,
    #[error("signatures by {required} different keys are wanted (--require), and only {keys} are trusted")]
    TooFewKeys { keys: usize, required: usize },
    #[error("`{0}` is no name for a key: wanted up to {NAME_MAX} of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or a digit")]
    Name(String),
    #[error("{what} `{}` can be written by everybody, so it says nothing about whom to trust", path.display())]
    Writable { what: &'static str, path: PathBuf },
    #[error("there is no pinned key `{name}`; pinned are: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    Unknown { name: String, known: Vec<String> },
    #[error("`{}` is pinned already, with another key ({fingerprint})", .name)]
    Taken { name: String, fingerprint: String },
    #[error("`{}` holds more than {KEYS_MAX} keys", .0.display())]
    TooMany(PathBuf),
    #[error("this machine has no home folder, so no keys can be pinned; set HOME or XDG_CONFIG_HOME")]
    NoFolder,
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` cannot be used as a key: {source}")]
pub(crate) struct BadKey {
    pub(crate) key: String,
    #[source]
    pub(crate) source: crate::signing::KeyError,
}

/// What an error with the place of a key means to whoever ran the command.
pub(crate) fn source_failure(error: KeySourceError) -> Failure {
    match error {
        KeySourceError::File(error) => file_failure(error),
        KeySourceError::NoVariable(_) | KeySourceError::NoCommand => Failure::new(Kind::Usage, error),
        _ => Failure::new(Kind::Other, error),
    }
}

fn public_key(source: &KeySource) -> Result<PublicKey, Failure> {
    let pem = source.read().map_err(source_failure)?;
    parse(&source.to_string(), &pem)
}

fn parse(key: &str, pem: &str) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(pem).map_err(|source| Failure::new(Kind::Usage, BadKey { key: key.to_owned(), source }))
}

/// A key that is trusted until it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinnedKey {
    /// What it is called here.
    pub name: String,
    /// SHA-256 of the key.
    pub fingerprint: String,
    /// Its file.
    pub path: PathBuf,
    #[serde(skip)]
    key: PublicKey,
}

/// All pinned keys, by name. A file that is no key, or that everybody may write, is an error: whom to trust is never guessed.
pub fn list(folder: &Path) -> Result<Vec<PinnedKey>, Failure> {
    let failed = |source| file_failure(FileError::new("read", folder, source));
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    only_owner_writes("the folder", folder)?;
    let mut found = Vec::new();
    for file in files {
        let path = file.map_err(failed)?.path();
        // Other files, such as notes, are nobody's key.
        if path.extension().is_some_and(|ending| ending == ENDING) {
            if found.len() == KEYS_MAX {
                return Err(Failure::new(Kind::Usage, TrustError::TooMany(folder.into())));
            }
            found.push(read(&path)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn read(path: &Path) -> Result<PinnedKey, Failure> {
    only_owner_writes("the key", path)?;
    let pem = io::read_capped_text(path, KEY_MAX).map_err(file_failure)?;
    let key = parse(&path.display().to_string(), &pem).map_err(|failure| failure.hint("mend the file, or remove it"))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(PinnedKey { name, fingerprint: key.fingerprint(), path: path.into(), key })
}

#[cfg(unix)]
fn only_owner_writes(what: &'static str, path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::metadata(path).map_err(|source| file_failure(FileError::new("read", path, source)))?;
    if metadata.permissions().mode() & 0o002 == 0 {
        return Ok(());
    }
    Err(Failure::new(Kind::Untrusted, TrustError::Writable { what, path: path.into() })
        .hint(format!("look whether it is still yours, then `chmod o-w {}`", path.display())))
}

#[cfg(not(unix))]
fn only_owner_writes(_: &'static str, _: &Path) -> Result<(), Failure> {
    Ok(())
}

/// Pins a key. A name that is pinned to another key is left as it is.
pub fn add(folder: Option<&Path>, name: &str, key: &KeySource) -> Result<PinnedKey, Failure> {
    let folder = folder.ok_or_else(|| Failure::new(Kind::Other, TrustError::NoFolder))?;
    check_name(name)?;
    let key = public_key(key)?;
    let path = folder.join(format!("{name}.{ENDING}"));
    let pinned = PinnedKey { name: name.to_owned(), fingerprint: key.fingerprint(), path: path.clone(), key };
    if let Some(known) = list(folder)?.into_iter().find(|known| known.name == name) {
        return if known.key == pinned.key {
            Ok(known)
        } else {
            let taken = TrustError::Taken { name: name.to_owned(), fingerprint: known.fingerprint };
            Err(Failure::new(Kind::Usage, taken).hint("remove it first with `trust remove`, or take another name"))
        };
    }
    std::fs::create_dir_all(folder).map_err(|source| file_failure(FileError::new("create", folder, source)))?;
    io::create_public(&path, pinned.key.to_pem().as_bytes()).map_err(file_failure)?;
    Ok(pinned)
}

/// Trusts a key no longer. A file that is damaged can be removed as well.
pub fn remove(folder: Option<&Path>, name: &str) -> Result<PathBuf, Failure> {
    let folder = folder.ok_or_else(|| Failure::new(Kind::Other, TrustError::NoFolder))?;
    check_name(name)?;
    let path = folder.join(format!("{name}.{ENDING}"));
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let known = list(folder)?.into_iter().map(|pinned| pinned.name).collect();
            Err(Failure::new(Kind::Usage, TrustError::Unknown { name: name.to_owned(), known }))
        }
        Err(error) => Err(file_failure(FileError::new("remove", &path, error))),
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = name.len() <= NAME_MAX && name.starts_with(fits) && name.chars().all(|c| fits(c) || matches!(c, '.' | '_' | '-'));
    if good { Ok(()) } else { Err(Failure::new(Kind::Usage, TrustError::Name(name.to_owned()))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::PrivateKey;

    fn key(folder: &Path, name: &str) -> KeySource {
        let path = folder.join(name);
        std::fs::write(&path, PrivateKey::generate().unwrap().public().to_pem()).unwrap();
        path.into()
    }

    #[test]
    fn keys_are_pinned_by_name() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("kubectl-offline/trust");
        let (one, two) = (key(home.path(), "one.pem"), key(home.path(), "two.pem"));
        let options = TrustOptions { pinned: Some(folder.clone()), ..TrustOptions::default() };
        assert_eq!(options.load().unwrap_err().kind, Kind::Untrusted);
        let team = add(Some(&folder), "team", &one).unwrap();
        assert_eq!(add(Some(&folder), "team", &one).unwrap(), team, "the same key again");
        let taken = add(Some(&folder), "team", &two).unwrap_err();
        assert!(taken.to_string().contains(&team.fingerprint), "{taken}");
        add(Some(&folder), "release-2", &two).unwrap();
        assert_eq!(list(&folder).unwrap().iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["release-2", "team"]);
        assert!(matches!(options.load().unwrap(), Trust::Keys(_)));
        assert!(matches!(TrustOptions { allow_unsigned: true, ..options }.load().unwrap(), Trust::AllowUnsigned));
        remove(Some(&folder), "team").unwrap();
        let unknown = remove(Some(&folder), "team").unwrap_err().to_string();
        assert!(unknown.contains("`team`") && unknown.contains("release-2"), "{unknown}");
        for name in ["", "../x", ".x", "a/b", "A", &"a".repeat(64)] {
            assert_eq!(add(Some(&folder), name, &one).unwrap_err().kind, Kind::Usage, "{name}");
        }
        assert!(add(None, "a", &one).is_err());
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let home = tempfile::tempdir().unwrap();
        add(Some(home.path()), "team", &key(home.path(), "one.pem")).unwrap();
        std::fs::write(home.path().join("notes.txt"), "hello").unwrap();
        assert_eq!(list(home.path()).unwrap().len(), 1);
        std::fs::write(home.path().join("broken.pub"), "hello").unwrap();
        let error = list(home.path()).unwrap_err();
        assert!(error.to_string().contains("broken.pub"), "{error}");
        remove(Some(home.path()), "broken").unwrap();
        list(home.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_everybody_may_write_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let made = add(Some(home.path()), "team", &key(home.path(), "one.pem")).unwrap();
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        set(&made.path, 0o666);
        let error = list(home.path()).unwrap_err();
        assert!(error.kind == Kind::Untrusted && error.to_string().contains("team.pub"), "{error}");
        set(&made.path, 0o644);
        set(home.path(), 0o777);
        assert!(list(home.path()).unwrap_err().to_string().contains(home.path().to_str().unwrap()));
    }

    #[test]
    fn more_signatures_than_keys_cannot_be_wanted() {
        let home = tempfile::tempdir().unwrap();
        let one = key(home.path(), "one.pem");
        let options = TrustOptions { keys: vec![one.clone(), one], require: 2, ..TrustOptions::default() };
        let error = options.load().unwrap_err();
        assert!(error.kind == Kind::Usage && error.to_string().contains("only 1"), "{error}");
    }
}

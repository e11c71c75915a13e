//! `sign`: signs an archive, or signs it anew, in place. Its payload is not touched.

use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    reach::transport_failure,
    trust::{BadKey, source_failure},
    verify::{BaseOutcome, Elsewhere, archive_failure, given},
};
use crate::{
    archive::{self, Archive, ArchiveError, BuildError, Trust, Unverified},
    failure::{Failure, Kind},
    progress::Reporter,
    redact::Secret,
    signing::{self, KeyError, KeySource, PrivateKey, Signers},
    transport::Place,
};

/// What to sign.
#[derive(Debug, Clone)]
pub struct SignOptions {
    /// The archive.
    pub archive: PathBuf,
    /// The private keys.
    pub keys: Vec<KeySource>,
    /// Opens the keys that are encrypted.
    pub password: Option<Secret<String>>,
    /// Keep the signatures by other keys.
    pub add: bool,
    /// Write the archive anew where it has no room for the signatures.
    pub make_room: bool,
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignOutcome {
    /// The archive.
    pub archive: PathBuf,
    /// SHA-256 of the public keys that signed.
    pub fingerprints: Vec<String>,
    /// How many signatures it carried before.
    pub before: usize,
    /// How many it carries now.
    pub signatures: usize,
    /// Whether it was written anew to make room.
    pub rewritten: bool,
    /// What it leaves out, and whether that was checked before it was signed; none if it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseOutcome>,
}

#[derive(Debug, thiserror::Error)]
#[error("`{}` has room for {room} signatures and is in volumes: with room for {wanted} all of them would have to be written anew", path.display())]
struct NoRoomInVolumes {
    path: PathBuf,
    wanted: usize,
    room: usize,
}

/// Keys that are to sign together, read but not opened: opening takes a while, by the purpose of their encryption.
pub struct SigningKeys {
    pems: Vec<(KeySource, Zeroizing<String>)>,
    password: Option<Secret<String>>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.pems.iter().map(|(source, _)| source)).finish()
    }
}

impl SigningKeys {
    /// Reads the keys; none where none is named.
    pub fn read(sources: &[KeySource], password: Option<&Secret<String>>) -> Result<Option<Self>, Failure> {
        let read = |source: &KeySource| Ok((source.clone(), source.read().map_err(source_failure)?));
        let pems: Vec<_> = sources.iter().map(read).collect::<Result<_, Failure>>()?;
        Ok((!pems.is_empty()).then(|| Self { pems, password: password.cloned() }))
    }

    /// Decrypts the keys, and takes each once.
    pub fn open(&self) -> Result<Option<Signers>, Failure> {
        let keys = self.pems.iter().map(|(source, pem)| private_key(source, pem, self.password.as_ref())).collect::<Result<_, _>>()?;
        Ok(Signers::new(keys))
    }
}

fn private_key(source: &KeySource, pem: &str, password: Option<&Secret<String>>) -> Result<PrivateKey, Failure> {
    PrivateKey::from_pem(pem, password).map_err(|error| {
        let no_password = matches!(error, KeyError::NoPassword);
        let failure = Failure::new(Kind::Usage, BadKey { key: source.to_string(), source: error });
        if no_password { failure.hint("give the password of the key") } else { failure }
    })
}

/// Signs an archive. Every byte is checked first, so that nobody vouches for a damaged one.
pub fn run(options: &SignOptions, reporter: &dyn Reporter) -> Result<SignOutcome, Failure> {
    run_with(options, &Elsewhere::default(), reporter)
}

/// The same of an archive that is not all in one place. What a delta leaves out is checked where its base is given.
pub fn run_with(options: &SignOptions, elsewhere: &Elsewhere, reporter: &dyn Reporter) -> Result<SignOutcome, Failure> {
    if let place @ (Place::Web(_) | Place::Registry(_)) = Place::parse(&options.archive).map_err(transport_failure)? {
        return Err(Failure::new(Kind::Usage, format!("`{place}` cannot be signed where it is")).hint("download it, sign the file, and send it again"));
    }
    let signers = SigningKeys::read(&options.keys, options.password.as_ref())?.map(|keys| keys.open()).transpose()?.flatten();
    let keys = signers.as_ref().map(Signers::keys).unwrap_or_default();
    let mut archive = open(&options.archive, elsewhere, reporter)?;
    let slots = archive.signature_slots().map_err(archive_failure)?;
    let (places, before) = (slots.len(), slots.iter().filter(|(_, bundle)| bundle.is_some()).count());
    let mut new = Vec::new();
    for key in keys {
        new.push((key.public().hint(), archive.sign(key).map_err(archive_failure)?));
    }
    let old = slots.into_iter().filter_map(|(_, bundle)| bundle).filter(|_| options.add).collect();
    let bundles = joined(old, new);
    let rewritten = bundles.len() > places && options.make_room;
    if rewritten && archive::volumes::stands_for_volumes(&options.archive, &elsewhere.volumes) {
        let error = NoRoomInVolumes { path: options.archive.clone(), wanted: bundles.len(), room: places };
        return Err(Failure::new(Kind::Usage, error).hint("join them with `cat` and sign that, or export again with all the keys"));
    }
    if rewritten {
        archive.make_room(bundles.len()).map_err(archive_failure)?;
        // What was written is what is signed, so it is read again.
        archive = open(&options.archive, elsewhere, reporter)?;
    }
    archive.put_signatures(&bundles).map_err(room_failure)?;
    let fingerprints = keys.iter().map(|key| key.public().fingerprint()).collect();
    let base = given(&archive);
    Ok(SignOutcome { archive: options.archive.clone(), fingerprints, before, signatures: bundles.len(), rewritten, base })
}

/// Who signs vouches for the content, whoever has signed it before.
fn open(path: &Path, elsewhere: &Elsewhere, reporter: &dyn Reporter) -> Result<Archive, Failure> {
    let verified = |unverified: Unverified| unverified.verify(&Trust::AllowUnsigned, reporter);
    let based = || {
        let bases = elsewhere.bases.iter().map(|base| verified(archive::open_in(base, &elsewhere.volumes)?)).collect::<Result<_, _>>()?;
        verified(archive::open_to_sign(path, &elsewhere.volumes)?)?.with_bases(bases)
    };
    based().map_err(archive_failure)
}

fn room_failure(error: ArchiveError) -> Failure {
    let no_room = matches!(error, ArchiveError::Build(BuildError::NoRoom { .. }));
    let failure = archive_failure(error);
    if no_room { failure.hint("--make-room writes the archive anew with room for them; what is signed stays the same") } else { failure }
}

/// Signatures that stay, each in its place, and new ones: in the place of that by the same key, else behind the others.
fn joined(mut bundles: Vec<String>, new: Vec<(String, String)>) -> Vec<String> {
    for (hint, bundle) in new {
        match bundles.iter_mut().find(|old| signing::hint(old).as_ref() == Some(&hint)) {
            Some(old) => *old = bundle,
            None => bundles.push(bundle),
        }
    }
    bundles
}

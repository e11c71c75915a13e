//! `verify`: is this archive whole, and by someone who is trusted?

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::reach;
pub use super::trust::TrustOptions;
use crate::{
    archive::{Archive, ArchiveError, Fault, Flaw, Standing, Trust},
    failure::{Failure, Kind},
    io::FileError,
    progress::{Event, Reporter},
    transport::{Place, TransportError},
};

/// Opens an archive and verifies all of it. This is the way in for every operation that uses one.
pub fn open(path: &Path, trust: &TrustOptions, reporter: &dyn Reporter) -> Result<Archive, Failure> {
    let whom = trust.load()?;
    if matches!(whom, Trust::AllowUnsigned) {
        let name = Place::parse(path).map_or_else(|_| path.display().to_string(), |place| place.to_string());
        reporter.event(Event::Warning(format!("`{name}` is taken unsigned (--allow-unsigned): nobody vouches for where it comes from")));
    }
    let archive = reach::open(path, &trust.reach)?.verify(&whom, reporter).map_err(archive_failure)?;
    trust.check_version(archive.record())?;
    Ok(archive)
}

pub(crate) fn file_failure(error: FileError) -> Failure {
    Failure::new(Kind::Other, error)
}

/// What an error with an archive means to whoever ran the command.
pub(crate) fn archive_failure(error: ArchiveError) -> Failure {
    match &error {
        ArchiveError::Damaged { flaw: Flaw { fault: Fault::Read(cause), .. }, .. } => {
            let elsewhere = cause.get_ref().and_then(|cause| cause.downcast_ref::<TransportError>()).is_some();
            Failure::new(if elsewhere { Kind::Source } else { Kind::Other }, error)
        }
        ArchiveError::Damaged { .. } => Failure::new(Kind::Untrusted, error).hint("carry the archive over again and compare its checksum with the original's"),
        ArchiveError::Unsigned { .. } => {
            Failure::new(Kind::Untrusted, error).hint("sign it with `sign`, or say --allow-unsigned (without --key) if you know where it comes from")
        }
        ArchiveError::Untrusted { .. } => Failure::new(Kind::Untrusted, error).hint("check that --key is the public key of whoever signed the archive"),
        ArchiveError::TooFewSignatures { .. } => {
            Failure::new(Kind::Untrusted, error).hint("have it signed by another of the keys: `sign ARCHIVE --add --key KEY`")
        }
        ArchiveError::NoSpace { .. } => Failure::new(Kind::Other, error).hint("free some space, or write the archive to another disk with -o"),
        _ => Failure::new(Kind::Other, error),
    }
}

/// What to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The archive.
    pub archive: PathBuf,
    /// Whom to trust.
    pub trust: TrustOptions,
}

/// A verified archive, in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyOutcome {
    /// The archive.
    pub archive: PathBuf,
    /// The delivery's name.
    pub name: String,
    /// The delivery's version.
    pub version: String,
    /// Who vouches for it.
    pub signature: Standing,
    /// How many apps it delivers.
    pub apps: usize,
    /// How many images it names.
    pub images: usize,
    /// Bytes of everything in it, all of which were checked.
    pub size: u64,
}

/// Verifies an archive.
pub fn run(options: &VerifyOptions, reporter: &dyn Reporter) -> Result<VerifyOutcome, Failure> {
    let archive = open(&options.archive, &options.trust, reporter)?;
    let record = archive.record();
    Ok(VerifyOutcome {
        // Without the secrets that a URL may hold.
        archive: archive.path().to_owned(),
        name: record.name.clone(),
        version: record.version.clone(),
        signature: archive.standing().clone(),
        apps: record.apps.len(),
        images: archive.images().len(),
        size: archive.size(),
    })
}

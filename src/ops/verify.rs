//! `verify`: is this archive whole, and by someone who is trusted?

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use super::trust::TrustOptions;
use super::{
    deep::{self, DeepOutcome},
    reach,
};
use crate::{
    archive::{self, Archive, ArchiveError, Contents, Fault, Flaw, Limits, Standing, Trust},
    failure::{Failure, Kind},
    io::FileError,
    progress::{Event, Reporter},
    transport::{Place, TransportError},
};

/// Opens an archive and verifies all of it. This is the way in for every operation that uses one.
pub fn open(path: &Path, trust: &TrustOptions, reporter: &dyn Reporter) -> Result<Archive, Failure> {
    let whom = trust.load()?;
    warn_unsigned(path, &whom, reporter);
    let archive = reach::open(path, &trust.reach)?.verify(&whom, reporter).map_err(archive_failure)?;
    trust.check_version(archive.record())?;
    Ok(archive)
}

fn warn_unsigned(path: &Path, trust: &Trust, reporter: &dyn Reporter) {
    if matches!(trust, Trust::AllowUnsigned) {
        let name = Place::parse(path).map_or_else(|_| path.display().to_string(), |place| place.to_string());
        reporter.event(Event::Warning(format!("`{name}` is taken unsigned (--allow-unsigned): nobody vouches for where it comes from")));
    }
}

pub(crate) fn file_failure(error: FileError) -> Failure {
    Failure::new(Kind::Other, error)
}

/// What an error with an archive means to whoever ran the command.
pub fn archive_failure(error: ArchiveError) -> Failure {
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
    /// The archive; `-` is standard input.
    pub archive: PathBuf,
    /// Whom to trust.
    pub trust: TrustOptions,
    /// Whether layers are unpacked and held against the configs' diff IDs.
    pub deep: bool,
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
    /// What unpacking has shown, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deep: Option<DeepOutcome>,
}

#[derive(Debug, thiserror::Error)]
#[error("a stream cannot be verified with --deep: its layers have passed by the time their configs are known to be whole")]
struct DeepStream;

/// Verifies an archive.
pub fn run(options: &VerifyOptions, reporter: &dyn Reporter) -> Result<VerifyOutcome, Failure> {
    if options.archive == Path::new("-") {
        if options.deep {
            return Err(Failure::new(Kind::Usage, DeepStream).hint("write it to a file, and verify that"));
        }
        let contents = stream(options, reporter)?;
        options.trust.check_version(contents.record())?;
        return Ok(outcome(&options.archive, &contents, None));
    }
    let archive = open(&options.archive, &options.trust, reporter)?;
    let deep = options.deep.then(|| deep::run(&archive, reporter)).transpose()?;
    // Its path is without the secrets that a URL may hold.
    Ok(outcome(archive.path(), &archive, deep))
}

/// Verifies what comes on standard input.
fn stream(options: &VerifyOptions, reporter: &dyn Reporter) -> Result<Contents, Failure> {
    let trust = options.trust.load()?;
    warn_unsigned(&options.archive, &trust, reporter);
    let contents = archive::verify_stream(&options.archive, &mut std::io::stdin().lock(), &Limits::default(), &trust, reporter).map_err(archive_failure)?;
    options.trust.check_version(contents.record())?;
    Ok(contents)
}

fn outcome(path: &Path, archive: &Contents, deep: Option<DeepOutcome>) -> VerifyOutcome {
    let record = archive.record();
    VerifyOutcome {
        archive: path.to_owned(),
        name: record.name.clone(),
        version: record.version.clone(),
        signature: archive.standing().clone(),
        apps: record.apps.len(),
        images: archive.images().len(),
        size: archive.size(),
        deep,
    }
}

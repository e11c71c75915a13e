//! `verify`: is this archive whole, and by someone who is trusted?

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::deep::{self, DeepOutcome};
use crate::{
    archive::{self, Archive, ArchiveError, Contents, Fault, Limits, Standing, Trust},
    failure::{Failure, Kind},
    io::{self, FileError},
    progress::{Event, Reporter},
    signing::{KEY_MAX, PublicKey, TrustedKeys},
};

/// Whom a person trusts.
#[derive(Debug, Clone, Default)]
pub struct TrustOptions {
    /// Files with public keys; a signature by any of them counts.
    pub keys: Vec<PathBuf>,
    /// Without keys: take an archive that nobody vouches for.
    pub allow_unsigned: bool,
}

impl TrustOptions {
    /// Reads the keys. Without keys and without permission to do without, nothing is trusted.
    pub fn load(&self) -> Result<Trust, Failure> {
        if self.keys.is_empty() {
            return if self.allow_unsigned { Ok(Trust::AllowUnsigned) } else { Err(no_key()) };
        }
        let keys = self.keys.iter().map(|path| public_key(path)).collect::<Result<_, _>>()?;
        Ok(Trust::Keys(Box::new(TrustedKeys::new(keys))))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no public key was given, so no archive can be trusted")]
struct NoKey;

fn no_key() -> Failure {
    Failure::new(Kind::Untrusted, NoKey)
        .hint("give the public key of whoever made the archive with --key FILE")
        .hint("--allow-unsigned takes an archive without a check of who made it")
}

/// A key file that holds no usable key.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be used as a key: {source}", path.display())]
pub(crate) struct BadKey {
    pub(crate) path: PathBuf,
    #[source]
    pub(crate) source: crate::signing::KeyError,
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let pem = io::read_capped_text(path, KEY_MAX).map_err(file_failure)?;
    PublicKey::from_pem(&pem).map_err(|source| Failure::new(Kind::Usage, BadKey { path: path.into(), source }))
}

/// Opens an archive and verifies all of it. This is the way in for every operation that uses one.
pub fn open(path: &Path, trust: &TrustOptions, reporter: &dyn Reporter) -> Result<Archive, Failure> {
    let trust = trust.load()?;
    warn_unsigned(path, &trust, reporter);
    archive::open(path).and_then(|unverified| unverified.verify(&trust, reporter)).map_err(archive_failure)
}

fn warn_unsigned(path: &Path, trust: &Trust, reporter: &dyn Reporter) {
    if matches!(trust, Trust::AllowUnsigned) {
        reporter.event(Event::Warning(format!("`{}` is taken unsigned (--allow-unsigned): nobody vouches for where it comes from", path.display())));
    }
}

pub(crate) fn file_failure(error: FileError) -> Failure {
    Failure::new(Kind::Other, error)
}

/// What an error with an archive means to whoever ran the command.
pub fn archive_failure(error: ArchiveError) -> Failure {
    match &error {
        ArchiveError::Damaged { flaw, .. } if matches!(flaw.fault, Fault::Read(_)) => Failure::new(Kind::Other, error),
        ArchiveError::Damaged { .. } => Failure::new(Kind::Untrusted, error).hint("carry the archive over again and compare its checksum with the original's"),
        ArchiveError::Unsigned { .. } => {
            Failure::new(Kind::Untrusted, error).hint("sign it with `sign`, or say --allow-unsigned (without --key) if you know where it comes from")
        }
        ArchiveError::Untrusted { .. } => Failure::new(Kind::Untrusted, error).hint("check that --key is the public key of whoever signed the archive"),
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
        return Ok(outcome(options, &stream(options, reporter)?, None));
    }
    let archive = open(&options.archive, &options.trust, reporter)?;
    let deep = options.deep.then(|| deep::run(&archive, reporter)).transpose()?;
    Ok(outcome(options, &archive, deep))
}

/// Verifies what comes on standard input.
fn stream(options: &VerifyOptions, reporter: &dyn Reporter) -> Result<Contents, Failure> {
    let trust = options.trust.load()?;
    warn_unsigned(&options.archive, &trust, reporter);
    archive::verify_stream(&options.archive, &mut std::io::stdin().lock(), &Limits::default(), &trust, reporter).map_err(archive_failure)
}

fn outcome(options: &VerifyOptions, archive: &Contents, deep: Option<DeepOutcome>) -> VerifyOutcome {
    let record = archive.record();
    VerifyOutcome {
        archive: options.archive.clone(),
        name: record.name.clone(),
        version: record.version.clone(),
        signature: archive.standing().clone(),
        apps: record.apps.len(),
        images: archive.images().len(),
        size: archive.size(),
        deep,
    }
}

//! `verify`: is this archive whole, and by someone who is trusted?

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

pub use super::trust::TrustOptions;
use super::{
    deep::{self, DeepOutcome},
    lend,
    missing::MissingLayers,
    reach,
};
use crate::{
    archive::{self, Archive, ArchiveError, Base, BuildError, Contents, Fault, Flaw, Limits, Standing, Trust, VolumeError},
    failure::{Failure, Kind},
    io::FileError,
    oci::{Digest, Reference},
    progress::{Event, Reporter},
    transport::{Place, TransportError},
};

/// Where more of an archive is than beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Further folders with volumes.
    pub volumes: Vec<PathBuf>,
    /// The archive's base, and the base of that, as far as there are any: verified as the archive is, and read from for what it leaves out.
    pub bases: Vec<PathBuf>,
    /// Registries that are asked for what no base holds, as `REGISTRY[/PREFIX]`: below it images are called as `spec.registry` calls them.
    pub blobs_from: Vec<String>,
}

/// Opens an archive and verifies all of it. This is the way in for every operation that uses one.
pub fn open(path: &Path, trust: &TrustOptions, reporter: &dyn Reporter) -> Result<Archive, Failure> {
    open_with(path, &Elsewhere::default(), trust, reporter)
}

/// The same of an archive that is not all in one place. What registries were asked for and do not have is missing in what is returned.
pub fn open_with(path: &Path, elsewhere: &Elsewhere, trust: &TrustOptions, reporter: &dyn Reporter) -> Result<Archive, Failure> {
    let whom = trust.load()?;
    warn_unsigned(path, &whom, reporter);
    let verified = |path: &Path| reach::open_in(path, &elsewhere.volumes, &trust.reach)?.verify(&whom, reporter).map_err(archive_failure);
    let archive = verified(path)?;
    trust.check_version(archive.record())?;
    // A base is older by its purpose: no lowest version is asked of it.
    let bases = elsewhere.bases.iter().map(|base| verified(base)).collect::<Result<_, _>>()?;
    if elsewhere.blobs_from.is_empty() {
        return archive.with_bases(bases).map_err(archive_failure);
    }
    lend::borrow(archive.over(bases).map_err(archive_failure)?, &elsewhere.blobs_from, &trust.reach, reporter)
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
        ArchiveError::Damaged { flaw: Flaw { fault: Fault::Read(cause), .. }, .. }
        | ArchiveError::Lent { flaw: Flaw { fault: Fault::Read(cause), .. }, .. } => Failure::new(read_kind(cause), error),
        ArchiveError::File(FileError::Io { source, .. }) => Failure::new(read_kind(source), error),
        ArchiveError::Lent { .. } => Failure::new(Kind::Untrusted, error)
            .hint("do not use that registry's image; --base ARCHIVE gives what the archive leaves out, or --blobs-from another registry"),
        ArchiveError::Damaged { .. } => Failure::new(Kind::Untrusted, error).hint("carry the archive over again and compare its checksum with the original's"),
        ArchiveError::Unsigned { .. } => {
            Failure::new(Kind::Untrusted, error).hint("sign it with `sign`, or say --allow-unsigned (without --key) if you know where it comes from")
        }
        ArchiveError::Untrusted { .. } => Failure::new(Kind::Untrusted, error).hint("check that --key is the public key of whoever signed the archive"),
        ArchiveError::Volume(VolumeError::File(_)) => Failure::new(Kind::Other, error),
        ArchiveError::Volume(VolumeError::Missing { .. } | VolumeError::NoList { .. }) => {
            Failure::new(Kind::Untrusted, error).hint("put the files of the archive into one folder, or name the other folders with --volumes DIR")
        }
        ArchiveError::Volume(VolumeError::Unfinished { .. }) => {
            Failure::new(Kind::Untrusted, error).hint("run the same `sign` again: it goes on where it stopped")
        }
        ArchiveError::Volume(VolumeError::UnfinishedText { .. }) => {
            Failure::new(Kind::Untrusted, error).hint("if it was left there by mistake, remove it; `verify` tells whether the archive is sound")
        }
        ArchiveError::Volume(_) => Failure::new(Kind::Untrusted, error).hint("carry this file over again"),
        ArchiveError::Build(BuildError::TooManyVolumes { .. }) => Failure::new(Kind::Usage, error),
        ArchiveError::InTheWay { .. } => Failure::new(Kind::Usage, error).hint("remove it, or give the archive another name with -o"),
        ArchiveError::NoBase { .. } => Failure::new(Kind::Usage, error).hint("leave --base out"),
        ArchiveError::WrongBase { .. } => Failure::new(Kind::Untrusted, error).hint("give the archive that it was made over with --base"),
        ArchiveError::NotInBase { .. } => Failure::new(Kind::Untrusted, error)
            .hint("if the base leaves out layers itself, give the archive that it was made over as well, with another --base"),
        ArchiveError::TooFewSignatures { .. } => {
            Failure::new(Kind::Untrusted, error).hint("have it signed by another of the keys: `sign ARCHIVE --add --key KEY`")
        }
        ArchiveError::NoSpace { .. } => Failure::new(Kind::Other, error).hint("free some space, or write the archive to another disk with -o"),
        _ => Failure::new(Kind::Other, error),
    }
}

/// Whether a server could not be read, or a file of this machine.
fn read_kind(cause: &std::io::Error) -> Kind {
    let elsewhere = cause.get_ref().and_then(|cause| cause.downcast_ref::<TransportError>()).is_some();
    if elsewhere { Kind::Source } else { Kind::Other }
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Outcome of `kubectl offline verify --format json`")]
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
    /// What it leaves out; none if it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseOutcome>,
    /// What unpacking has shown, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deep: Option<DeepOutcome>,
}

/// What an archive leaves out, and who must have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseOutcome {
    /// What it was made over.
    #[serde(flatten)]
    pub base: Base,
    /// Whether the blobs were checked, in archives that were given as its base or in registries. If not, the nodes have to have them.
    pub checked: bool,
    /// Bytes of the blobs.
    pub size: u64,
    /// The blobs, by digest.
    pub blobs: Vec<LeftOut>,
}

/// A blob that an archive leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// The images that need it.
    pub images: Vec<Reference>,
    /// Where it was checked: an archive, or a repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What an archive leaves out and who gives it; nothing if it is whole.
pub(crate) fn given(archive: &Archive) -> Option<BaseOutcome> {
    let mut outcome = left_out(archive, archive.is_complete())?;
    for blob in &mut outcome.blobs {
        blob.from = archive.giver(&blob.digest);
    }
    Some(outcome)
}

/// What an archive leaves out; nothing if it is whole.
pub(crate) fn left_out(contents: &Contents, checked: bool) -> Option<BaseOutcome> {
    let blob = |(digest, size): (&Digest, &u64)| LeftOut { digest: digest.clone(), size: *size, images: contents.images_with(digest), from: None };
    let blobs: Vec<LeftOut> = contents.left_out().iter().map(blob).collect();
    contents.base().map(|base| BaseOutcome { base: base.clone(), checked, size: blobs.iter().map(|blob| blob.size).sum(), blobs })
}

#[derive(Debug, thiserror::Error)]
#[error("a stream cannot be verified with --deep: its layers have passed by the time their configs are known to be whole")]
struct DeepStream;

#[derive(Debug, thiserror::Error)]
#[error("a stream is one archive by itself: neither volumes, a base nor a registry go with it")]
struct AloneStream;

/// Verifies an archive.
pub fn run(options: &VerifyOptions, reporter: &dyn Reporter) -> Result<VerifyOutcome, Failure> {
    run_with(options, &Elsewhere::default(), reporter)
}

/// The same of an archive that is not all in one place.
pub fn run_with(options: &VerifyOptions, elsewhere: &Elsewhere, reporter: &dyn Reporter) -> Result<VerifyOutcome, Failure> {
    if options.archive == Path::new("-") {
        if *elsewhere != Elsewhere::default() {
            return Err(Failure::new(Kind::Usage, AloneStream).hint("write it to a file, and verify that"));
        }
        if options.deep {
            return Err(Failure::new(Kind::Usage, DeepStream).hint("write it to a file, and verify that"));
        }
        let contents = stream(options, reporter)?;
        return Ok(outcome(&options.archive, &contents, None, left_out(&contents, false)));
    }
    let archive = open_with(&options.archive, elsewhere, &options.trust, reporter)?;
    // Whoever names a registry wants to know that it has all.
    if !elsewhere.blobs_from.is_empty()
        && let Some(missing) = MissingLayers::of(&archive, |_| true)
    {
        return Err(missing.into());
    }
    let deep = options.deep.then(|| deep::run(&archive, reporter)).transpose()?;
    // Its path is without the secrets that a URL may hold.
    Ok(outcome(archive.path(), &archive, deep, given(&archive)))
}

/// Verifies what comes on standard input.
fn stream(options: &VerifyOptions, reporter: &dyn Reporter) -> Result<Contents, Failure> {
    let trust = options.trust.load()?;
    warn_unsigned(&options.archive, &trust, reporter);
    let contents = archive::verify_stream(&options.archive, &mut std::io::stdin().lock(), &Limits::default(), &trust, reporter).map_err(archive_failure)?;
    options.trust.check_version(contents.record())?;
    Ok(contents)
}

fn outcome(path: &Path, archive: &Contents, deep: Option<DeepOutcome>, base: Option<BaseOutcome>) -> VerifyOutcome {
    let record = archive.record();
    VerifyOutcome {
        archive: path.to_owned(),
        name: record.name.clone(),
        version: record.version.clone(),
        signature: archive.standing().clone(),
        apps: record.apps.len(),
        images: archive.images().len(),
        size: archive.size(),
        base,
        deep,
    }
}

//! What can be wrong with an archive, always with the entry that it is wrong with.

use std::path::PathBuf;

use super::{Base, volumes::VolumeError};
use crate::{
    io::FileError,
    oci::{Digest, ManifestError, ReferenceError},
};

/// A failure with an archive as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The archive is not as it was made.
    #[error("`{}` is damaged or was not made by this program: {flaw}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// Where and what.
        #[source]
        flaw: Flaw,
    },
    /// It carries no signature.
    #[error("`{}` is not signed: {} holds no signature", path.display(), super::SIGNATURE)]
    Unsigned {
        /// The archive.
        path: PathBuf,
    },
    /// It carries signatures, and none is by a key that is trusted.
    #[error("`{}` is not trusted: {entry}: {}", path.display(), printable(source))]
    Untrusted {
        /// The archive.
        path: PathBuf,
        /// The first signature.
        entry: String,
        /// Why it does not count.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Fewer trusted keys than wanted have signed it.
    #[error("`{}` is signed by {} of the trusted keys ({}); wanted are signatures by {wanted}", path.display(), .found.len(), .found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    TooFewSignatures {
        /// The archive.
        path: PathBuf,
        /// How many keys must have signed.
        wanted: usize,
        /// The keys that have.
        found: Vec<super::SignedBy>,
    },
    /// What is to be written makes no archive.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The disk has not enough room.
    #[error("`{}` needs {wanted} bytes, and only {free} are free there", path.display())]
    NoSpace {
        /// The archive.
        path: PathBuf,
        /// Its size.
        wanted: u64,
        /// What the file system has left.
        free: u64,
    },
    /// A base was given for an archive that needs none.
    #[error("`{}` is whole and has no base, and `{}` was given as one", path.display(), given.display())]
    NoBase {
        /// The archive.
        path: PathBuf,
        /// What was given.
        given: PathBuf,
    },
    /// None of the archives that were given is the base.
    #[error("`{}` was made over {wanted}, and `{}` is {found}", path.display(), given.display())]
    WrongBase {
        /// The archive.
        path: PathBuf,
        /// Its base.
        wanted: Box<Base>,
        /// What was given.
        given: PathBuf,
        /// What that is.
        found: Box<Base>,
    },
    /// The base does not hold what was left out for it.
    #[error("blob {digest}, which `{}` needs for {}, is in none of the archives that were given as its base ({base})", path.display(), images.join(", "))]
    NotInBase {
        /// The archive.
        path: PathBuf,
        /// Which blob.
        digest: Digest,
        /// The images that need it.
        images: Vec<String>,
        /// Its base.
        base: Box<Base>,
    },
    /// A blob that was left out, and that who lends it does not give as it should be.
    #[error("`{}` leaves out a blob that cannot be used: {flaw}", path.display())]
    Lent {
        /// The archive.
        path: PathBuf,
        /// Which blob, of whom, and what is wrong with it.
        #[source]
        flaw: Flaw,
    },
    /// A volume is missing or is not what it should be.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A file that would be taken for the archive that is to be written, or for a piece of it.
    #[error("`{}` is in the way: it would be taken for a part of the volumes of `{}`", path.display(), archive.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
        /// The archive.
        archive: PathBuf,
    },
    /// An archive that lies where nothing can be written.
    #[error("an archive that is not in files of this machine can only be read")]
    ReadOnly,
    /// A blob that is to be read whole is too large for that.
    #[error("blob {digest} has {size} bytes; at most {max} are read into memory")]
    TooLargeToRead {
        /// Which blob.
        digest: Digest,
        /// Its size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// A blob that the archive does not hold.
    #[error("`{}` holds no blob {digest}", path.display())]
    NoSuchBlob {
        /// The archive.
        path: PathBuf,
        /// Which blob.
        digest: Digest,
    },
}

/// Why what was collected makes no archive.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The bytes do not have the digest or size that was said.
    #[error("{what} {wanted} was given {size} bytes with digest {found}")]
    NotTheBytes {
        /// `document` or `layer`.
        what: &'static str,
        /// The digest that was said.
        wanted: Digest,
        /// The digest of the bytes.
        found: Digest,
        /// Their number.
        size: u64,
    },
    /// The same digest with two sizes.
    #[error("blob {digest} is said to have {first} bytes and {second} bytes")]
    TwoSizes {
        /// Which blob.
        digest: Digest,
        /// Size when first added.
        first: u64,
        /// Size when added again.
        second: u64,
    },
    /// An entry of index.json with neither kind of name, or with both.
    #[error("{digest} needs the two names of an image, or our own name and an artifact type, to go into index.json")]
    Unnamed {
        /// Which.
        digest: Digest,
    },
    /// Two things with one name.
    #[error("`{name}` names both {first} and {second}")]
    SameName {
        /// The name.
        name: String,
        /// What it names first.
        first: Digest,
        /// What it names as well.
        second: Digest,
    },
    /// An image's name that is none.
    #[error("{0}")]
    Reference(#[from] ReferenceError),
    /// The content does not hold together.
    #[error("the archive cannot be laid out: {0}")]
    Content(#[from] Flaw),
    /// The layer is not one that is waited for.
    #[error("no content is wanted for blob {0}")]
    NotPending(Digest),
    /// Layers without content.
    #[error("{} blobs were never written, the first is {}", .0.len(), .0[0])]
    Unfilled(Vec<Digest>),
    /// A layer's content was not what its descriptor says.
    #[error("blob {digest}: wanted {size} bytes with this digest, received {found_size} bytes with digest {found}")]
    WrongContent {
        /// Which blob.
        digest: Digest,
        /// Size in its descriptor.
        size: u64,
        /// Digest of what came.
        found: Digest,
        /// Size of what came.
        found_size: u64,
    },
    /// A layer's content goes on after its end.
    #[error("blob {digest}: more than its {size} bytes were received")]
    TooMuch {
        /// Which blob.
        digest: Digest,
        /// Size in its descriptor.
        size: u64,
    },
    /// More volumes than there are names for.
    #[error("{size} bytes in volumes of {volume} bytes are more than {} volumes; wanted are volumes of {least} bytes or more", super::volumes::VOLUMES_MAX)]
    TooManyVolumes {
        /// Bytes of the archive.
        size: u64,
        /// Bytes of a volume.
        volume: u64,
        /// Bytes of the smallest volumes that would do.
        least: u64,
    },
    /// Signing failed.
    #[error("index.json cannot be signed: {0}")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// More signatures than there is room for.
    #[error("there are {wanted} signatures, and the archive has room for {room}")]
    NoRoom {
        /// How many there are.
        wanted: usize,
        /// For how many there is room.
        room: usize,
    },
    /// A signature that has no room.
    #[error("the signature has {size} bytes; an archive has room for {max}")]
    SignatureTooLarge {
        /// Its size.
        size: usize,
        /// The room for it.
        max: usize,
    },
}

/// A fault and the entry that has it.
#[derive(Debug, thiserror::Error)]
#[error("{entry}: {}", printable(fault))]
pub struct Flaw {
    /// Name of the entry, or the place where one should be.
    pub entry: String,
    /// What is wrong with it.
    #[source]
    pub fault: Fault,
}

impl Flaw {
    pub(crate) fn new(entry: impl Into<String>, fault: Fault) -> Self {
        Self { entry: entry.into(), fault }
    }
}

/// A text from an archive that nobody has vouched for must not steer a terminal.
fn printable(text: &impl std::fmt::Display) -> String {
    text.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What can be wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file ends too early.
    #[error("the file ends in the middle of it ({missing} bytes are missing)")]
    Truncated {
        /// How many bytes more there should be at least.
        missing: u64,
    },
    /// The file could not be read there.
    #[error("it cannot be read: {0}")]
    Read(#[source] std::io::Error),
    /// Not a regular file.
    #[error("it is {0}; only regular files belong in an archive")]
    Kind(&'static str),
    /// A name that no entry may have.
    #[error("no entry of an archive has this name")]
    Name,
    /// A name that has been there already.
    #[error("there is a second entry of this name")]
    Duplicate,
    /// Another entry belongs here.
    #[error("it is not in its place; here belongs {wanted}")]
    Order {
        /// What belongs there.
        wanted: String,
    },
    /// Too large for what it is.
    #[error("it has {size} bytes; at most {max} are accepted")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// More of them than are accepted.
    #[error("there are more than {max}")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// A header that does not say exactly what it should.
    #[error("its header is not the one that belongs to its name and size")]
    Header,
    /// Bytes between entries that are not zero.
    #[error("the bytes between its end and the next entry are not zero")]
    Padding,
    /// Bytes after the end.
    #[error("{0} bytes follow after the end of the archive")]
    Trailing(u64),
    /// Bytes that are not those of the digest.
    #[error("its bytes have the digest {found}")]
    Digest {
        /// The digest of its bytes.
        found: Digest,
    },
    /// A size that is not that of the descriptor.
    #[error("it has {found} bytes, but {by} says {wanted}")]
    Size {
        /// Who refers to it.
        by: String,
        /// What it says.
        wanted: u64,
        /// What there is.
        found: u64,
    },
    /// Referred to, and not there.
    #[error("it is missing, and {by} refers to it")]
    Missing {
        /// Who refers to it.
        by: String,
    },
    /// There, and not referred to.
    #[error("nothing in index.json leads to it")]
    Unreferenced,
    /// None of an index's manifests is there.
    #[error("none of the manifests that it lists is in the archive: {}", listed.join(", "))]
    NoChild {
        /// The entries that they would be.
        listed: Vec<String>,
    },
    /// Indexes within indexes, too deep.
    #[error("indexes are nested deeper than {0}")]
    Depth(usize),
    /// A media type that contradicts the document's own, or an earlier one.
    #[error("it is called `{said}` and `{also}`")]
    MediaType {
        /// One type.
        said: String,
        /// The other.
        also: String,
    },
    /// Not the JSON that it should be.
    #[error("it is not the JSON that belongs there: {0}")]
    Json(#[source] serde_json::Error),
    /// Not a manifest.
    #[error("{0}")]
    Manifest(#[source] ManifestError),
    /// Content that is fixed, and is different.
    #[error("its content is not what follows from the rest of the archive")]
    Derived,
    /// Content that is not what the format says.
    #[error("{0}")]
    Format(String),
}

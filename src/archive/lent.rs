//! Blobs that an archive leaves out and that are no archive's: lent by whoever has them. Each is hashed before it counts, as the archive's own are.

use std::collections::BTreeMap;

use super::{Fault, Flaw, medium::Medium, names::Name, scan::Entry};
use crate::oci::Digest;

/// A blob that is lent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LentBlob {
    /// Where in the medium it begins.
    pub offset: u64,
    /// Its size.
    pub size: u64,
    /// Who lends it, as it is told to people.
    pub place: String,
}

/// Blobs that were found, and where those that were not found have been looked for.
#[derive(Debug)]
pub struct Lent {
    /// Gives the bytes of all that were found.
    pub medium: Box<dyn Medium>,
    /// What was found.
    pub blobs: BTreeMap<Digest, LentBlob>,
    /// What was found nowhere, with the places that were asked and what they said.
    pub tried: BTreeMap<Digest, Vec<String>>,
}

impl Lent {
    /// As entries that can be hashed; each is called by its place.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |(digest, blob): (&Digest, &LentBlob)| Entry {
            label: format!("{}@{digest}", blob.place),
            name: Name::Blob(digest.clone()),
            offset: blob.offset,
            size: blob.size,
        };
        self.blobs.iter().map(entry).collect()
    }

    /// A blob that had the right bytes once and has others now.
    pub(crate) fn changed(digest: &Digest, blob: &LentBlob, found: Digest) -> Flaw {
        Flaw::new(format!("{}@{digest}", blob.place), Fault::Digest { found })
    }
}

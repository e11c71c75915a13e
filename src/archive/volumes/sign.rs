//! Signatures put into volumes, and the list brought up to date.
//!
//! A signature may lie in several volumes, and their digests are in the list, so this takes several steps. What is to be written is told before the
//! first one, in `NAME.volumes.json.signing`, and that file goes last. Where it is, nobody reads the archive, and signing again goes through all steps
//! with what it tells: no signature that was there is lost.

use std::{collections::BTreeMap, fs::File, path::Path};

use serde::{Deserialize, Serialize};

use super::{VolumeError, VolumeList, VolumeSet, digest, list::FORMAT, names};
use crate::{
    archive::medium::{self, Patch, SIGNING, Signing},
    io::{self, FileError},
    oci::Digest,
};

/// The largest such file: ten places of a megabyte, and what JSON makes of them.
const MAX: u64 = 32 << 20;

/// What `NAME.volumes.json.signing` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Unfinished {
    format: u32,
    /// Digest of the archive's index.json.
    index: Digest,
    /// What is to stand in each place for a signature.
    signatures: Vec<Option<String>>,
}

/// Why a signing that was begun cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum UnfinishedError {
    /// Not what this program writes.
    #[error("it is not the JSON that belongs there: {0}")]
    Json(#[from] serde_json::Error),
    /// Of another archive, or another program.
    #[error("it is of another archive than `{list}`, or of a newer program")]
    Other {
        /// The list that it lies beside.
        list: String,
    },
}

impl Unfinished {
    /// What was begun with the archive of a list, if anything.
    pub(super) fn read(list_path: &Path, list: &VolumeList) -> Result<Option<Self>, VolumeError> {
        let path = names::signing_beside(list_path);
        let bytes = match io::read_capped(&path, MAX) {
            Err(error) if error.is_not_found() => return Ok(None),
            read => read?,
        };
        let wrong = |source| VolumeError::UnfinishedText { path: path.clone(), source };
        let read: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))?;
        if read.format == FORMAT && read.index == list.index {
            Ok(Some(read))
        } else {
            Err(wrong(UnfinishedError::Other { list: list_path.display().to_string() }))
        }
    }

    pub(super) fn signatures(&self) -> &[Option<String>] {
        &self.signatures
    }
}

/// What a patch is in one volume.
struct Slice<'a> {
    piece: usize,
    offset: u64,
    patch: &'a Patch,
    range: std::ops::Range<usize>,
}

impl VolumeSet {
    /// Puts signatures into their places. Everything that can be refused is refused before the first byte is written.
    pub(super) fn put(&self, signing: &Signing) -> Result<(), VolumeError> {
        let mut slices: Vec<Slice<'_>> = signing.patches.iter().flat_map(|patch| self.slices(patch)).collect();
        // Most of a place is blank, before and after.
        slices.retain(|slice| self.was_begun() || slice.patch.before[slice.range.clone()] != slice.patch.after[slice.range.clone()]);
        let files = self.open_to_write(&slices)?;
        let told = names::signing_beside(&self.list_path);
        let unfinished = Unfinished { format: FORMAT, index: signing.index.clone(), signatures: signing.bundles.clone() };
        io::write_atomic(&told, &serde_json::to_vec(&unfinished).expect("types of ours serialise"))?;
        for slice in &slices {
            let written = io::write_all_at(&files[&slice.piece], &slice.patch.after[slice.range.clone()], slice.offset);
            written.map_err(|source| self.failed(slice.piece, source))?;
        }
        let mut list = self.list.clone();
        for (&piece, file) in &files {
            file.sync_all().map_err(|source| self.failed(piece, source))?;
            let volume = &mut list.volumes[piece];
            volume.digest = digest(volume.size, |buffer, offset| io::read_exact_at(file, buffer, offset)).map_err(|source| self.failed(piece, source))?;
        }
        io::write_atomic(&self.list_path, list.text().as_bytes())?;
        Ok(io::remove_if_there(&told)?)
    }

    /// The volumes that are to be changed, open, and still what they were. The first volume stands for all where somebody else signs.
    fn open_to_write(&self, slices: &[Slice<'_>]) -> Result<BTreeMap<usize, File>, VolumeError> {
        medium::alone(&self.files[0].0).map_err(|source| self.failed(0, source))?;
        let mut files = BTreeMap::new();
        for slice in slices {
            if let std::collections::btree_map::Entry::Vacant(place) = files.entry(slice.piece) {
                let opened = File::options().read(true).write(true).open(&self.files[slice.piece].1);
                place.insert(opened.map_err(|source| self.failed(slice.piece, source))?);
            }
            // Where signing never came to its end, what stands behind the header may be anything.
            let known = if self.was_begun() { 0..slice.range.end.min(crate::archive::header::BLOCK) } else { slice.range.clone() };
            if slice.range.start < known.end {
                let before = &slice.patch.before[slice.range.start..known.end];
                medium::unchanged(&files[&slice.piece], before, slice.offset).map_err(|source| self.failed(slice.piece, source))?;
            }
        }
        Ok(files)
    }

    fn slices<'a>(&self, patch: &'a Patch) -> Vec<Slice<'a>> {
        let mut slices = Vec::new();
        let mut at = 0;
        while at < patch.after.len() {
            let Some(run) = self.cut.at(patch.offset + at as u64) else { break };
            let end = usize::try_from(run.left).unwrap_or(usize::MAX).min(patch.after.len() - at) + at;
            slices.push(Slice { piece: run.piece, offset: run.offset, patch, range: at..end });
            at = end;
        }
        slices
    }

    fn failed(&self, piece: usize, source: std::io::Error) -> VolumeError {
        FileError::new(SIGNING, &self.files[piece].1, source).into()
    }
}

//! An archive in a registry: an OCI artifact whose layers, one after the other, are the archive's bytes.
//!
//! The mapping: an image manifest with `artifactType` [`ARCHIVE`], the empty config, and one layer of type [`PART`] for each part, in order. Each
//! layer's `org.opencontainers.image.title` is the archive's file name, with `.001`, `.002`… where there are several, so that `oras pull` gives
//! files that `cat` joins. All parts but the last have the same size.
//!
//! Blobs of images can be read in the same way, one after the other, each from a repository that has it.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{Reach, TransportProblem};
use crate::{
    oci::{Descriptor, Digest, MANIFEST_MAX, Manifest, ManifestKind, Reference, annotation, media_type},
    registry::{HostOptions, Registries},
};

/// Artifact type of an archive in a registry. Ours.
pub const ARCHIVE: &str = "application/vnd.offline.archive.v1";
/// A piece of an archive in a registry. Ours.
pub const PART: &str = "application/vnd.offline.archive.part.v1";
/// Bytes of a part: below what registries accept of a blob, and few enough to begin one again.
pub const PART_SIZE: u64 = 256 << 20;
/// The empty value (image-spec, manifest.md).
pub(super) const EMPTY: &[u8] = b"{}";

/// Registries, reached as a person says.
pub(super) fn registries<'a>(references: impl IntoIterator<Item = &'a Reference>, reach: &Reach) -> Registries {
    let options = HostOptions { plain_http: reach.plain_http, ca_file: reach.ca_file.clone(), ..HostOptions::default() };
    let options = references.into_iter().map(|reference| (reference.registry().to_owned(), options.clone())).collect();
    Registries::new(options, reach.docker_config.clone()).reached(&reach.machine)
}

/// The manifest of an archive's parts.
pub(super) fn manifest(parts: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Result<Bytes, TransportProblem> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.into()),
        artifact_type: Some(ARCHIVE.into()),
        config: Descriptor::of(media_type::OCI_EMPTY, EMPTY),
        layers: parts,
        subject: None,
        annotations,
    };
    let bytes = serde_json::to_vec(&manifest).expect("types of ours serialise");
    if bytes.len() as u64 > MANIFEST_MAX {
        return Err(TransportProblem::NoArchive(format!("it would have {} parts, more than a manifest holds", manifest.layers.len())));
    }
    Ok(bytes.into())
}

/// What a part is called.
pub(super) fn title(name: &str, number: usize, parts: usize) -> String {
    if parts == 1 { name.to_owned() } else { format!("{name}.{:03}", number + 1) }
}

/// Parts of something in registries, one after the other.
pub(super) struct Parts {
    registries: Arc<Registries>,
    /// Where each begins, which it is, and whose.
    placed: Vec<(u64, Digest, u64, Reference)>,
    length: u64,
}

impl Parts {
    /// Reads the manifest of an archive. From then on everything is asked for by digest, so that it stays what it was.
    pub(super) async fn open(reference: &Reference, reach: &Reach) -> Result<Self, TransportProblem> {
        let registries = Arc::new(registries([reference], reach));
        let (descriptor, bytes) = registries.resolve(reference).await.map_err(Box::new)?;
        let reference = reference.by_digest(descriptor.digest);
        let parts = read(&bytes)?.into_iter().map(|part| (part.digest, part.size, reference.clone()));
        Self::joined(registries, parts)
    }

    /// These blobs, each with its size and a name in the repository that has it.
    pub(super) fn joined(registries: Arc<Registries>, parts: impl IntoIterator<Item = (Digest, u64, Reference)>) -> Result<Self, TransportProblem> {
        let (mut placed, mut length) = (Vec::new(), 0_u64);
        for (digest, size, reference) in parts {
            let start = length;
            length = length.checked_add(size).ok_or_else(|| TransportProblem::NoArchive("its parts are too large".to_owned()))?;
            placed.push((start, digest, size, reference));
        }
        Ok(Self { registries, placed, length })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Some bytes from an offset on: at least one, at most `length`, and only of one part.
    pub(super) async fn range(&self, offset: u64, length: usize) -> Result<Bytes, TransportProblem> {
        let at = self.placed.partition_point(|(start, ..)| *start <= offset).saturating_sub(1);
        let Some((start, digest, size, reference)) = self.placed.get(at) else { return Ok(Bytes::new()) };
        let within = offset - start;
        let left = usize::try_from(size.saturating_sub(within)).unwrap_or(usize::MAX);
        let length = length.min(left);
        if length == 0 {
            return Ok(Bytes::new());
        }
        self.registries.range(reference, digest, within, length).await.map_err(Box::new)?.ok_or(TransportProblem::NoRanges)
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Descriptor>, TransportProblem> {
    let no = |text: &str| TransportProblem::NoArchive(text.to_owned());
    let manifest = match ManifestKind::parse(bytes, None) {
        Ok(ManifestKind::Manifest(manifest)) => manifest,
        Ok(ManifestKind::Index(_)) => return Err(no("it is an index of images")),
        Err(error) => return Err(TransportProblem::NoArchive(error.to_string())),
    };
    if manifest.artifact_type.as_deref() != Some(ARCHIVE) {
        let found = manifest.artifact_type.unwrap_or(manifest.config.media_type);
        return Err(TransportProblem::NoArchive(format!("it is of type `{found}`; wanted `{ARCHIVE}`")));
    }
    if manifest.layers.is_empty() || manifest.layers.iter().any(|part| part.media_type != PART || part.size == 0) {
        return Err(no("it has no parts, or parts of another kind"));
    }
    Ok(manifest.layers)
}

/// A part's place in the archive, by what it is called.
pub(super) fn part(digest: Digest, size: u64, title: String) -> Descriptor {
    Descriptor::new(PART, digest, size).with_annotation(annotation::TITLE, title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_archives_are_read() {
        let one = part(Digest::of(b"x"), 1, title("a.tar", 0, 2));
        let good = manifest(vec![one.clone(), one], BTreeMap::new()).unwrap();
        let parts = read(&good).unwrap();
        assert_eq!(parts[0].annotation(annotation::TITLE), Some("a.tar.001"));
        let text = String::from_utf8(good.to_vec()).unwrap();
        for (from, to, says) in [
            (ARCHIVE, "application/other", "of type"),
            (PART, "application/other", "parts of another kind"),
            (r#""size":1,"#, r#""size":0,"#, "no parts"),
            (r#"{"schemaVersion":2"#, "x", "no image manifest"),
        ] {
            assert!(text.contains(from), "{from}");
            let error = read(text.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{from}: {error}");
        }
    }
}

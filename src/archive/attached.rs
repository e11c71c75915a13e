//! What is attached to images, as an image layout names it: cosign's tags for what had one, and for each subject with referrers the index that stands for
//! a registry's list of them (distribution-spec, "Referrers Tag Schema"; regctl reads it in layouts as well, scheme/ocidir/referrer.go).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{AttachmentContent, Contents};
use crate::oci::{Descriptor, Digest, Index, annotation, media_type};

/// By which cosign finds the parts of a layout that holds one image (cosign, pkg/oci/layout/index.go).
const COSIGN_KIND: &str = "kind";
/// Tags of attachments and what cosign calls these in a layout.
const COSIGN_KINDS: [(&str, &str); 2] = [("sig", "dev.cosignproject.cosign/sigs"), ("att", "dev.cosignproject.cosign/atts")];

/// What is attached to some images.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// As they stand in the layout's index.json.
    pub(super) roots: Vec<Descriptor>,
    /// Their blobs.
    pub(super) blobs: BTreeSet<(Digest, u64)>,
    /// Indexes of referrers: they are in no archive, because they follow from what is.
    pub(super) made: Vec<(Digest, Bytes)>,
}

impl Contents {
    /// What is attached to any of these blobs, and to what is attached to them.
    pub(super) fn attached_to(&self, blobs: &BTreeSet<(Digest, u64)>) -> Vec<&AttachmentContent> {
        let mut subjects: BTreeSet<&Digest> = blobs.iter().map(|(digest, _)| digest).collect();
        loop {
            let known = subjects.len();
            let attached: Vec<&AttachmentContent> = self.attachments().iter().filter(|one| subjects.contains(&one.subject)).collect();
            subjects.extend(attached.iter().map(|one| &one.root.digest));
            if subjects.len() == known {
                return attached;
            }
        }
    }

    /// The same with names and blobs. `alone` says that all images of the layout are one.
    pub(super) fn attached(&self, blobs: &BTreeSet<(Digest, u64)>, alone: bool) -> Attached {
        let mut attached = Attached::default();
        let mut named: BTreeMap<String, &Digest> = BTreeMap::new();
        let mut referrers: BTreeMap<&Digest, BTreeMap<&Digest, Descriptor>> = BTreeMap::new();
        for one in self.attached_to(blobs) {
            attached.blobs.extend(self.blobs(&one.root));
            let root = Descriptor::new(&one.root.media_type, one.root.digest.clone(), one.root.size);
            let Some(tag) = one.name.tag() else {
                referrers.entry(&one.subject).or_default().insert(&one.root.digest, self.referrer(root));
                continue;
            };
            // Two repositories may say different things of one image; one of them keeps the short name.
            let name = match named.get(tag) {
                Some(known) if **known != root.digest => one.name.without_digest().to_string(),
                _ => tag.to_owned(),
            };
            if named.insert(name.clone(), &one.root.digest).is_none() {
                let root = root.with_annotation(annotation::REF_NAME, name);
                attached.roots.push(if alone { of_cosign(root, tag) } else { root });
            }
        }
        for (subject, list) in referrers {
            let bytes = index(list.into_values().collect());
            let root = Descriptor::of(media_type::OCI_INDEX, &bytes);
            attached.roots.push(root.clone().with_annotation(annotation::REF_NAME, format!("sha256-{}", subject.hex())));
            attached.made.push((root.digest, bytes));
        }
        attached
    }

    /// As a list of referrers describes one (distribution-spec, "Listing Referrers"): by the type of its config if it has none of its own.
    fn referrer(&self, mut root: Descriptor) -> Descriptor {
        if let Some(manifest) = self.graph.manifests.get(&root.digest) {
            root.artifact_type = Some(manifest.artifact_type.clone().unwrap_or_else(|| manifest.config.media_type.clone()));
            root.annotations.clone_from(&manifest.annotations);
        } else if let Some(index) = self.graph.indexes.get(&root.digest) {
            root.annotations.clone_from(&index.annotations);
        }
        root
    }
}

/// The image of a layout that holds one, as cosign finds it.
pub(super) fn image_of_cosign(root: Descriptor) -> Descriptor {
    let kind = if media_type::is_index(&root.media_type) { "dev.cosignproject.cosign/imageIndex" } else { "dev.cosignproject.cosign/image" };
    root.with_annotation(COSIGN_KIND, kind)
}

fn of_cosign(root: Descriptor, tag: &str) -> Descriptor {
    match COSIGN_KINDS.iter().find(|(suffix, _)| tag.rsplit('.').next() == Some(suffix)) {
        Some((_, kind)) => root.with_annotation(COSIGN_KIND, *kind),
        None => root,
    }
}

/// An index of these manifests.
pub(super) fn index(manifests: Vec<Descriptor>) -> Bytes {
    let index = Index { schema_version: 2, media_type: Some(media_type::OCI_INDEX.to_owned()), manifests, annotations: BTreeMap::new() };
    serde_json::to_vec(&index).expect("types of ours serialise").into()
}

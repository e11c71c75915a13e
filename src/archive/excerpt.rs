//! Some images of an archive as an image layout of their own: its documents, and the blobs that belong to it. Digests stay what they are.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Contents, content, docker, names};
use crate::oci::{Descriptor, Digest, Index, Platform, Reference, media_type};

/// An image layout that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Its documents by name: `oci-layout`, `index.json`, and docker's own `manifest.json`.
    pub layout: [(&'static str, Bytes); 2],
    /// `manifest.json`: docker's own list, which makes a docker archive of it.
    pub docker_list: (&'static str, Bytes),
    /// Its blobs with their sizes, documents first.
    pub blobs: Vec<(Digest, u64)>,
}

impl Excerpt {
    /// Where a blob lies in an image layout (image-spec, image-layout.md).
    pub fn place(digest: &Digest) -> String {
        names::blob(digest)
    }
}

impl Contents {
    /// The layout of some images under these names. With a platform only what that needs; an image that has nothing for it is left out.
    ///
    /// As in the archive itself, an index is whole even where manifests that it lists are not there.
    pub fn excerpt(&self, images: &[(Reference, Descriptor)], platform: Option<&Platform>) -> Excerpt {
        let mut roots: Vec<Descriptor> = Vec::new();
        let mut blobs: BTreeSet<(Digest, u64)> = BTreeSet::new();
        for (name, image) in images {
            let wanted = match platform {
                None => self.blobs(image),
                Some(platform) => {
                    let Some(content) = self.children(image, platform) else { continue };
                    let all = content.indexes.iter().chain([&content.manifest, &content.config]).chain(&content.layers);
                    all.map(|descriptor| (descriptor.digest.clone(), descriptor.size)).collect()
                }
            };
            blobs.extend(wanted);
            roots.push(content::image_root(image, name));
        }
        let list = docker::list_with(&roots, &self.graph, |root| match platform {
            None => docker::first_manifest(root, &self.graph).cloned(),
            Some(platform) => self.children(root, platform).map(|content| content.manifest.digest),
        });
        let (documents, layers): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|(digest, _)| self.graph.is_document(digest));
        Excerpt {
            layout: [(names::LAYOUT, Bytes::from_static(names::LAYOUT_CONTENT)), (names::INDEX, index(roots))],
            docker_list: (names::DOCKER_LIST, list.into()),
            blobs: documents.into_iter().chain(layers).collect(),
        }
    }
}

fn index(manifests: Vec<Descriptor>) -> Bytes {
    let index = Index { schema_version: 2, media_type: Some(media_type::OCI_INDEX.to_owned()), manifests, annotations: std::collections::BTreeMap::new() };
    serde_json::to_vec(&index).expect("types of ours serialise").into()
}

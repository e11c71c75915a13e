//! Some images of an archive as an image layout of their own: its documents, and the blobs that belong to it. Digests stay what they are.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Contents, attached, content, docker, names};
use crate::oci::{Descriptor, Digest, Platform, Reference};

/// What of a layout is asked for besides the blobs of its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The images, and nothing else.
    Images,
    /// The images and what is attached to them.
    All,
    /// What is attached to the images, without them.
    Attached,
}

/// An image layout that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Its documents by name: `oci-layout`, `index.json`, and docker's own `manifest.json`.
    pub layout: [(&'static str, Bytes); 2],
    /// `manifest.json`: docker's own list, which makes a docker archive of it.
    pub docker_list: (&'static str, Bytes),
    /// Its blobs with their sizes, documents first.
    pub blobs: Vec<(Digest, u64)>,
    /// Further blobs, which are in no archive: lists of what is attached to an image.
    pub made: Vec<(Digest, Bytes)>,
}

impl Excerpt {
    /// Where a blob lies in an image layout (image-spec, image-layout.md).
    pub fn place(digest: &Digest) -> String {
        names::blob(digest)
    }
}

impl Contents {
    /// How much is attached to images, one by one.
    pub fn attached_count(&self, images: &[(Reference, Descriptor)], platform: Option<&Platform>) -> usize {
        self.attached_to(&self.blobs_of(images, platform).1).len()
    }

    /// The layout of some images under these names. With a platform only what that needs; an image that has nothing for it is left out.
    ///
    /// As in the archive itself, an index is whole even where manifests that it lists are not there.
    pub fn excerpt(&self, images: &[(Reference, Descriptor)], platform: Option<&Platform>, shown: Shown) -> Excerpt {
        let (mut roots, mut blobs) = self.blobs_of(images, platform);
        let list = docker::list_with(&roots, &self.graph, |root| match platform {
            None => docker::first_manifest(root, &self.graph).cloned(),
            Some(platform) => self.children(root, platform).map(|content| content.manifest.digest),
        });
        let mut made = Vec::new();
        if shown != Shown::Images {
            let alone = shown == Shown::All && roots.windows(2).all(|pair| pair[0].digest == pair[1].digest);
            let attached = self.attached(&blobs, alone);
            if shown == Shown::Attached {
                (roots, blobs) = (Vec::new(), BTreeSet::new());
            } else if alone && !attached.roots.is_empty() {
                roots = roots.into_iter().map(attached::image_of_cosign).collect();
            }
            roots.extend(attached.roots);
            blobs.extend(attached.blobs);
            made = attached.made;
            made.retain(|(digest, bytes)| !blobs.contains(&(digest.clone(), bytes.len() as u64)));
        }
        let (documents, layers): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|(digest, _)| self.graph.is_document(digest));
        Excerpt {
            layout: [(names::LAYOUT, Bytes::from_static(names::LAYOUT_CONTENT)), (names::INDEX, attached::index(roots))],
            docker_list: (names::DOCKER_LIST, list.into()),
            blobs: documents.into_iter().chain(layers).collect(),
            made,
        }
    }

    /// The roots and the blobs of images.
    fn blobs_of(&self, images: &[(Reference, Descriptor)], platform: Option<&Platform>) -> (Vec<Descriptor>, BTreeSet<(Digest, u64)>) {
        let (mut roots, mut blobs) = (Vec::new(), BTreeSet::new());
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
        (roots, blobs)
    }
}

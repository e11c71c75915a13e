//! The archive's images, as the nodes are to have them.

use std::{io, sync::Arc};

use crate::{
    archive::{Archive, ArchiveError},
    cluster::nodes::{AgentBinary, Blobs, NodeImage, PlatformImage, embedded},
    oci::{Descriptor, Digest},
    rewrite::{Plan, image_names},
};

/// Blobs straight out of the archive.
#[derive(Debug)]
pub(super) struct ArchiveBlobs(pub(super) Arc<Archive>);

impl Blobs for ArchiveBlobs {
    fn read_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(digest, offset, buf).map_err(io::Error::other)
    }
}

/// Every image with the names that pods will use, for every platform that the archive has it for.
pub(super) fn node_images(archive: &Archive, plan: &Plan) -> Vec<NodeImage> {
    let record = archive.record();
    let root = |digest: &Digest| record.images.iter().filter(|image| &image.digest == digest).find_map(|image| archive.image(&image.reference));
    let images = image_names(plan).into_iter().filter_map(|image| root(&image.digest).map(|root| (image, root.clone())));
    images
        .map(|(image, root)| NodeImage {
            names: image.names.iter().map(ToString::to_string).collect(),
            per_platform: archive.platforms(&root).into_iter().filter_map(|platform| platform_image(archive, &root, platform)).collect(),
            root,
        })
        .collect()
}

fn platform_image(archive: &Archive, root: &Descriptor, platform: crate::oci::Platform) -> Option<PlatformImage> {
    let content = archive.children(root, &platform)?;
    let mut documents = content.indexes;
    documents.extend([content.manifest.clone(), content.config]);
    Some(PlatformImage { platform, manifest: content.manifest, documents, layers: content.layers })
}

/// The agents that travelled with the archive; where none did, those of this program.
pub(super) fn agents(archive: &Archive) -> Result<Vec<AgentBinary>, ArchiveError> {
    let mut agents = Vec::new();
    for agent in archive.agents() {
        agents.push(AgentBinary { platform: agent.platform.clone(), loader: archive.read(&agent.loader.digest)?, agent: archive.read(&agent.agent.digest)? });
    }
    Ok(if agents.is_empty() { embedded() } else { agents })
}

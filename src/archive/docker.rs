//! `manifest.json`: the list that `docker load` of Docker before 25 reads (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format").

use serde::Serialize;

use super::{
    graph::{Graph, is_image_config},
    names,
};
use crate::oci::{Descriptor, Digest, Reference, annotation, media_type};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// The list of all images. Docker knows one platform per name: the first of an index that is in the archive.
pub(crate) fn list(roots: &[Descriptor], graph: &Graph) -> Vec<u8> {
    list_with(roots, graph, |root| first_manifest(root, graph).cloned())
}

/// The same with another choice of the manifest.
pub(crate) fn list_with(roots: &[Descriptor], graph: &Graph, choose: impl Fn(&Descriptor) -> Option<Digest>) -> Vec<u8> {
    let mut images: Vec<(Digest, Image)> = Vec::new();
    for root in roots {
        let Some(name) = root.annotation(annotation::REF_NAME) else { continue };
        let Some(digest) = choose(root) else { continue };
        let Some(manifest) = graph.manifests.get(&digest) else { continue };
        if !is_image_config(&manifest.config.media_type) {
            continue;
        }
        // `repo_tags` takes no digests.
        let tag = name.parse::<Reference>().ok().filter(|r| r.tag().is_some()).map(|r| r.without_digest().to_string());
        let known = images.iter().position(|(known, _)| *known == digest);
        let at = known.unwrap_or_else(|| {
            let layers = manifest.layers.iter().map(|l| names::blob(&l.digest)).collect();
            images.push((digest, Image { config: names::blob(&manifest.config.digest), repo_tags: Vec::new(), layers }));
            images.len() - 1
        });
        let tags = &mut images[at].1.repo_tags;
        tags.extend(tag.filter(|tag| !tags.contains(tag)));
    }
    let images: Vec<Image> = images.into_iter().map(|(_, image)| image).collect();
    serde_json::to_vec(&images).expect("strings serialise")
}

/// The first manifest of an image that is there and has a platform.
pub(crate) fn first_manifest<'a>(descriptor: &'a Descriptor, graph: &'a Graph) -> Option<&'a Digest> {
    if media_type::is_manifest(&descriptor.media_type) {
        return graph.manifests.contains_key(&descriptor.digest).then_some(&descriptor.digest);
    }
    let index = graph.indexes.get(&descriptor.digest)?;
    index.manifests.iter().filter(|child| graph.platform(child).is_some()).find_map(|child| first_manifest(child, graph))
}

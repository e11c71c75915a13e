//! What is to be imported, and what follows from it for a platform: names, blobs and their order.

use std::{
    collections::{BTreeMap, HashSet},
    io,
};

use offline_agent::{LinkedDescriptor, Record};

use super::NodesError;
use crate::oci::{Descriptor, Digest, Platform, Reference, media_type};

/// Where blobs are read from while they are sent.
pub trait Blobs: Send + Sync {
    /// Reads bytes of a blob from an offset on; as many as there are and fit, none at the end. May block.
    fn read_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
}

/// An image that nodes shall have.
#[derive(Debug, Clone)]
pub struct NodeImage {
    /// Names that pods use: with tag, digest or both. Names by digest are made in any case.
    pub names: Vec<String>,
    /// What the names stand for: an index, or a manifest.
    pub root: Descriptor,
    /// The image for each platform.
    pub per_platform: Vec<PlatformImage>,
}

/// An image for one platform.
#[derive(Debug, Clone)]
pub struct PlatformImage {
    /// The platform.
    pub platform: Platform,
    /// Its manifest; the root itself where that is no index.
    pub manifest: Descriptor,
    /// Index, if there is one, manifest and config.
    pub documents: Vec<Descriptor>,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
}

/// What a node of a platform gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) images: Vec<offline_agent::Image>,
    /// Documents, then layers, those at the bottom of the stacks first: their unpacking begins while the rest is on its way.
    pub(super) blobs: Vec<Descriptor>,
    /// Exactly what pods will ask for.
    pub(super) names: Vec<String>,
}

/// As it goes to the agent.
fn linked(descriptor: &Descriptor) -> LinkedDescriptor {
    LinkedDescriptor { media_type: descriptor.media_type.clone(), digest: descriptor.digest.to_string(), size: descriptor.size }
}

impl Work {
    /// Works out what nodes of a platform get. `node` is for errors.
    pub(super) fn new(images: &[NodeImage], platform: &Platform, node: &str) -> Result<Self, NodesError> {
        let mut work = Self { images: Vec::new(), blobs: Vec::new(), names: Vec::new() };
        let mut seen = HashSet::new();
        let mut levels: Vec<Vec<Descriptor>> = Vec::new();
        let mut taken: BTreeMap<String, Digest> = BTreeMap::new();
        for image in images {
            let chosen = image.per_platform.iter().find(|p| p.platform.serves(platform)).ok_or_else(|| no_platform(image, platform, node))?;
            work.blobs.extend(chosen.documents.iter().filter(|d| seen.insert(d.digest.clone())).cloned());
            for (level, layer) in chosen.layers.iter().enumerate() {
                if seen.insert(layer.digest.clone()) {
                    levels.resize_with(levels.len().max(level + 1), Vec::new);
                    levels[level].push(layer.clone());
                }
            }
            let records = work.records(image, chosen, &mut taken)?;
            work.images.push(offline_agent::Image { path: path(image, chosen), records });
        }
        work.blobs.extend(levels.into_iter().flatten());
        Ok(work)
    }

    fn records(&mut self, image: &NodeImage, chosen: &PlatformImage, taken: &mut BTreeMap<String, Digest>) -> Result<Vec<Record>, NodesError> {
        let mut records = Vec::new();
        let mut add = |name: String, target: &Descriptor| match taken.get(&name) {
            Some(first) if *first != target.digest => Err(NodesError::NameTwice { name, first: first.clone(), second: target.digest.clone() }),
            Some(_) => Ok(()),
            None => {
                taken.insert(name.clone(), target.digest.clone());
                records.push(Record { name, target: linked(target) });
                Ok(())
            }
        };
        for name in &image.names {
            let reference: Reference = name.parse().map_err(NodesError::Name)?;
            if reference.tag().is_some() {
                add(reference.without_digest().to_string(), &image.root)?;
            }
            // CRI cuts `repo:tag@digest` to `repo@digest` and looks for exactly that name (internal/cri/store/image, ParseDockerRef).
            add(reference.by_digest(image.root.digest.clone()).to_string(), &image.root)?;
            add(reference.by_digest(chosen.manifest.digest.clone()).to_string(), &chosen.manifest)?;
            self.names.push(reference.to_string());
        }
        self.names.extend(records.iter().map(|r| r.name.clone()));
        self.names.sort();
        self.names.dedup();
        Ok(records)
    }
}

fn no_platform(image: &NodeImage, platform: &Platform, node: &str) -> NodesError {
    let have: Vec<String> = image.per_platform.iter().map(|p| p.platform.to_string()).collect();
    NodesError::NoPlatform {
        node: node.to_owned(),
        platform: platform.to_string(),
        image: image.names.first().cloned().unwrap_or_else(|| image.root.digest.to_string()),
        have: if have.is_empty() { "no platform".to_owned() } else { have.join(", ") },
    }
}

/// From the root down to the manifest.
fn path(image: &NodeImage, chosen: &PlatformImage) -> Vec<LinkedDescriptor> {
    let mut path = vec![linked(&image.root)];
    if chosen.manifest.digest != image.root.digest {
        path.extend(chosen.documents.iter().filter(|d| media_type::is_index(&d.media_type) && d.digest != image.root.digest).map(linked));
        path.push(linked(&chosen.manifest));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(kind: &str, text: &str) -> Descriptor {
        Descriptor::of(kind, text.as_bytes())
    }

    fn image(name: &str, index: bool, layers: &[&str]) -> NodeImage {
        let manifest = blob(media_type::OCI_MANIFEST, &format!("{name} manifest"));
        let config = blob(media_type::OCI_CONFIG, &format!("{name} config"));
        let root = if index { blob(media_type::OCI_INDEX, &format!("{name} index")) } else { manifest.clone() };
        let mut documents = vec![manifest.clone(), config];
        if index {
            documents.insert(0, root.clone());
        }
        let layers = layers.iter().map(|l| blob(media_type::OCI_LAYER_GZIP, l)).collect();
        let per_platform = vec![PlatformImage { platform: Platform::linux_amd64(), manifest, documents, layers }];
        NodeImage { names: vec![name.to_owned()], root, per_platform }
    }

    #[test]
    fn blobs_come_once_documents_first_then_layers_from_the_bottom() {
        let images = [image("a", false, &["base", "a1", "a2"]), image("b", true, &["base", "b1"])];
        let work = Work::new(&images, &Platform::linux_amd64(), "n").unwrap();
        let want: Vec<Digest> =
            ["a manifest", "a config", "b index", "b manifest", "b config", "base", "a1", "b1", "a2"].iter().map(|t| Digest::of(t.as_bytes())).collect();
        assert_eq!(work.blobs.iter().map(|b| b.digest.clone()).collect::<Vec<_>>(), want);
        assert_eq!(work.images[0].path.len(), 1);
        assert_eq!(work.images[1].path.iter().map(|d| d.digest.clone()).collect::<Vec<_>>(), [want[2].to_string(), want[3].to_string()]);
    }

    #[test]
    fn names_are_tag_index_digest_and_manifest_digest() {
        let work = Work::new(&[image("app:1", true, &[])], &Platform::linux_amd64(), "n").unwrap();
        let (index, manifest) = (Digest::of(b"app:1 index"), Digest::of(b"app:1 manifest"));
        let mut want = vec!["docker.io/library/app:1".to_owned(), format!("docker.io/library/app@{index}"), format!("docker.io/library/app@{manifest}")];
        want.sort();
        assert_eq!(work.names, want);
        let targets: Vec<&str> = work.images[0].records.iter().map(|r| r.target.digest.as_str()).collect();
        assert_eq!(targets, [index.as_str(), index.as_str(), manifest.as_str()]);
    }

    #[test]
    fn tag_with_digest_makes_no_name_of_its_own_but_is_proven() {
        let digest = Digest::of(b"x manifest");
        let mut x = image("x", false, &[]);
        x.names = vec![format!("r.dev/x:1@{digest}")];
        let work = Work::new(&[x], &Platform::linux_amd64(), "n").unwrap();
        let records: Vec<&str> = work.images[0].records.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(records, ["r.dev/x:1".to_owned(), format!("r.dev/x@{digest}")]);
        assert_eq!(work.names.len(), 3);
    }

    #[test]
    fn what_cannot_be_is_refused_with_names() {
        let arm = "linux/arm64".parse().unwrap();
        let error = Work::new(&[image("a:1", false, &[])], &arm, "n7").unwrap_err().to_string();
        assert_eq!(error, "node `n7` is linux/arm64, and image a:1 is there only for linux/amd64");
        let mut twin = image("b", false, &[]);
        twin.names = vec!["a:1".into()];
        let error = Work::new(&[image("a:1", false, &[]), twin], &Platform::linux_amd64(), "n").unwrap_err();
        assert!(matches!(error, NodesError::NameTwice { .. }), "{error}");
    }
}

//! Images in a file or a folder (`docker save`, or an OCI layout, also gzip'd or zstd'd), or in a program that runs. Their bytes are streamed from
//! where they are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    SourceError,
    blobs::{self, Blob, Place},
    containerd::{self, ContainerdPlace},
    docker_daemon, docker_save,
    error::ImageProblem,
    tar_index::{self, not_an_archive},
};
use crate::{
    oci::{Descriptor, Digest, Index, Platform, Reference, annotation},
    registry::{BlobSink, Documents, Image, gather},
};

/// An archive with images, or a program that has some.
#[derive(Debug)]
pub struct LocalArchive {
    path: PathBuf,
    images: Vec<LocalImage>,
    blobs: BTreeMap<Digest, Blob>,
}

/// One image in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Its names; never empty.
    pub names: Vec<Reference>,
    /// What it consists of.
    pub content: Image,
}

/// Documents that are in memory already, or among the blobs.
struct Source<'a> {
    path: &'a Path,
    ready: BTreeMap<Digest, Bytes>,
    blobs: &'a BTreeMap<Digest, Blob>,
}

impl Documents for Source<'_> {
    type Error = ImageProblem;

    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ImageProblem> {
        if let Some(bytes) = self.ready.get(&descriptor.digest) {
            return Ok(bytes.clone());
        }
        let entry = descriptor.digest.to_string();
        let blob = self.blobs.get(&descriptor.digest).ok_or_else(|| not_an_archive(self.path, format!("{entry} is not in it")))?;
        let bytes = blob.read(self.path, &entry)?;
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            return Err(SourceError::Digest { path: self.path.into(), entry, wanted: descriptor.digest.clone(), found }.into());
        }
        Ok(bytes)
    }
}

impl LocalArchive {
    /// Opens an archive and looks into all its images; every wanted platform must be there in each.
    /// A compressed archive is unpacked into a nameless file in `scratch`.
    pub fn open(path: &Path, scratch: &Path, wanted: &[Platform]) -> Result<Self, SourceError> {
        if !path.exists() {
            return Err(SourceError::Missing { what: "image archive", path: path.into() });
        }
        let entries = if path.is_dir() { blobs::folder(path)? } else { tar_index::index(path, scratch)? };
        Self::of(path, &entries, wanted)
    }

    /// An image that a running docker has; `host` is what `DOCKER_HOST` says. What docker sends is kept in a nameless file in `scratch`.
    pub fn of_docker(host: Option<&str>, image: &Reference, scratch: &Path, wanted: &[Platform]) -> Result<Self, SourceError> {
        let file = docker_daemon::save(host, image, scratch, tar_index::UNPACKED_MAX)?;
        let path = PathBuf::from(format!("docker: {image}"));
        let mut opened = Self::of(&path, &tar_index::index_of(&path, file, scratch)?, wanted)?;
        // Docker gives the names that it was asked for, in a shorter form.
        opened.images.retain(|found| found.names.contains(image));
        if opened.images.is_empty() {
            return Err(not_an_archive(&path, "what docker sent does not hold the image by its name".into()));
        }
        opened.images.iter_mut().for_each(|found| found.names.retain(|name| name == image));
        Ok(opened)
    }

    /// An image that a running containerd has, with its layers for the wanted platforms. They stay where they are until they are asked for.
    pub fn of_containerd(place: &ContainerdPlace, image: &Reference, wanted: &[Platform]) -> Result<Self, SourceError> {
        let (content, held) = containerd::find(place, image, wanted)?;
        let held = Arc::new(held);
        let blob = |layer: &Descriptor| Blob { place: Place::Held { held: held.clone(), digest: layer.digest.clone() }, size: layer.size };
        let blobs = content.layers.iter().map(|layer| (layer.digest.clone(), blob(layer))).collect();
        Ok(Self { path: format!("containerd: {image}").into(), images: vec![LocalImage { names: vec![image.clone()], content }], blobs })
    }

    fn of(path: &Path, entries: &BTreeMap<String, Blob>, wanted: &[Platform]) -> Result<Self, SourceError> {
        let document = |name: &str| entries.get(name).map(|blob| blob.read(path, name)).transpose();
        let mut opened = Self { path: path.into(), images: Vec::new(), blobs: BTreeMap::new() };
        // Docker since 25 writes both; a layout has the manifests, so it goes first where it has names.
        if let Some(index) = document("index.json")?
            && opened.layout(entries, &index, wanted)?
        {
            return Ok(opened);
        }
        match document("manifest.json")? {
            Some(list) => opened.docker(entries, &list, wanted)?,
            None if document("index.json")?.is_some() => return Err(SourceError::Unnamed { path: path.into() }),
            None => return Err(not_an_archive(path, "it has neither index.json nor manifest.json".into())),
        }
        Ok(opened)
    }

    /// The images.
    pub fn images(&self) -> &[LocalImage] {
        &self.images
    }

    /// Streams a layer into a sink, from where the sink stands. The sink's owner checks the digest.
    pub fn layer(&self, digest: &Digest, sink: &mut dyn BlobSink) -> Result<(), SourceError> {
        match self.blobs.get(digest) {
            Some(blob) => blob.copy(&self.path, sink),
            None => Err(not_an_archive(&self.path, format!("{digest} is not in it"))),
        }
    }

    /// Takes the named images of an OCI layout; whether there were any.
    fn layout(&mut self, entries: &BTreeMap<String, Blob>, index: &Bytes, wanted: &[Platform]) -> Result<bool, SourceError> {
        let index: Index = serde_json::from_slice(index).map_err(|e| not_an_archive(&self.path, format!("index.json: {e}")))?;
        self.blobs =
            entries.iter().filter_map(|(name, blob)| Some((format!("sha256:{}", name.strip_prefix("blobs/sha256/")?).parse().ok()?, blob.clone()))).collect();
        let mut named: BTreeMap<Digest, (Descriptor, Vec<Reference>)> = BTreeMap::new();
        for root in index.manifests {
            let Some(name) = name_of(&root) else { continue };
            let name = name.parse().map_err(|source| SourceError::Reference { path: self.path.clone(), source })?;
            named.entry(root.digest.clone()).or_insert_with(|| (root, Vec::new())).1.push(name);
        }
        for (mut root, names) in named.into_values() {
            root.annotations.clear();
            self.add(root, names, BTreeMap::new(), wanted)?;
        }
        Ok(!self.images.is_empty())
    }

    fn docker(&mut self, entries: &BTreeMap<String, Blob>, list: &Bytes, wanted: &[Platform]) -> Result<(), SourceError> {
        for saved in docker_save::read(&self.path, entries, list)? {
            if saved.names.is_empty() {
                return Err(SourceError::Unnamed { path: self.path.clone() });
            }
            self.blobs.extend(saved.layers);
            let ready = saved.documents.into_iter().map(|(descriptor, bytes)| (descriptor.digest, bytes)).collect();
            self.add(saved.root, saved.names, ready, wanted)?;
        }
        Ok(())
    }

    fn add(&mut self, root: Descriptor, names: Vec<Reference>, ready: BTreeMap<Digest, Bytes>, wanted: &[Platform]) -> Result<(), SourceError> {
        let source = Source { path: &self.path, ready, blobs: &self.blobs };
        // Nothing in here waits for anything: documents come from memory and files.
        let content = futures::executor::block_on(async {
            let bytes = source.document(&root).await?;
            gather(root, bytes, wanted, &source).await
        });
        let image = names.first().map(ToString::to_string).unwrap_or_default();
        let content = content.map_err(|source| SourceError::Image { path: self.path.clone(), image: image.clone(), source: Box::new(source) })?;
        for layer in &content.layers {
            match self.blobs.get(&layer.digest) {
                None => return Err(not_an_archive(&self.path, format!("the layer {} of {image} is not in it", layer.digest))),
                Some(blob) if blob.size != layer.size => {
                    return Err(not_an_archive(&self.path, format!("the layer {} of {image} has {} bytes, wanted {}", layer.digest, blob.size, layer.size)));
                }
                Some(_) => {}
            }
        }
        self.images.push(LocalImage { names, content });
        Ok(())
    }
}

/// containerd writes the whole name beside the tag; skopeo and podman write what they were told, which counts if it is more than a tag.
fn name_of(root: &Descriptor) -> Option<&str> {
    root.annotation(annotation::CONTAINERD_NAME).or_else(|| root.annotation(annotation::REF_NAME).filter(|name| name.contains(['/', ':'])))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::registry::Memory;

    fn saved(layer: &[u8]) -> Vec<u8> {
        let diff_id = Digest::of(layer);
        let config = format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#);
        let list = r#"[{"Config":"c.json","RepoTags":["tool:1"],"Layers":["l/layer.tar"]}]"#;
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in [("c.json", config.as_bytes()), ("l/layer.tar", layer), ("manifest.json", list.as_bytes())] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn amd64() -> Vec<Platform> {
        vec![Platform::linux_amd64()]
    }

    #[test]
    fn docker_save_plain_and_gzip_are_the_same_image() {
        let folder = tempfile::tempdir().unwrap();
        let layer = vec![7; 300_000];
        let tar = saved(&layer);
        let (plain, packed) = (folder.path().join("a.tar"), folder.path().join("a.tar.gz"));
        fs::write(&plain, &tar).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(fs::File::create(&packed).unwrap(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        gzip.finish().unwrap();
        let a = LocalArchive::open(&plain, folder.path(), &amd64()).unwrap();
        let b = LocalArchive::open(&packed, folder.path(), &amd64()).unwrap();
        assert_eq!(a.images(), b.images());
        assert_eq!(a.images()[0].names[0].to_string(), "docker.io/library/tool:1");
        let mut memory = Memory::default();
        b.layer(&a.images()[0].content.layers[0].digest, &mut memory).unwrap();
        assert_eq!(memory.0, layer);
    }

    #[test]
    fn says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let open = |bytes: &[u8], platform: &str| {
            fs::write(&path, bytes).unwrap();
            LocalArchive::open(&path, folder.path(), &[platform.parse().unwrap()]).unwrap_err().to_string()
        };
        let tar = saved(b"layer");
        assert!(open(&tar, "linux/arm64").contains("it has no content for linux/arm64; it has linux/amd64"));
        assert!(open(b"no tar at all", "linux/amd64").contains("is no image archive"));
        assert!(open(&tar[..1500], "linux/amd64").contains("is no image archive"));
        let at = tar.windows(5).position(|w| w == b"layer").unwrap();
        let mut changed = tar.clone();
        let content = tar.windows(6).position(|w| w == b"layer\0").unwrap_or(at);
        changed[content] ^= 1;
        assert!(!open(&changed, "linux/amd64").is_empty());
        assert!(matches!(LocalArchive::open(&folder.path().join("none"), folder.path(), &amd64()), Err(SourceError::Missing { .. })));
    }
}

//! Collects what goes into an archive and decides every byte's place before the first layer is pulled.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use bytes::Bytes;
use serde::Serialize;

use super::{
    ArchiveError, Base, BuildError, Contents, Fault, Limits, Standing, base,
    content::Artifact,
    docker,
    graph::{Blobs, Graph},
    header, names,
};
use crate::oci::{Descriptor, Digest, Reference, annotation, media_type};

/// Room for a signature: a bundle of ours has half a kilobyte, one of cosign's with a log entry eight.
pub(crate) const SIGNATURE_ROOM: usize = 16 << 10;
/// Signatures that an archive has room for at most: the first, and those that are numbered from 1 to 9.
pub const SIGNATURES_MAX: usize = 10;
/// The version of the format, in an annotation of index.json.
pub(crate) const FORMAT: &str = "1";

#[derive(Debug)]
enum Content {
    Here(Bytes),
    Later(u64),
}

impl Content {
    fn size(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Later(size) => *size,
        }
    }
}

/// Collects content; everything with the same digest is held once.
#[derive(Debug, Default)]
pub struct Builder {
    blobs: BTreeMap<Digest, Content>,
    roots: Vec<Descriptor>,
    base: Option<base::Held>,
    further: usize,
}

impl Builder {
    /// Nothing collected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out the layers of images that a base holds. If it holds none of them, the archive is whole and names no base.
    pub fn over(&mut self, held: base::Held) {
        self.base = Some(held);
    }

    /// Keeps room for so many signatures in all, at least one and at most ten.
    pub fn room_for_signatures(&mut self, signatures: usize) {
        self.further = signatures.clamp(1, SIGNATURES_MAX) - 1;
    }

    /// Adds a manifest, an index, a config or another small thing.
    pub fn add_document(&mut self, descriptor: &Descriptor, bytes: Bytes) -> Result<(), BuildError> {
        self.add_bytes("document", descriptor, bytes)
    }

    /// Adds a layer whose content is in memory already.
    pub fn add_layer_bytes(&mut self, descriptor: &Descriptor, bytes: Bytes) -> Result<(), BuildError> {
        self.add_bytes("layer", descriptor, bytes)
    }

    /// Adds a layer whose content comes later, through [`super::Writer::layer`].
    pub fn add_layer(&mut self, descriptor: &Descriptor) -> Result<(), BuildError> {
        match self.blobs.entry(descriptor.digest.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(Content::Later(descriptor.size));
                Ok(())
            }
            Entry::Occupied(slot) => same_size(&descriptor.digest, slot.get().size(), descriptor.size),
        }
    }

    /// Puts an image or an artifact into index.json. An image has both names of [`super::content::image_root`], an artifact has our
    /// [`annotation::NAME`] and an artifact type.
    pub fn name(&mut self, root: Descriptor) {
        self.roots.push(root);
    }

    /// Adds an artifact with all that belongs to it, and names it.
    pub fn add_artifact(&mut self, artifact: Artifact) -> Result<(), BuildError> {
        for (descriptor, bytes) in artifact.blobs {
            self.add_document(&descriptor, bytes)?;
        }
        self.name(artifact.root);
        Ok(())
    }

    fn add_bytes(&mut self, what: &'static str, descriptor: &Descriptor, bytes: Bytes) -> Result<(), BuildError> {
        let (found, size) = (Digest::of(&bytes), bytes.len() as u64);
        if found != descriptor.digest || size != descriptor.size {
            return Err(BuildError::NotTheBytes { what, wanted: descriptor.digest.clone(), found, size });
        }
        match self.blobs.entry(found) {
            Entry::Vacant(slot) => {
                slot.insert(Content::Here(bytes));
            }
            Entry::Occupied(mut slot) => {
                same_size(&descriptor.digest, slot.get().size(), size)?;
                slot.insert(Content::Here(bytes));
            }
        }
        Ok(())
    }

    /// Decides all entries, their order and their offsets. The same content gives the same layout, in whatever order it was added.
    pub fn lay_out(self) -> Result<Layout, ArchiveError> {
        let Self { mut blobs, roots, base, further } = self;
        let roots = sorted(roots)?;
        let limits = Limits::default();
        if let Some(held) = &base {
            blobs.retain(|digest, content| !(matches!(content, Content::Later(_)) && held.blobs.contains(digest)));
        }
        let graph = Graph::walk(&roots, &Held(&blobs, base.is_some()), limits.depth).map_err(BuildError::Content)?;
        let base = base_of(base, &graph)?;
        let left_out = graph.left_out.clone();
        let index = Bytes::from(index_json(&roots, base.as_ref().map(|base| base.annotations(&left_out)).unwrap_or_default()));
        let docker = Bytes::from(docker::list(&roots, &graph));
        check_size(names::INDEX, &index, limits.document)?;
        check_size(names::DOCKER_LIST, &docker, limits.docker_list)?;
        let mut layout = Layout { index: index.clone(), entries: Vec::new(), end: 0, name: String::new(), base, left_out };
        roots.iter().find_map(|r| r.annotation(annotation::REF_NAME)).unwrap_or_default().clone_into(&mut layout.name);
        layout.push(names::LAYOUT.into(), Fill::Bytes(Bytes::from_static(names::LAYOUT_CONTENT)));
        layout.push(names::INDEX.into(), Fill::Bytes(index));
        let blank = Bytes::from(padded_signature(None, SIGNATURE_ROOM)?);
        layout.push(names::SIGNATURE.into(), Fill::Bytes(blank.clone()));
        for number in 1..=further {
            layout.push(names::further_signature(number), Fill::Bytes(blank.clone()));
        }
        layout.push(names::DOCKER_LIST.into(), Fill::Bytes(docker));
        let order: Vec<(Digest, u64)> = graph.order().into_iter().map(|(digest, size)| (digest.clone(), size)).collect();
        // What a reader would refuse is not written in the first place.
        Contents::new(roots, graph, Standing::Unsigned, 0, &Held(&blobs, false)).map_err(BuildError::Content)?;
        for (digest, size) in order {
            let fill = match blobs.remove(&digest) {
                Some(Content::Here(bytes)) => Fill::Bytes(bytes),
                _ => Fill::Layer(digest.clone(), size),
            };
            layout.push(names::blob(&digest), fill);
        }
        // Whatever is left was added for nothing, which is a mistake of the caller's and would be refused by every reader.
        match blobs.keys().next() {
            Some(digest) => Err(BuildError::Content(super::Flaw::new(names::blob(digest), Fault::Unreferenced)).into()),
            None => Ok(layout),
        }
    }
}

fn same_size(digest: &Digest, first: u64, second: u64) -> Result<(), BuildError> {
    if first == second { Ok(()) } else { Err(BuildError::TwoSizes { digest: digest.clone(), first, second }) }
}

fn check_size(entry: &str, bytes: &Bytes, max: u64) -> Result<(), BuildError> {
    let size = bytes.len() as u64;
    if size > max { Err(super::Flaw::new(entry, Fault::TooLarge { size, max }).into()) } else { Ok(()) }
}

/// The base that index.json names: none if nothing was left out for it. What is neither there nor in the base is missing.
fn base_of(held: Option<base::Held>, graph: &Graph) -> Result<Option<Base>, BuildError> {
    let Some(held) = held.filter(|_| !graph.left_out.is_empty()) else { return Ok(None) };
    if let Some(digest) = graph.left_out.keys().find(|digest| !held.blobs.contains(digest)) {
        return Err(super::Flaw::new(names::blob(digest), Fault::Missing { by: names::INDEX.into() }).into());
    }
    // A name that no reader would take.
    Base::read(&held.base.annotations(&graph.left_out)).map_err(|fault| super::Flaw::new(names::INDEX, fault))?;
    Ok(Some(held.base))
}

struct Held<'a>(&'a BTreeMap<Digest, Content>, bool);

impl Blobs for Held<'_> {
    fn size(&self, digest: &Digest) -> Option<u64> {
        self.0.get(digest).map(Content::size)
    }

    fn read(&self, digest: &Digest) -> Result<Bytes, Fault> {
        match self.0.get(digest) {
            Some(Content::Here(bytes)) => Ok(bytes.clone()),
            _ => Err(Fault::Format("it is a manifest or a config, and was added without its content".into())),
        }
    }

    fn have_base(&self) -> bool {
        self.1
    }
}

/// The name of a descriptor in index.json: an image's reference, or the name that we gave to an artifact.
pub(crate) fn root_name(root: &Descriptor) -> Result<&str, BuildError> {
    let [image, containerd, ours] = [annotation::REF_NAME, annotation::CONTAINERD_NAME, annotation::NAME].map(|key| root.annotation(key));
    match (image, containerd, ours) {
        (Some(name), Some(also), None) if name == also => {
            name.parse::<Reference>()?;
            Ok(name)
        }
        (None, None, Some(name)) if root.artifact_type.is_some() => Ok(name),
        _ => Err(BuildError::Unnamed { digest: root.digest.clone() }),
    }
}

/// The delivery first, then other artifacts, then images, each by name; no name twice.
pub(crate) fn sorted(roots: Vec<Descriptor>) -> Result<Vec<Descriptor>, BuildError> {
    let mut named: BTreeMap<(u8, String), Descriptor> = BTreeMap::new();
    for root in roots {
        let rank = match root.artifact_type.as_deref() {
            Some(media_type::DELIVERY) => 0,
            _ if root.annotation(annotation::NAME).is_some() => 1,
            _ => 2,
        };
        let name = root_name(&root)?.to_owned();
        match named.entry((rank, name)) {
            Entry::Vacant(slot) => {
                slot.insert(root);
            }
            Entry::Occupied(slot) if *slot.get() == root => {}
            Entry::Occupied(slot) => {
                return Err(BuildError::SameName { name: slot.key().1.clone(), first: slot.get().digest.clone(), second: root.digest });
            }
        }
    }
    Ok(named.into_values().collect())
}

fn index_json(roots: &[Descriptor], base: BTreeMap<String, String>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        schema_version: u32,
        media_type: &'a str,
        manifests: &'a [Descriptor],
        annotations: BTreeMap<String, String>,
    }
    let mut annotations = base;
    annotations.insert(annotation::FORMAT.to_owned(), FORMAT.to_owned());
    let index = Written { schema_version: 2, media_type: media_type::OCI_INDEX, manifests: roots, annotations };
    serde_json::to_vec(&index).expect("strings and numbers serialise")
}

/// What an entry is filled with.
#[derive(Clone)]
pub(crate) enum Fill {
    Bytes(Bytes),
    Layer(Digest, u64),
}

impl Fill {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Layer(_, size) => *size,
        }
    }
}

/// An entry with its place; `offset` is that of its content.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) name: String,
    pub(crate) offset: u64,
    pub(crate) fill: Fill,
}

/// Every entry of an archive with its place, before any layer is there.
#[derive(Clone)]
pub struct Layout {
    index: Bytes,
    entries: Vec<Placed>,
    end: u64,
    name: String,
    base: Option<Base>,
    left_out: BTreeMap<Digest, u64>,
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout").field("entries", &self.entries.len()).field("size", &self.size()).field("first", &self.name).finish_non_exhaustive()
    }
}

impl Layout {
    fn push(&mut self, name: String, fill: Fill) {
        let offset = self.end + header::BLOCK_U64;
        self.end = offset + header::padded(fill.size()).expect("sizes are far below 2^64");
        self.entries.push(Placed { name, offset, fill });
    }

    /// The bytes that are signed.
    pub fn index_json(&self) -> &Bytes {
        &self.index
    }

    /// The archive's size in bytes, its two closing blocks included.
    pub fn size(&self) -> u64 {
        self.end + 2 * header::BLOCK_U64
    }

    /// What must hold the layers that were left out; none if the archive is whole.
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// Layers that were left out, with their sizes.
    pub fn left_out(&self) -> &BTreeMap<Digest, u64> {
        &self.left_out
    }

    /// Where signatures go, in their order.
    pub(crate) fn signature_places(&self) -> Vec<u64> {
        let places = self.entries.iter().filter(|entry| entry.name == names::SIGNATURE || names::is_further_signature(&entry.name));
        places.map(|entry| entry.offset).collect()
    }

    /// Layers whose content comes later, with their sizes, in the archive's order.
    pub fn pending(&self) -> impl Iterator<Item = (&Digest, u64)> {
        self.entries.iter().filter_map(|entry| match &entry.fill {
            Fill::Layer(digest, size) => Some((digest, *size)),
            Fill::Bytes(_) => None,
        })
    }

    pub(crate) fn entries(&self) -> &[Placed] {
        &self.entries
    }
}

/// A signature as its entry holds it: the bundle, blanks, one line feed. No bundle gives the blanks alone.
pub(crate) fn padded_signature(bundle: Option<&str>, room: usize) -> Result<Vec<u8>, BuildError> {
    let bundle = bundle.unwrap_or_default().trim();
    if bundle.len() + 1 > room {
        return Err(BuildError::SignatureTooLarge { size: bundle.len(), max: room - 1 });
    }
    let mut bytes = bundle.as_bytes().to_vec();
    bytes.resize(room - 1, b' ');
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::{Writer, content},
        delivery::record::{self, Record},
    };

    fn delivery(files: &[(String, Bytes)]) -> Artifact {
        let record = Record {
            format: record::FORMAT,
            name: "x".into(),
            version: "1".into(),
            platforms: Vec::new(),
            registry: None,
            apps: Vec::new(),
            images: Vec::new(),
            files: Vec::new(),
        };
        content::delivery_artifact(&record, files)
    }

    fn lay_out(fill: impl FnOnce(&mut Builder)) -> Result<Layout, ArchiveError> {
        let mut builder = Builder::new();
        builder.add_artifact(delivery(&[])).unwrap();
        fill(&mut builder);
        builder.lay_out()
    }

    /// A document under a media type, as an image.
    fn put(builder: &mut Builder, media_type: &str, text: &str, name: &str) -> Descriptor {
        let bytes = Bytes::from(text.to_owned());
        let descriptor = Descriptor::of(media_type, &bytes);
        builder.add_document(&descriptor, bytes).unwrap();
        builder.name(content::image_root(&descriptor, &name.parse().unwrap()));
        descriptor
    }

    #[test]
    fn what_no_reader_would_take_is_not_laid_out() {
        lay_out(|_| ()).unwrap();
        let manifest = format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":CONFIG,"layers":[]}}"#, media_type::OCI_MANIFEST);
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let manifest = manifest.replace("CONFIG", &serde_json::to_string(&config).unwrap());
        let says = |what: &str, fill: &dyn Fn(&mut Builder), wanted: &str| {
            let error = lay_out(fill).expect_err(what).to_string();
            assert!(error.contains(wanted), "{what}: {error}");
        };
        let stray = Descriptor::of(media_type::OCI_LAYER, b"x");
        says("a stray layer", &|b| b.add_layer(&stray).unwrap(), "nothing in index.json leads to it");
        says("no config", &|b| drop(put(b, media_type::OCI_MANIFEST, &manifest, "a")), &names::blob(&config.digest));
        says("another type", &|b| drop(put(b, media_type::DOCKER_MANIFEST, &manifest, "a")), "it is called");
        says("no JSON", &|b| drop(put(b, media_type::OCI_MANIFEST, "x", "a")), "no image manifest");
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        says("no child", &|b| drop(put(b, media_type::OCI_INDEX, index, "a")), "none of the manifests");
        says("no name", &|b| b.name(stray.clone()), "needs the two names");
        let twice = |b: &mut Builder| {
            b.name(content::image_root(&stray, &"a".parse().unwrap()));
            b.name(content::image_root(&config, &"a".parse().unwrap()));
        };
        says("one name for two", &twice, "`docker.io/library/a:latest` names both");
        let no_delivery = Builder::new().lay_out().unwrap_err().to_string();
        assert!(no_delivery.contains("does not begin with the delivery"), "{no_delivery}");
    }

    #[test]
    fn bytes_are_held_against_their_descriptor() {
        let mut builder = Builder::new();
        let descriptor = Descriptor::of(media_type::OCI_LAYER, b"x");
        assert!(matches!(builder.add_document(&descriptor, Bytes::from_static(b"y")), Err(BuildError::NotTheBytes { .. })));
        builder.add_layer(&descriptor).unwrap();
        let longer = Descriptor::new(media_type::OCI_LAYER, descriptor.digest.clone(), 2);
        assert!(matches!(builder.add_layer(&longer), Err(BuildError::TwoSizes { first: 1, second: 2, .. })));
        builder.add_layer_bytes(&descriptor, Bytes::from_static(b"x")).unwrap();
    }

    #[test]
    fn a_full_disk_is_noticed_before_the_first_byte() {
        let mut builder = Builder::new();
        let mut made = delivery(&[("huge".to_owned(), Bytes::from_static(b"x"))]);
        // The manifest claims a file of an exbibyte; only its size matters here.
        let size = 1 << 60;
        let manifest = String::from_utf8(made.blobs[0].1.to_vec()).unwrap().replace(r#""size":1,"#, &format!(r#""size":{size},"#));
        made.blobs[0] = (Descriptor::of(media_type::OCI_MANIFEST, manifest.as_bytes()), manifest.into());
        (made.root.digest, made.root.size) = (made.blobs[0].0.digest.clone(), made.blobs[0].0.size);
        for (descriptor, bytes) in &made.blobs[..2] {
            builder.add_document(descriptor, bytes.clone()).unwrap();
        }
        builder.add_layer(&Descriptor::new(media_type::DELIVERY_FILE, made.blobs[2].0.digest.clone(), size)).unwrap();
        builder.name(made.root);
        let layout = builder.lay_out().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = Writer::create(&folder.path().join("a.tar"), &layout).unwrap_err();
        assert!(matches!(error, ArchiveError::NoSpace { wanted, .. } if wanted > size), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

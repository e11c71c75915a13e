//! What is in an archive, as index.json and the documents tell.

use std::collections::BTreeSet;

use super::{
    Fault, Flaw, Standing, canonical,
    content::{ATTACHMENTS, MANIFESTS},
    graph::{Blobs, Graph},
    names,
};
use crate::{
    delivery::record::{self, AppSource, Record},
    oci::{Descriptor, Digest, Manifest, Platform, Reference, annotation, media_type},
};

/// The table of contents of an archive.
#[derive(Debug)]
pub struct Contents {
    pub(crate) graph: Graph,
    record: Record,
    files: Vec<(String, Descriptor)>,
    images: Vec<(Reference, Descriptor)>,
    agents: Vec<AgentContent>,
    charts: Vec<ChartContent>,
    manifests: Vec<ManifestsContent>,
    attachments: Vec<AttachmentContent>,
    standing: Standing,
    size: u64,
}

/// What of an image is meant for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageContent {
    /// The indexes on the way to the manifest, outermost first; none if the image is a manifest by itself.
    pub indexes: Vec<Descriptor>,
    /// The manifest for the platform.
    pub manifest: Descriptor,
    /// Its config.
    pub config: Descriptor,
    /// Its layers, base first.
    pub layers: Vec<Descriptor>,
}

/// The programs for nodes of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentContent {
    /// Which nodes.
    pub platform: Platform,
    /// The small program that starts the agent.
    pub loader: Descriptor,
    /// The agent.
    pub agent: Descriptor,
}

/// A chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartContent {
    /// Its name in index.json, `charts/NAME-VERSION`.
    pub name: String,
    /// Chart.yaml as JSON.
    pub metadata: Descriptor,
    /// The packaged chart (.tgz).
    pub package: Descriptor,
}

/// An app's plain manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestsContent {
    /// Its name in index.json, `manifests/APP`.
    pub name: String,
    /// The .tgz with the files.
    pub package: Descriptor,
}

/// A signature, an attestation or an SBOM of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentContent {
    /// Where it was: repository and digest, and the tag where it had one.
    pub name: Reference,
    /// What it is about: an image's index or manifest, or another attachment.
    pub subject: Digest,
    /// Its manifest or index.
    pub root: Descriptor,
}

impl Contents {
    pub(crate) fn new(roots: Vec<Descriptor>, graph: Graph, standing: Standing, size: u64, blobs: &dyn Blobs) -> Result<Self, Flaw> {
        let (record, files) = delivery(&roots, &graph, blobs)?;
        check_record(&record, blobs)?;
        let mut contents = Self {
            graph,
            record,
            files,
            images: Vec::new(),
            agents: Vec::new(),
            charts: Vec::new(),
            manifests: Vec::new(),
            attachments: Vec::new(),
            standing,
            size,
        };
        for root in roots {
            contents.add(root)?;
        }
        Ok(contents)
    }

    fn add(&mut self, root: Descriptor) -> Result<(), Flaw> {
        if let Some(name) = root.annotation(annotation::REF_NAME) {
            let reference = name.parse().map_err(|e| Flaw::new(names::INDEX, Fault::Format(format!("{e}"))))?;
            self.images.push((reference, root));
            return Ok(());
        }
        let name = root.annotation(annotation::NAME).unwrap_or_default().to_owned();
        let entry = names::blob(&root.digest);
        let layer = |kind: &str| {
            let manifest = self.graph.manifests.get(&root.digest);
            let found = manifest.and_then(|m| m.layers.iter().find(|l| l.media_type == kind));
            found.cloned().ok_or_else(|| Flaw::new(entry.clone(), Fault::Format(format!("`{name}` has no layer of type {kind}"))))
        };
        match root.artifact_type.as_deref() {
            Some(media_type::AGENT) => {
                let platform = root.platform.clone().ok_or_else(|| Flaw::new(names::INDEX, Fault::Format(format!("`{name}` has no platform"))))?;
                let agent = AgentContent { platform, loader: layer(media_type::LOADER)?, agent: layer(media_type::AGENT)? };
                self.agents.push(agent);
            }
            Some(media_type::HELM_CONFIG) => {
                let package = layer(media_type::HELM_CHART)?;
                let metadata = self.graph.manifests[&root.digest].config.clone();
                self.charts.push(ChartContent { name, metadata, package });
            }
            Some(MANIFESTS) => {
                let package = layer(super::content::MANIFESTS_LAYER)?;
                self.manifests.push(ManifestsContent { name, package });
            }
            Some(media_type::ATTACHMENT) => self.attachments.push(attachment(&name, root)?),
            _ => {}
        }
        Ok(())
    }

    /// What the archive says about itself.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What was found out about its signatures.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Bytes of all entries together.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// All images by their original names, with their index or manifest.
    pub fn images(&self) -> &[(Reference, Descriptor)] {
        &self.images
    }

    /// The index or manifest of an image by its original name.
    pub fn image(&self, reference: &Reference) -> Option<&Descriptor> {
        self.images.iter().find(|(name, _)| name == reference).map(|(_, descriptor)| descriptor)
    }

    /// The programs for nodes, one entry a platform.
    pub fn agents(&self) -> &[AgentContent] {
        &self.agents
    }

    /// The programs for a node.
    pub fn agent(&self, platform: &Platform) -> Option<&AgentContent> {
        self.agents.iter().find(|agent| agent.platform.serves(platform))
    }

    /// The charts.
    pub fn charts(&self) -> &[ChartContent] {
        &self.charts
    }

    /// The plain manifests of apps.
    pub fn manifests(&self) -> &[ManifestsContent] {
        &self.manifests
    }

    /// What is attached to the images.
    pub fn attachments(&self) -> &[AttachmentContent] {
        &self.attachments
    }

    /// The files of the delivery by path: delivery.yaml, values, `spec.files`.
    pub fn files(&self) -> &[(String, Descriptor)] {
        &self.files
    }

    /// A manifest in the archive, parsed.
    pub fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.graph.manifests.get(digest)
    }

    /// The platforms for which an image's manifests are in the archive.
    pub fn platforms(&self, image: &Descriptor) -> Vec<Platform> {
        let mut found = Vec::new();
        self.each_manifest(image, &mut Vec::new(), &mut |_, manifest| found.extend(self.graph.platform(manifest).cloned()));
        found.sort();
        found.dedup();
        found
    }

    /// What of an image a node of this platform needs; none if the archive does not have it for that platform.
    ///
    /// The exact variant goes before another that runs there as well; otherwise the index's order decides, as in containerd.
    pub fn children(&self, image: &Descriptor, platform: &Platform) -> Option<ImageContent> {
        let mut found: Option<(bool, Vec<Descriptor>, Descriptor)> = None;
        self.each_manifest(image, &mut Vec::new(), &mut |indexes, manifest| {
            let Some(own) = self.graph.platform(manifest).filter(|own| own.serves(platform)) else { return };
            let exact = own.variant == platform.variant;
            if found.as_ref().is_none_or(|(was_exact, ..)| exact && !was_exact) {
                found = Some((exact, indexes.to_vec(), manifest.clone()));
            }
        });
        let (_, indexes, manifest) = found?;
        let parsed = self.graph.manifests.get(&manifest.digest)?;
        Some(ImageContent { indexes, config: parsed.config.clone(), layers: parsed.layers.clone(), manifest })
    }

    /// Calls back for each image manifest that is in the archive, with the indexes above it. Depth is bounded by the walk that built the graph.
    fn each_manifest(&self, at: &Descriptor, above: &mut Vec<Descriptor>, found: &mut dyn FnMut(&[Descriptor], &Descriptor)) {
        if let Some(index) = self.graph.indexes.get(&at.digest) {
            above.push(at.clone());
            for child in &index.manifests {
                self.each_manifest(child, above, found);
            }
            above.pop();
        } else if self.graph.manifests.contains_key(&at.digest) {
            found(above, at);
        }
    }

    /// All blobs of an image that are in the archive, with their sizes, for every platform.
    pub fn blobs(&self, image: &Descriptor) -> BTreeSet<(Digest, u64)> {
        let mut blobs = BTreeSet::from([(image.digest.clone(), image.size)]);
        self.each_manifest(image, &mut Vec::new(), &mut |indexes, manifest| {
            let parsed = self.graph.manifests.get(&manifest.digest);
            let below = parsed.into_iter().flat_map(|m| m.layers.iter().chain([&m.config]));
            blobs.extend(indexes.iter().chain([manifest]).chain(below).map(|d| (d.digest.clone(), d.size)));
        });
        blobs
    }
}

/// Its name ends in its own digest, and its subject is one.
fn attachment(name: &str, root: Descriptor) -> Result<AttachmentContent, Flaw> {
    let wrong =
        || Flaw::new(names::INDEX, Fault::Format(format!("`{name}` is no attachment: wanted {ATTACHMENTS}REPOSITORY@DIGEST and the digest of its subject")));
    let origin: Reference = name.strip_prefix(ATTACHMENTS).and_then(|name| name.parse().ok()).ok_or_else(wrong)?;
    let subject = root.annotation(annotation::SUBJECT).and_then(|digest| digest.parse().ok()).ok_or_else(wrong)?;
    if origin.digest() != Some(&root.digest) {
        return Err(wrong());
    }
    Ok(AttachmentContent { name: origin, subject, root })
}

/// The part of a record that every version has.
#[derive(serde::Deserialize)]
struct Version {
    format: u32,
}

/// The delivery artifact: the one of its type, and first.
fn delivery(roots: &[Descriptor], graph: &Graph, blobs: &dyn Blobs) -> Result<(Record, Vec<(String, Descriptor)>), Flaw> {
    let is_delivery = |root: &&Descriptor| root.artifact_type.as_deref() == Some(media_type::DELIVERY);
    let wrong = |text: &str| Flaw::new(names::INDEX, Fault::Format(text.into()));
    let root = roots.first().filter(is_delivery).ok_or_else(|| wrong("it does not begin with the delivery"))?;
    if roots.iter().filter(is_delivery).count() > 1 {
        return Err(wrong("it names two deliveries"));
    }
    let manifest = graph.manifests.get(&root.digest).ok_or_else(|| wrong("the delivery is not a manifest"))?;
    let flaw = |fault| Flaw::new(names::blob(&manifest.config.digest), fault);
    let bytes = blobs.read(&manifest.config.digest).map_err(flaw)?;
    // The version first: what a newer program wrote may look quite different.
    let Version { format } = serde_json::from_slice(&bytes).map_err(|e| flaw(Fault::Json(e)))?;
    if format > record::FORMAT {
        return Err(flaw(Fault::Format(format!("its record has format {format}, this program reads up to {}; use a newer program", record::FORMAT))));
    }
    let record = serde_json::from_slice(&bytes).map_err(|e| flaw(Fault::Json(e)))?;
    canonical::check_names(&record).map_err(flaw)?;
    let mut files = Vec::new();
    for layer in &manifest.layers {
        let title = layer.annotation(annotation::TITLE).ok_or_else(|| Flaw::new(names::blob(&root.digest), Fault::Format("a file has no title".into())))?;
        canonical::check_title(layer, title).map_err(|fault| Flaw::new(names::blob(&root.digest), fault))?;
        files.push((title.to_owned(), layer.clone()));
    }
    Ok((record, files))
}

/// Whatever the record promises is there.
fn check_record(record: &Record, blobs: &dyn Blobs) -> Result<(), Flaw> {
    let apps = record.apps.iter().map(|app| match &app.source {
        AppSource::Chart { digest, .. } | AppSource::Manifests { digest } => (digest, format!("app `{}`", app.name)),
    });
    let images = record.images.iter().map(|image| (&image.digest, format!("image `{}`", image.reference)));
    let files = record.files.iter().map(|file| (&file.digest, format!("file `{}`", file.path)));
    for (digest, who) in apps.chain(images).chain(files) {
        if blobs.size(digest).is_none() {
            return Err(Flaw::new(names::blob(digest), Fault::Missing { by: format!("the record ({who})") }));
        }
    }
    Ok(())
}

//! What both kinds of documents say: things, and how they belong together.

use jiff::Timestamp;

use super::purl;
use crate::{
    archive::Contents,
    delivery::record::{AppRecord, AppSource, ChartOrigin, Record},
    oci::{Descriptor, Digest, Platform, Reference},
};

/// What a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Delivery,
    App,
    Chart,
    Manifests,
    Image,
    File,
    Agent,
}

/// One thing.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) what: What,
    /// Its name within the document; no other thing has it.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) digest: Option<Digest>,
    pub(super) purl: Option<String>,
    pub(super) created: Option<Timestamp>,
    /// Whatever else is known, as names and values.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Things that are a part of it and of nothing else: charts within a chart, platforms of an image.
    pub(super) inside: Vec<Thing>,
}

/// The whole bill.
#[derive(Debug)]
pub(super) struct Bill {
    pub(super) delivery: Thing,
    pub(super) things: Vec<Thing>,
    /// Who needs whom, by their keys.
    pub(super) needs: Vec<(String, String)>,
    pub(super) created: Option<Timestamp>,
    /// Digest of index.json, by which the archive is known.
    pub(super) index: Digest,
}

impl Thing {
    fn new(what: What, key: String, name: impl Into<String>) -> Self {
        Self { what, key, name: name.into(), version: None, digest: None, purl: None, created: None, facts: Vec::new(), inside: Vec::new() }
    }

    fn fact(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((name, value.into()));
        self
    }
}

impl Bill {
    /// Of an archive; `index` is the digest of its index.json.
    pub(super) fn new(contents: &Contents, index: Digest, time: Option<Timestamp>) -> Self {
        let record = contents.record();
        let mut things: Vec<Thing> = Vec::new();
        let mut needs = Vec::new();
        for app in &record.apps {
            let (package, mut needed) = (package(contents, app), vec![package_key(app)]);
            if !things.iter().any(|thing| thing.key == package.key) {
                things.push(package);
            }
            needed.extend(app.depends_on.iter().filter(|name| record.apps.iter().any(|app| app.name == **name)).map(|name| app_key(name)));
            needed.extend(images_of(record, app).map(image_key));
            let mut thing = Thing::new(What::App, app_key(&app.name), &app.name).fact("namespace", &app.namespace);
            if let AppSource::Chart { version, .. } = &app.source {
                thing.version = Some(version.clone());
            }
            needs.extend(needed.into_iter().map(|needed| (thing.key.clone(), needed)));
            things.push(thing);
        }
        things.extend(contents.images().iter().map(|(name, root)| image(contents, name, root)));
        things.extend(contents.files().iter().map(|(path, descriptor)| {
            let thing = Thing::new(What::File, format!("file/{path}"), path).fact("size", descriptor.size.to_string());
            Thing { digest: Some(descriptor.digest.clone()), ..thing }
        }));
        things.extend(contents.agents().iter().map(|agent| {
            let thing = Thing::new(What::Agent, format!("agent/{}", agent.platform), "kubectl-offline-agent");
            let thing = thing.fact("size", agent.agent.size.to_string()).fact("platform", agent.platform.to_string());
            Thing { digest: Some(agent.agent.digest.clone()), ..thing }
        }));
        things.sort_by(|a, b| a.key.cmp(&b.key));
        needs.sort();
        needs.dedup();
        let newest = things.iter().flat_map(|thing| std::iter::once(thing).chain(&thing.inside)).filter_map(|thing| thing.created).max();
        Self { delivery: delivery(record, &index), things, needs, created: time.or(newest), index }
    }
}

fn delivery(record: &Record, index: &Digest) -> Thing {
    let mut thing = Thing::new(What::Delivery, "delivery".to_owned(), &record.name).fact("index", index.to_string());
    for platform in &record.platforms {
        thing = thing.fact("platform", platform.to_string());
    }
    Thing { version: Some(record.version.clone()), ..thing }
}

fn app_key(name: &str) -> String {
    format!("app/{name}")
}

fn image_key(name: &Reference) -> String {
    format!("image/{name}")
}

fn images_of<'a>(record: &'a Record, app: &'a AppRecord) -> impl Iterator<Item = &'a Reference> {
    record.images.iter().filter(|image| image.origins.iter().any(|origin| origin.app.as_ref() == Some(&app.name))).map(|image| &image.reference)
}

fn package_key(app: &AppRecord) -> String {
    match &app.source {
        AppSource::Chart { name, version, .. } => format!("chart/{name}-{version}"),
        AppSource::Manifests { .. } => format!("manifests/{}", app.name),
    }
}

/// An app's chart with the charts that were downloaded into it, or its manifests.
fn package(contents: &Contents, app: &AppRecord) -> Thing {
    let key = package_key(app);
    let size = |digest: &Digest| contents.charts().iter().map(|chart| &chart.package).find(|package| package.digest == *digest).map(|package| package.size);
    match &app.source {
        AppSource::Manifests { digest } => Thing { digest: Some(digest.clone()), ..Thing::new(What::Manifests, key, format!("{} (manifests)", app.name)) },
        AppSource::Chart { name, version, digest, origin } => {
            let mut thing = Thing::new(What::Chart, key.clone(), name);
            if let Some(size) = size(digest) {
                thing = thing.fact("size", size.to_string());
            }
            thing = origin.iter().fold(thing, with_origin);
            for part in origin.iter().flat_map(|origin| &origin.dependencies) {
                let inner = Thing::new(What::Chart, format!("{key}/{}-{}", part.name, part.version), &part.name).fact("source", &part.repository);
                let purl = Some(purl::chart(&part.name, &part.version, Some(&part.repository)));
                let inner = Thing { version: Some(part.version.clone()), digest: Some(part.digest.clone()), purl, ..inner };
                // An alias makes one chart into two dependencies.
                if !thing.inside.iter().any(|known| known.key == inner.key) {
                    thing.inside.push(inner);
                }
            }
            let source = origin.as_ref().and_then(|origin| origin.source.as_deref());
            Thing { version: Some(version.clone()), digest: Some(digest.clone()), purl: Some(purl::chart(name, version, source)), ..thing }
        }
    }
}

fn with_origin(mut thing: Thing, origin: &ChartOrigin) -> Thing {
    if let Some(source) = &origin.source {
        thing = thing.fact("source", source);
    }
    if let Some(manifest) = &origin.manifest {
        thing = thing.fact("manifest", manifest.to_string());
    }
    match &origin.signer {
        Some(signer) => thing.fact("signer", signer),
        None => thing,
    }
}

/// An image; of an index, each platform that travels is inside.
fn image(contents: &Contents, name: &Reference, root: &Descriptor) -> Thing {
    let key = image_key(name);
    let platforms = contents.platforms(root);
    let size: u64 = contents.blobs(root).iter().map(|(_, size)| size).sum();
    let mut thing = Thing::new(What::Image, key.clone(), name.name()).fact("size", size.to_string()).fact("reference", name.to_string());
    for platform in &platforms {
        thing = thing.fact("platform", platform.to_string());
    }
    thing.version = Some(name.tag().map_or_else(|| root.digest.to_string(), str::to_owned));
    thing.digest = Some(root.digest.clone());
    let mut arch = None;
    for platform in &platforms {
        let Some(content) = contents.children(root, platform) else { continue };
        let created = contents.graph.created(&content.manifest.digest).and_then(time);
        if content.manifest.digest == root.digest {
            (thing.created, arch) = (created, Some(platform));
            continue;
        }
        let size: u64 = content.layers.iter().chain([&content.manifest, &content.config]).map(|descriptor| descriptor.size).sum();
        let inner = Thing::new(What::Image, format!("{key}/{platform}"), name.name()).fact("size", size.to_string()).fact("platform", platform.to_string());
        let digest = content.manifest.digest;
        let purl = Some(purl::image(name, &digest, Some(platform)));
        thing.inside.push(Thing { version: Some(digest.to_string()), digest: Some(digest), purl, created, ..inner });
    }
    let purl: Option<String> = Some(purl::image(name, &root.digest, arch.map(|platform: &Platform| platform)));
    Thing { purl, ..thing }
}

/// A time that an image bears; tools that leave it out write Go's zero time, or the beginning of 1970.
fn time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().filter(|time| time.as_second() > 0)
}

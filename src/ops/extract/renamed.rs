//! What images are called where the plain folder is installed: below `spec.registry`, as far as helm can be told so. Charts are told by their own registry
//! key, manifests are rewritten; what a chart goes on to call by its original name is imported under that as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::{Map, Value};

use super::{choose::Chosen, error::ExtractError};
use crate::{
    archive::Archive,
    chart::{self, Chart, RenderOptions, Rendered},
    delivery::record::{AppRecord, ImageRecord, Record},
    failure::{Failure, Kind},
    oci::{Descriptor, Digest, Reference},
    ops::{
        install::{RenderRequest, Renderer},
        renaming,
        verify::archive_failure,
    },
    rewrite::{self, Slot},
    tree::FileTree,
};

/// Names that a note lists.
const LISTED: usize = 10;

/// The names of a delivery's images, and what was learned of who asks for which.
pub(super) struct Renamed<'a> {
    plan: rewrite::Plan,
    registry: Option<&'a str>,
    renderer: Renderer,
    /// Apps, and the new names that they ask for.
    moved: BTreeSet<(String, Reference)>,
    /// Original names that somebody asks for.
    kept: BTreeSet<Reference>,
    pub(super) notes: Vec<String>,
}

impl<'a> Renamed<'a> {
    pub(super) fn new(record: &'a Record) -> Result<Self, Failure> {
        let registry = record.registry.as_deref();
        let plan = rewrite::Plan::new(&record.images, registry).map_err(|error| Failure::new(Kind::Usage, error))?;
        Ok(Self { plan, registry, renderer: Renderer::engine(), moved: BTreeSet::new(), kept: BTreeSet::new(), notes: Vec::new() })
    }

    /// The values of an app with a chart: with the chart's registry key, where it has one that moves its images.
    pub(super) fn values(&mut self, archive: &Archive, app: &AppRecord, package: &Digest) -> Result<Map<String, Value>, Failure> {
        let Some(registry) = self.registry else { return Ok(app.values.clone()) };
        let bytes = archive.read(package).map_err(archive_failure)?;
        let chart = Chart::from_tgz(&bytes).map_err(|error| ExtractError::Manifests { app: app.name.clone(), reason: error.to_string() })?;
        let mut render = |given: &Map<String, Value>| renaming::slots(&self.render(app, &chart, given).ok()?);
        let chosen = rewrite::choose(&self.plan, registry, &app.values, app.registry_keys.as_deref(), &mut render).unwrap_or_else(|| app.values.clone());
        match render(&chosen) {
            Some(slots) => self.learn(app, &slots),
            None => self.notes.push(format!("app {}: its chart cannot be rendered without a cluster, so its images keep their original names too", app.name)),
        }
        Ok(chosen)
    }

    /// The files of an app that is plain manifests, with new names in them.
    pub(super) fn manifests(&mut self, app: &AppRecord, version: &str, files: FileTree) -> Result<FileTree, ExtractError> {
        if self.registry.is_none() {
            return Ok(files);
        }
        let wrong = |reason: String| ExtractError::Manifests { app: app.name.clone(), reason };
        let chart = chart::from_manifests(&app.name, version, &files).map_err(|error| wrong(error.to_string()))?;
        let mut rendered = self.render(app, &chart, &Map::new()).map_err(wrong)?;
        renaming::rename(&self.plan, &mut rendered).map_err(|error| wrong(error.to_string()))?;
        self.learn(app, &renaming::slots(&rendered).unwrap_or_default());
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        let documents = rendered.manifests.iter().map(|one| (&one.path, &one.content)).chain(rendered.hooks.iter().map(|one| (&one.path, &one.manifest)));
        for (path, content) in documents {
            let path = path.strip_prefix(&format!("{}/templates/", app.name)).unwrap_or(path);
            // Writing to a String cannot fail.
            let _ = write!(texts.entry(path.to_owned()).or_default(), "---\n{}\n", content.trim_end());
        }
        let mut tree = FileTree::new();
        for (path, text) in texts {
            tree.insert(path.parse().map_err(|error: crate::tree::UnsafePath| wrong(error.to_string()))?, text.into());
        }
        Ok(tree)
    }

    fn render(&self, app: &AppRecord, chart: &Chart, given: &Map<String, Value>) -> Result<Rendered, String> {
        let usual = RenderOptions::new(&app.name, &app.namespace).capabilities;
        let request = RenderRequest {
            name: app.name.clone(),
            namespace: app.namespace.clone(),
            revision: 1,
            upgrade: false,
            kube_version: usual.kube_version.version,
            api_versions: usual.api_versions,
            lookup: None,
        };
        self.renderer.render(chart, given, &request).map_err(|error| error.to_string())
    }

    fn learn(&mut self, app: &AppRecord, slots: &[Slot]) {
        for image in slots.iter().filter_map(|slot| slot.image.parse().ok()) {
            if self.plan.is_new_name(&image) {
                self.moved.insert((app.name.clone(), image));
            } else if self.plan.new_name(&image).is_some() {
                self.kept.insert(image);
            }
        }
    }

    /// Images under all names that pods may ask for, `repo:tag` and `repo@digest`: the new ones, and the original ones wherever nothing shows that nobody
    /// asks for them.
    pub(super) fn names(&mut self, archive: &Archive, chosen: &Chosen<'_>) -> Result<Vec<(Reference, Descriptor)>, Failure> {
        let usage = |error| Failure::new(Kind::Usage, error);
        let mut plans = vec![rewrite::Plan::new(&chosen.records, self.registry).map_err(usage)?];
        if let Some(registry) = self.registry {
            let both: Vec<ImageRecord> = chosen.records.iter().filter(|image| !self.has_moved(image)).cloned().collect();
            self.note(registry, &both);
            plans.push(rewrite::Plan::new(&both, None).map_err(usage)?);
        }
        let root = |digest: &Digest| chosen.records.iter().filter(|image| image.digest == *digest).find_map(|image| archive.image(&image.reference));
        let mut named = BTreeMap::new();
        for image in plans.iter().flat_map(rewrite::image_names) {
            let Some(root) = root(&image.digest) else { continue };
            named.extend(image.names.into_iter().map(|name| (name, root.clone())));
        }
        Ok(named.into_iter().collect())
    }

    /// Whether every app that spoke for an image asks for its new name, and none for the original one.
    fn has_moved(&self, image: &ImageRecord) -> bool {
        let mut apps = image.origins.iter().filter_map(|origin| origin.app.as_ref()).peekable();
        let Some(new) = self.plan.new_name(&image.reference).filter(|_| apps.peek().is_some()) else { return false };
        !self.kept.contains(&image.reference) && apps.all(|app| self.moved.contains(&(app.clone(), new.clone())))
    }

    fn note(&mut self, registry: &str, both: &[ImageRecord]) {
        let mut note = format!("images are called as spec.registry ({registry}) says");
        if !both.is_empty() {
            let names: Vec<String> = both.iter().take(LISTED).map(|image| image.reference.to_string()).collect();
            let more = if both.len() > LISTED { ", …" } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(note, "; where a chart has no key for that, or nothing shows who asks, also by their original names: {}{more}", names.join(", "));
        }
        self.notes.push(note);
    }
}

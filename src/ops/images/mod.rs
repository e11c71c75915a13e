//! `images`: every image of a delivery or an archive, and who named it; what only some switch brings; what really runs.

mod explore;
mod running;
mod why;

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

pub use explore::Explored;
pub use running::{Comparison, Found, Running, compare};
pub use why::{WhyImage, WhyLine, WhyOutcome};

use super::{
    charts::{self, ChartAccess, ChartSet},
    export::{
        attached::AttachmentMode,
        resolve::{GuessMode, Resolved, Resolver},
    },
    guesses::Guess,
    lock,
    prepare::{self, Prepared, source_failure},
    several, tags,
};
use crate::{
    archive::Archive,
    delivery::{
        Delivery, ImageEntry, Lock,
        record::{ImageRecord, Origin},
    },
    failure::Failure,
    images::ImageSet,
    oci::{Digest, Platform, Reference},
    progress::{SharedReporter, Silent},
    source::LocalArchive,
};

/// Every image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Images")]
pub struct ImagesOutcome {
    /// Sorted by reference.
    pub images: Vec<ImageLine>,
    /// Guesses that no registry has for the platforms, with why; after `--resolve`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Guess>,
    /// Images that only appear with a switch of the chart turned; after `--explore`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub explored: Vec<Explored>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageLine {
    /// Its full name.
    #[schemars(with = "String")]
    pub reference: Reference,
    /// Its digest, where that is known without asking a registry, or after `--resolve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub digest: Option<Digest>,
    /// Platforms of those that are wanted; after `--resolve`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub platforms: Vec<Platform>,
    /// Bytes of its layers, shared ones included; after `--resolve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Whether it may be one; left out where it is proven.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guess: bool,
    /// Why it may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Values with which the chart uses it, as after `--set`: a guess that was tried, and is an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Who named it.
    pub origins: Vec<Origin>,
}

/// What to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImagesOptions {
    /// Ask registries.
    pub resolve: bool,
    /// Turn each switch of the charts.
    pub explore: bool,
}

/// A delivery with its charts, rendered.
struct Known {
    charts: ChartSet,
    prepared: Prepared,
    archives: Vec<(LocalArchive, Origin)>,
    locked: Option<Lock>,
}

impl Known {
    async fn of(delivery: &Delivery, access: &ChartAccess, options: ImagesOptions, reporter: &SharedReporter) -> Result<Self, Failure> {
        let locked = lock::read(delivery)?;
        let mut delivery = delivery.clone();
        if options.resolve {
            let registries = Arc::new(access.registries(&delivery));
            tags::settle(&mut delivery, locked.as_ref(), &registries, reporter).await?;
        } else {
            tags::settled(&mut delivery, locked.as_ref())?;
        }
        let delivery = &delivery;
        let pins = locked.as_ref().map(|locked| lock::pins(delivery, locked));
        let charts = charts::fetch(delivery, &access.charts(charts::hosts(delivery))?, pins.as_ref(), false, reporter).await?;
        let trials = if options.explore { explore::TRIALS } else { prepare::TRIALS };
        let prepared = prepare::prepare_trying(delivery, &charts, trials, &**reporter);
        let archives = open_archives(delivery, access, &delivery.spec.platforms, delivery.folder())?;
        Ok(Self { charts, prepared, archives, locked })
    }

    /// All images, those of image archives too.
    fn images(&self) -> ImageSet {
        let mut images = self.prepared.images.clone();
        for (archive, origin) in &self.archives {
            for (name, _) in names(archive) {
                images.add(name, origin.clone());
            }
        }
        images
    }
}

/// The JSON schema of what `images --format json` prints: `schemas/images.schema.json` is exactly this.
pub fn schema_json() -> String {
    format!("{:#}\n", schemars::schema_for!(ImagesOutcome).to_value())
}

/// The images that a delivery will carry, without asking registries.
pub async fn images_of_delivery(delivery: &Delivery, access: &ChartAccess) -> Result<ImagesOutcome, Failure> {
    run(delivery, access, ImagesOptions::default(), Arc::new(Silent)).await
}

/// The images that a delivery will carry. Charts are fetched where they are not here, in the versions of the lock where there is one;
/// registries are asked about images only when that is wanted. Everything that is wrong is told at once.
pub async fn run(delivery: &Delivery, access: &ChartAccess, options: ImagesOptions, reporter: SharedReporter) -> Result<ImagesOutcome, Failure> {
    let mut known = Known::of(delivery, access, options, &reporter).await?;
    let images = known.images();
    let failures = std::mem::take(&mut known.prepared.failures);
    let mut outcome = if options.resolve {
        resolved(delivery, access, &mut known, failures, &reporter).await?
    } else {
        several::all("things are wrong with the apps of this delivery", failures)?;
        let digests = digests(&known);
        ImagesOutcome { images: lines(&images, |image| digests.get(image).or(image.digest()).cloned()), ..ImagesOutcome::default() }
    };
    if options.explore {
        outcome.explored = explore::explore(delivery, &known.charts, &images, &reporter)?;
    }
    Ok(outcome)
}

/// What names the images that a pattern matches, down to the lines.
pub async fn why(delivery: &Delivery, access: &ChartAccess, wanted: &str, reporter: SharedReporter) -> Result<WhyOutcome, Failure> {
    let mut known = Known::of(delivery, access, ImagesOptions::default(), &reporter).await?;
    several::all("things are wrong with the apps of this delivery", std::mem::take(&mut known.prepared.failures))?;
    why::explain(delivery, &known.charts, &known.images(), wanted)
}

async fn resolved(
    delivery: &Delivery,
    access: &ChartAccess,
    known: &mut Known,
    failures: Vec<Failure>,
    reporter: &SharedReporter,
) -> Result<ImagesOutcome, Failure> {
    let registries = Arc::new(access.registries(delivery));
    let locked = known.locked.as_ref().map(Lock::image_digests);
    let platforms = &delivery.spec.platforms;
    let asked =
        Resolver { delivery, platforms, locked: locked.as_ref(), registries: &registries, guesses: GuessMode::Show, attachments: AttachmentMode::Ignore };
    let evidence = known.images();
    let archives = std::mem::take(&mut known.archives);
    let Resolved { images: found, dropped, .. } = asked.resolve(known.prepared.images.clone(), archives, failures, reporter).await?;
    let mut images = lines(&evidence, |image| found.get(image).map(|(image, _)| image.root.digest.clone()));
    images.retain(|line| found.contains_key(&line.reference));
    for line in &mut images {
        if let Some((image, _)) = found.get(&line.reference) {
            line.platforms.clone_from(&image.platforms);
            line.size = Some(image.layers.iter().map(|layer| layer.size).sum());
        }
    }
    Ok(ImagesOutcome { images, dropped, explored: Vec::new() })
}

/// The images that an archive carries, as its record says.
pub fn images_of_archive(archive: &Archive) -> ImagesOutcome {
    let line = |image: &ImageRecord| ImageLine {
        reference: image.reference.clone(),
        digest: Some(image.digest.clone()),
        platforms: Vec::new(),
        size: None,
        guess: false,
        reason: None,
        with: None,
        origins: image.origins.clone(),
    };
    ImagesOutcome { images: archive.record().images.iter().map(line).collect(), ..ImagesOutcome::default() }
}

fn digests(known: &Known) -> BTreeMap<Reference, Digest> {
    let mut digests = known.locked.as_ref().map(Lock::image_digests).unwrap_or_default();
    digests.extend(known.archives.iter().flat_map(|(archive, _)| names(archive)));
    digests
}

fn lines(images: &ImageSet, digest: impl Fn(&Reference) -> Option<Digest>) -> Vec<ImageLine> {
    let line = |(image, evidence): (&Reference, &crate::images::Evidence)| ImageLine {
        reference: image.clone(),
        digest: digest(image),
        platforms: Vec::new(),
        size: None,
        guess: evidence.guess().is_some(),
        reason: evidence.guess().map(ToOwned::to_owned),
        with: evidence.with().map(ToOwned::to_owned),
        origins: evidence.origins().to_vec(),
    };
    images.iter().map(line).collect()
}

/// Opens the image archives of a delivery, and gets the images of a running docker and containerd, each with its place in delivery.yaml.
pub(super) fn open_archives(
    delivery: &Delivery,
    access: &ChartAccess,
    platforms: &[Platform],
    scratch: &std::path::Path,
) -> Result<Vec<(LocalArchive, Origin)>, Failure> {
    let (mut opened, mut failures) = (Vec::new(), Vec::new());
    for (i, entry) in delivery.spec.images.iter().enumerate() {
        let found = match entry {
            ImageEntry::Archive(path) => LocalArchive::open(&delivery.resolve(path), scratch, platforms),
            ImageEntry::Docker(image) => LocalArchive::of_docker(access.docker_host.as_deref(), image, scratch, platforms),
            ImageEntry::Containerd(image) => LocalArchive::of_containerd(&access.containerd, image, platforms),
            ImageEntry::Ref(_) | ImageEntry::Policy { .. } => continue,
        };
        match found {
            Ok(archive) => opened.push((archive, Origin { path: format!("spec.images[{i}]"), ..Origin::default() })),
            Err(error) => failures.push(source_failure(error)),
        }
    }
    several::all("image archives cannot be used", failures)?;
    Ok(opened)
}

/// The names in an image archive, each with its digest.
pub(super) fn names(archive: &LocalArchive) -> Vec<(Reference, Digest)> {
    let of = |image: &crate::source::LocalImage| image.names.iter().map(|name| (name.clone(), image.content.root.digest.clone())).collect::<Vec<_>>();
    archive.images().iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_in_the_repository_is_that_of_the_types() {
        let kept = std::fs::read_to_string(format!("{}/schemas/images.schema.json", env!("CARGO_MANIFEST_DIR"))).unwrap_or_default();
        assert!(kept == super::schema_json(), "run `kubectl-offline schema images > schemas/images.schema.json`");
    }
}

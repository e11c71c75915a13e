//! `lock`: writes what a delivery resolves to beside it; and how an export holds itself to that.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use serde::Serialize;

use super::{
    charts::{self, ChartAccess, ChartSet},
    export::{
        attached::AttachmentMode,
        resolve::{GuessMode, Resolved, Resolver},
    },
    guesses::{Ask, Guess},
    images::open_archives,
    prepare, tags,
};
use crate::{
    delivery::{App, AppSource, ChartSource, Delivery, LOCK_MAX, Lock, LockedAttachment, LockedChart, LockedDependency},
    failure::{Failure, Kind},
    images::ImageSet,
    io::{self, read_capped_text},
    oci::{Digest, Reference},
    progress::SharedReporter,
    registry::{Attachment, Registries},
    source::{ChartPin, Pin, ResolvedDependency},
};

const HINT: &str = "`kubectl offline lock` resolves the delivery anew and writes what it finds into the lock";

/// What to lock.
pub struct LockOptions {
    /// The delivery.
    pub delivery: Delivery,
    /// What of this machine is needed to reach charts and images.
    pub access: ChartAccess,
    /// Write nothing; fail where the lock would change.
    pub check: bool,
    /// Who is asked about guesses; nobody if left out.
    pub ask: Option<Ask>,
}

impl std::fmt::Debug for LockOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockOptions").field("delivery", &self.delivery.path).field("check", &self.check).finish_non_exhaustive()
    }
}

/// What was locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockOutcome {
    /// The lock.
    pub path: PathBuf,
    /// Whether it is another one than before.
    pub changed: bool,
    /// What is new, gone or changed in it, one line each.
    pub changes: Vec<String>,
    /// Charts in it.
    pub charts: usize,
    /// Images in it.
    pub images: usize,
    /// Guesses that no registry has for us.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Guess>,
    /// Guesses that stay behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Guess>,
}

/// A lock that does not belong to the delivery, or no longer.
#[derive(Debug, thiserror::Error)]
#[error("`{}` does not belong to `{}` as it is now:{}", lock.display(), delivery.display(), lines(differences))]
struct Disagreement {
    lock: PathBuf,
    delivery: PathBuf,
    differences: Vec<String>,
}

/// `--check`, and the lock would change.
#[derive(Debug, thiserror::Error)]
#[error("`{}` would change:{}", path.display(), lines(changes))]
struct Outdated {
    path: PathBuf,
    changes: Vec<String>,
}

/// `--locked`, and there is no lock.
#[derive(Debug, thiserror::Error)]
#[error("--locked was said, and there is no `{}`", .0.display())]
struct NoLock(PathBuf);

fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| ["\n  - ", line]).collect()
}

/// Resolves everything anew and writes the lock.
pub async fn run(options: LockOptions, reporter: SharedReporter) -> Result<LockOutcome, Failure> {
    let LockOptions { delivery, access, check, ask } = options;
    let path = delivery.lock_path();
    let before = match read_capped_text(&path, LOCK_MAX as u64) {
        Ok(text) => Some(text),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(Failure::new(Kind::Usage, error)),
    };
    // One that cannot be read any more is simply written anew.
    let old = before.as_deref().and_then(|text| Lock::parse(&path, text).ok());
    let digests = old.as_ref().map(Lock::image_digests).filter(|_| check);
    let guesses = digests.as_ref().map_or(GuessMode::Decide(ask.as_ref()), GuessMode::AsBefore);
    let registries = Arc::new(access.registries(&delivery));
    let (lock, resolved) = anew(delivery, &access, &registries, guesses, AttachmentMode::Find, &reporter).await?;
    let text = lock.text();
    let changes = changes(old.as_ref(), &lock);
    let differs = before.as_deref() != Some(text.as_str());
    if check && differs {
        return Err(
            Failure::new(Kind::Other, Outdated { path, changes }).hint("run `kubectl offline lock` without --check, look at what it changed, and commit it")
        );
    }
    if differs {
        io::write_atomic(&path, text.as_bytes()).map_err(|error| Failure::new(Kind::Other, error))?;
    }
    let Resolved { dropped, left, .. } = resolved;
    Ok(LockOutcome { path, changed: differs, changes, charts: lock.charts.len(), images: lock.images.len(), dropped, left })
}

/// What a delivery resolves to now, whatever its lock says.
pub(super) async fn anew(
    mut delivery: Delivery,
    access: &ChartAccess,
    registries: &Arc<Registries>,
    guesses: GuessMode<'_>,
    attachments: AttachmentMode<'_>,
    reporter: &SharedReporter,
) -> Result<(Lock, Resolved), Failure> {
    let sources = access.charts(charts::hosts(&delivery))?;
    let tags = tags::settle(&mut delivery, None, registries, reporter).await?;
    let found = charts::fetch(&delivery, &sources, None, true, reporter).await?;
    let prepared = prepare::prepare(&delivery, &found, &**reporter);
    let archives = open_archives(&delivery, &delivery.spec.platforms, delivery.folder())?;
    let asked = Resolver { delivery: &delivery, platforms: &delivery.spec.platforms, locked: None, registries, guesses, attachments };
    let evidence = prepared.images.digest();
    let resolved = asked.resolve(prepared.images, archives, prepared.failures, reporter).await?;
    Ok((of(&delivery, &found, &resolved, evidence)?.with_tags(tags), resolved))
}

/// The delivery's lock, where it has one.
pub(super) fn read(delivery: &Delivery) -> Result<Option<Lock>, Failure> {
    let path = delivery.lock_path();
    let text = match read_capped_text(&path, LOCK_MAX as u64) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(Failure::new(Kind::Usage, error)),
    };
    Lock::parse(&path, &text).map(Some).map_err(|error| Failure::new(Kind::Usage, error).hint(HINT))
}

/// The lock is there and was made for the charts that the delivery asks for.
pub(super) fn must_fit(delivery: &Delivery, lock: Option<&Lock>) -> Result<(), Failure> {
    match lock {
        Some(lock) => agree(delivery, lock.differences(delivery)),
        None => Err(Failure::new(Kind::Usage, NoLock(delivery.lock_path())).hint(HINT)),
    }
}

/// Writes a lock that export had to bring up to date; tells what changed.
pub(super) fn keep_current(delivery: &Delivery, old: &Lock, new: &Lock, reporter: &SharedReporter) -> Result<(), Failure> {
    if old == new {
        return Ok(());
    }
    let path = delivery.lock_path();
    io::write_atomic(&path, new.text().as_bytes()).map_err(|error| Failure::new(Kind::Other, error))?;
    reporter.note(format!("{} was brought up to date:{}", path.display(), lines(&changes(Some(old), new))));
    Ok(())
}

/// What charts must be: those that the delivery still asks for as it did.
pub(super) fn pins(delivery: &Delivery, lock: &Lock) -> BTreeMap<String, ChartPin> {
    let pin = |chart: &LockedChart| ChartPin {
        chart: Pin { version: chart.version.clone(), digest: chart.digest.clone(), manifest: chart.manifest.clone() },
        dependencies: chart.dependencies.iter().map(pinned).collect(),
    };
    let fits = |chart: &&LockedChart| {
        let asks = |app: &App| match &app.source {
            AppSource::Chart(source) => chart.fits(source, app.tag_policy.as_ref()),
            AppSource::Manifests(_) => false,
        };
        delivery.spec.apps.iter().any(|app| app.name == chart.app && asks(app))
    };
    lock.charts.iter().filter(fits).map(|chart| (chart.app.clone(), pin(chart))).collect()
}

/// Charts that were downloaded are the locked ones; those that lie beside the delivery may have changed since.
pub(super) fn agree_on_charts(delivery: &Delivery, lock: &Lock, found: &ChartSet) -> Result<(), Failure> {
    let mut differences = Vec::new();
    for (app, chart) in found {
        if let Some(locked) = lock.chart(app)
            && locked.digest != Digest::of(&chart.package().map_err(prepare::source_failure)?)
        {
            let path = locked.path.as_deref().unwrap_or_default();
            differences.push(format!("the chart `{path}` of app `{app}` has changed since"));
        }
    }
    agree(delivery, differences)
}

/// Exactly the locked images are named, and by whom they were then. `local` are the names in image archives.
pub(super) fn agree_on_images(delivery: &Delivery, lock: &Lock, named: &ImageSet, local: &BTreeSet<Reference>) -> Result<(), Failure> {
    let mut unused = lock.image_digests();
    let mut differences = Vec::new();
    let guessed = |image: &Reference| named.get(image).is_some_and(|evidence| evidence.guess().is_some()) && !local.contains(image);
    for image in named.iter().map(|(image, _)| image).chain(local) {
        if unused.remove(image).is_none() && !lock.images.iter().any(|locked| locked.reference == *image) && !guessed(image) {
            differences.push(format!("the image {image} is not in the lock"));
        }
    }
    differences.extend(unused.keys().map(|image| format!("nothing names the image {image} any more")));
    if differences.is_empty() && lock.evidence.as_ref() != Some(&named.digest()) {
        differences.push("the same images are named by other objects, charts or values than when it was made".to_owned());
    }
    agree(delivery, differences)
}

fn agree(delivery: &Delivery, differences: Vec<String>) -> Result<(), Failure> {
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, Disagreement { lock: delivery.lock_path(), delivery: delivery.path.clone(), differences }).hint(HINT))
}

/// The lock of what was resolved.
pub(super) fn of(delivery: &Delivery, found: &ChartSet, resolved: &Resolved, evidence: Digest) -> Result<Lock, Failure> {
    let mut locked = Vec::new();
    for app in &delivery.spec.apps {
        let (AppSource::Chart(source), Some(chart)) = (&app.source, found.get(&app.name)) else { continue };
        let version = match (&chart.origin, source) {
            (Some(origin), ChartSource::Repository { .. } | ChartSource::Registry { .. }) => origin.version.clone(),
            _ => chart.chart.version().to_owned(),
        };
        let mut entry = LockedChart::asking(&app.name, source, version, Digest::of(&chart.package().map_err(prepare::source_failure)?));
        entry.tag_policy = app.tag_policy.as_ref().map(Into::into);
        entry.manifest = chart.origin.as_ref().and_then(|origin| origin.manifest.clone());
        entry.dependencies = chart.dependencies.iter().map(locked_dependency).collect();
        locked.push(entry);
    }
    let images = resolved.images.iter().map(|(reference, (image, _))| (reference.clone(), image.root.digest.clone())).collect();
    let attached = |attachment: &Attachment| LockedAttachment { reference: attachment.name.clone(), subject: attachment.subject.clone() };
    let attachments = resolved.attachments.iter().map(|(image, found)| (image.clone(), found.iter().map(attached).collect())).collect();
    Ok(Lock::new(locked, images, evidence).with_attachments(attachments))
}

fn locked_dependency(d: &ResolvedDependency) -> LockedDependency {
    LockedDependency {
        name: d.name.clone(),
        repository: d.repository.clone(),
        version: d.version.clone(),
        digest: d.digest.clone(),
        manifest: d.manifest.clone(),
    }
}

fn pinned(d: &LockedDependency) -> ResolvedDependency {
    ResolvedDependency {
        name: d.name.clone(),
        repository: d.repository.clone(),
        version: d.version.clone(),
        digest: d.digest.clone(),
        manifest: d.manifest.clone(),
    }
}

fn changes(old: Option<&Lock>, new: &Lock) -> Vec<String> {
    let Some(old) = old else { return vec!["there is no lock that could be read".to_owned()] };
    let mut found = Vec::new();
    for chart in &new.charts {
        match old.chart(&chart.app) {
            None => found.push(format!("chart of {}: {} is new", chart.app, chart.version)),
            Some(before) if before == chart => {}
            Some(before) if before.version == chart.version => found.push(format!("chart of {}: {} has other content", chart.app, chart.version)),
            Some(before) => found.push(format!("chart of {}: {} → {}", chart.app, before.version, chart.version)),
        }
    }
    found.extend(old.charts.iter().filter(|chart| new.chart(&chart.app).is_none()).map(|chart| format!("chart of {}: gone", chart.app)));
    let (before, now) = (old.image_digests(), new.image_digests());
    for (image, digest) in &now {
        match before.get(image) {
            None => found.push(format!("image {image}: new, {}", digest.short())),
            Some(old) if old == digest => {}
            Some(old) => found.push(format!("image {image}: {} → {}", old.short(), digest.short())),
        }
    }
    for image in new.images.iter().filter(|image| before.get(&image.reference) == Some(&image.digest)) {
        let (had, has) = (old.attachments(&image.reference), &image.attachments);
        let told = |sign: &str, attachment: &LockedAttachment| format!("image {}: {sign} {}", image.reference, attachment.reference);
        found.extend(has.iter().filter(|attachment| !had.contains(attachment)).map(|attachment| told("now has the attachment", attachment)));
        found.extend(had.iter().filter(|attachment| !has.contains(attachment)).map(|attachment| told("no longer has the attachment", attachment)));
    }
    if old.evidence != new.evidence {
        found.push("evidence: who names the images is not what it was".to_owned());
    }
    found.extend(before.keys().filter(|image| !now.contains_key(*image)).map(|image| format!("image {image}: gone")));
    found.extend(new.tags.iter().filter(|tag| !old.tags.contains(tag)).map(|tag| format!("{}: {}", tag.reference, tag.tag_policy.described())));
    found
}

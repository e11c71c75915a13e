//! `outdated`: what has moved since the lock was made; without a lock, since delivery.yaml was written.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    charts::{self, ChartAccess},
    export::{attached::AttachmentMode, resolve::GuessMode},
    lock,
    prepare::registry_failure,
    several,
};
use crate::{
    delivery::{AppSource, ChartSource, Delivery, Lock},
    failure::Failure,
    oci::{Digest, Reference},
    progress::{Event, SharedReporter},
    semver::Version,
};

/// What has moved, and what has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Outcome of `kubectl offline outdated --format json`")]
pub struct OutdatedOutcome {
    /// What the present is held against.
    pub since: Since,
    /// Whether anything has moved; the exit code is 10 then.
    pub moved: bool,
    /// Charts first, then images; each sorted by its subject.
    pub entries: Vec<Entry>,
}

/// What the present is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Since {
    /// delivery.lock.
    Lock,
    /// What delivery.yaml itself pins: there is no lock.
    Delivery,
}

/// One chart or image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The app of a chart, or the name of an image.
    pub subject: String,
    /// What has become of it.
    pub change: Change,
    /// Version, tag or digest before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub before: Option<String>,
    /// Version, tag or digest now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub now: Option<String>,
    /// The newest version of a chart that is no prerelease, whatever delivery.yaml asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub newest: Option<String>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A chart.
    Chart,
    /// An image.
    Image,
}

/// What has become of a chart or an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is as it was.
    Same,
    /// A chart has another version.
    Version,
    /// A chart of the same version has other content.
    Content,
    /// A policy chooses another tag.
    Tag,
    /// A tag stands for another image.
    Digest,
    /// It was not there before.
    New,
    /// It is not there any more.
    Gone,
}

/// The schema of the outcome as a file: `schemas/outdated.schema.json` is exactly this.
pub fn schema_json() -> String {
    format!("{:#}\n", schemars::schema_for!(OutdatedOutcome).to_value())
}

/// Resolves everything anew and tells what is different. Writes nothing.
pub async fn run(delivery: Delivery, access: ChartAccess, reporter: SharedReporter) -> Result<OutdatedOutcome, Failure> {
    let before = lock::read(&delivery)?;
    let registries = Arc::new(access.registries(&delivery));
    // Whether a guess travels is decided when a lock is made.
    let decided = before.as_ref().map(Lock::image_digests);
    let guesses = decided.as_ref().map_or(GuessMode::Show, GuessMode::AsBefore);
    let (now, _) = lock::anew(delivery.clone(), &access, &registries, guesses, AttachmentMode::Ignore, &reporter).await?;
    let newest = newest(&delivery, &access, &reporter).await?;
    let mut entries = match &before {
        Some(before) => chart_entries(before, &now, &newest),
        None => pinned_charts(&delivery, &now, &newest),
    };
    if let Some(before) = &before {
        entries.extend(image_entries(before, &now));
    }
    entries.extend(pinned_images(&delivery, &access, &now).await?);
    let since = if before.is_some() { Since::Lock } else { Since::Delivery };
    Ok(OutdatedOutcome { since, moved: entries.iter().any(|entry| entry.change != Change::Same), entries })
}

/// The newest versions of charts, by app. One that cannot be listed is only not told.
async fn newest(delivery: &Delivery, access: &ChartAccess, reporter: &SharedReporter) -> Result<BTreeMap<String, String>, Failure> {
    let charts = access.charts(charts::hosts(delivery))?;
    let mut found = BTreeMap::new();
    for app in &delivery.spec.apps {
        let AppSource::Chart(source) = &app.source else { continue };
        match charts.newest(&charts::location(delivery, source)).await {
            Ok(Some(version)) => {
                found.insert(app.name.clone(), version);
            }
            Ok(None) => {}
            Err(error) => reporter.event(Event::Warning(format!("the versions of the chart of {} cannot be listed: {error}", app.name))),
        }
    }
    Ok(found)
}

fn chart_entries(before: &Lock, now: &Lock, newest: &BTreeMap<String, String>) -> Vec<Entry> {
    let entry = |app: &str, change, was: Option<&str>, is: Option<&str>| Entry {
        kind: Kind::Chart,
        subject: app.to_owned(),
        change,
        before: was.map(ToOwned::to_owned),
        now: is.map(ToOwned::to_owned),
        newest: newest.get(app).cloned(),
    };
    let changed = |chart: &crate::delivery::LockedChart| match before.chart(&chart.app) {
        None => entry(&chart.app, Change::New, None, Some(&chart.version)),
        Some(was) => {
            let change = if was.version != chart.version {
                Change::Version
            } else if was.digest != chart.digest || was.dependencies != chart.dependencies {
                Change::Content
            } else {
                Change::Same
            };
            entry(&chart.app, change, Some(&was.version), Some(&chart.version))
        }
    };
    let gone = before.charts.iter().filter(|was| now.chart(&was.app).is_none());
    let mut found: Vec<Entry> = now.charts.iter().map(changed).collect();
    found.extend(gone.map(|was| entry(&was.app, Change::Gone, Some(&was.version), None)));
    found.sort_by(|a, b| a.subject.cmp(&b.subject));
    found
}

/// Charts in one version, which may have been followed by others.
fn pinned_charts(delivery: &Delivery, now: &Lock, newest: &BTreeMap<String, String>) -> Vec<Entry> {
    let mut found = Vec::new();
    for app in &delivery.spec.apps {
        let AppSource::Chart(ChartSource::Repository { version: Some(wanted), .. } | ChartSource::Registry { version: Some(wanted), .. }) = &app.source else {
            continue;
        };
        let (Some(locked), Some(newest)) = (now.chart(&app.name), newest.get(&app.name)) else { continue };
        // A range is followed as it is; only one version can be left behind.
        if locked.version.trim_start_matches('v') != wanted.trim_start_matches('v') {
            continue;
        }
        let later = match (Version::parse(newest), Version::parse(&locked.version)) {
            (Some(newest), Some(locked)) => newest.compare(&locked).is_gt(),
            _ => false,
        };
        found.push(Entry {
            kind: Kind::Chart,
            subject: app.name.clone(),
            change: if later { Change::Version } else { Change::Same },
            before: Some(locked.version.clone()),
            now: Some(if later { newest } else { &locked.version }.clone()),
            newest: Some(newest.clone()),
        });
    }
    found.sort_by(|a, b| a.subject.cmp(&b.subject));
    found
}

fn image_entries(before: &Lock, now: &Lock) -> Vec<Entry> {
    let entry =
        |subject: String, change, was: Option<String>, is: Option<String>| Entry { kind: Kind::Image, subject, change, before: was, now: is, newest: None };
    let (had, has) = (before.image_digests(), now.image_digests());
    let mut found = Vec::new();
    // A policy that chooses another tag is one thing, not one image gone and another one new.
    let mut told: Vec<&Reference> = Vec::new();
    for is in &now.tags {
        let was = before.tags.iter().find(|was| was.reference.name() == is.reference.name() && was.tag_policy == is.tag_policy);
        if let Some(was) = was.filter(|was| was.reference != is.reference) {
            let tag = |reference: &Reference| reference.tag().map(ToOwned::to_owned);
            found.push(entry(is.reference.name(), Change::Tag, tag(&was.reference), tag(&is.reference)));
            told.extend([&was.reference, &is.reference]);
        }
    }
    let text = |digest: &Digest| Some(digest.to_string());
    for (image, digest) in &has {
        let change = match had.get(image) {
            None if told.contains(&image) => continue,
            None => Change::New,
            Some(was) if was == digest => Change::Same,
            Some(_) => Change::Digest,
        };
        found.push(entry(image.to_string(), change, had.get(image).and_then(text), text(digest)));
    }
    let gone = had.iter().filter(|(image, _)| !has.contains_key(*image) && !told.contains(image));
    found.extend(gone.map(|(image, digest)| entry(image.to_string(), Change::Gone, text(digest), None)));
    found.sort_by(|a, b| a.subject.cmp(&b.subject));
    found
}

/// Images that are named by tag and digest: what the tag stands for now.
async fn pinned_images(delivery: &Delivery, access: &ChartAccess, now: &Lock) -> Result<Vec<Entry>, Failure> {
    let registries = Arc::new(access.registries(delivery));
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for image in now.images.iter().map(|image| &image.reference).filter(|image| image.tag().is_some()) {
        let Some(pinned) = image.digest() else { continue };
        match registries.resolve(&image.without_digest()).await {
            Ok((root, _)) => found.push(Entry {
                kind: Kind::Image,
                subject: image.without_digest().to_string(),
                change: if root.digest == *pinned { Change::Same } else { Change::Digest },
                before: Some(pinned.to_string()),
                now: Some(root.digest.to_string()),
                newest: None,
            }),
            Err(error) => failures.push(registry_failure(error)),
        }
    }
    several::all("tags cannot be looked at", failures)?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::{LockedChart, LockedTag},
        tag_policy::{Pattern, Pick, TagPolicy},
    };

    fn lock(chart: &str, content: &str, images: &[(&str, &str)], tag: &str) -> Lock {
        let source = ChartSource::Repository { repository: "https://r.example".into(), name: "web".into(), version: None };
        let chart = LockedChart::asking("web", &source, chart.into(), Digest::of(content.as_bytes()));
        let images = images.iter().map(|(image, content)| (image.parse().unwrap(), Digest::of(content.as_bytes()))).collect();
        let policy = TagPolicy { regex: Pattern::new(".*").unwrap(), not: None, pick: Pick::Semver };
        Lock::new(vec![chart], images, Digest::of(b"evidence")).with_tags(vec![LockedTag::new(format!("busybox:{tag}").parse().unwrap(), &policy)])
    }

    #[test]
    fn each_kind_of_move_is_told_once() {
        let before = lock("1.0.0", "a", &[("nginx:1", "a"), ("busybox:1.0", "a"), ("old:1", "a"), ("same:1", "a")], "1.0");
        let now = lock("1.1.0", "b", &[("nginx:1", "b"), ("busybox:1.1", "b"), ("young:1", "a"), ("same:1", "a")], "1.1");
        let told: Vec<(String, Change)> = image_entries(&before, &now).into_iter().map(|entry| (entry.subject, entry.change)).collect();
        let wanted = [
            ("docker.io/library/busybox", Change::Tag),
            ("docker.io/library/nginx:1", Change::Digest),
            ("docker.io/library/old:1", Change::Gone),
            ("docker.io/library/same:1", Change::Same),
            ("docker.io/library/young:1", Change::New),
        ];
        assert_eq!(told, wanted.map(|(subject, change)| (subject.to_owned(), change)));
        let newest = BTreeMap::from([("web".to_owned(), "2.0.0".to_owned())]);
        let charts = chart_entries(&before, &now, &newest);
        assert_eq!((charts.len(), charts[0].change, charts[0].newest.as_deref()), (1, Change::Version, Some("2.0.0")));
        assert_eq!(chart_entries(&before, &lock("1.0.0", "b", &[], "1"), &newest)[0].change, Change::Content);
        assert_eq!(chart_entries(&before, &before, &newest)[0].change, Change::Same);
    }

    #[test]
    fn the_schema_in_the_repository_is_that_of_the_types() {
        let path = format!("{}/schemas/outdated.schema.json", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == schema_json(), "run `kubectl-offline schema outdated > schemas/outdated.schema.json`");
    }
}

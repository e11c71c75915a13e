//! `diff`: what is another in a second archive, and what would have to travel to someone who has the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    inspect,
    verify::{Elsewhere, TrustOptions, file_failure},
};
use crate::{
    archive::{Contents, Standing},
    delivery::record::{AppRecord, AppSource},
    failure::{Failure, Kind},
    io::FileError,
    oci::Digest,
};

/// The exit code where there are differences, as of `diff` and `kubectl diff`.
pub const DIFFERENT: u8 = 1;
/// So many places in values are told of one app.
const PLACES_MAX: usize = 20;

/// What to compare.
#[derive(Debug, Clone)]
pub struct DiffOptions {
    /// The archive before.
    pub old: PathBuf,
    /// The archive after.
    pub new: PathBuf,
    /// Whom to trust; without keys signatures are told and not checked.
    pub trust: TrustOptions,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// The archive.
    pub archive: PathBuf,
    /// The delivery's name.
    pub name: String,
    /// The delivery's version.
    pub version: String,
    /// Bytes of everything in it.
    pub size: u64,
    /// What was found out about its signatures.
    pub signature: Standing,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have it, and it is not the same.
    Changed,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// The delivery itself: platforms, registry.
    Delivery,
    /// An app.
    App,
    /// A packaged chart.
    Chart,
    /// An image.
    Image,
    /// The programs for nodes of a platform.
    Agent,
    /// A file.
    File,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What differs.
    pub subject: Subject,
    /// Its name.
    pub name: String,
    /// How.
    pub change: Change,
    /// Before, in a few words or as a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// After.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Bytes of it that the first archive does not hold.
    pub travels: u64,
}

/// Content that is there on one side, on the other or on both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// How many.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// How two archives differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Outcome of `kubectl offline diff --format json`")]
pub struct DiffOutcome {
    /// The archive before.
    pub old: Side,
    /// The archive after.
    pub new: Side,
    /// Whether there is any difference.
    pub different: bool,
    /// What differs.
    pub entries: Vec<Entry>,
    /// Content that both hold.
    pub kept: Amount,
    /// Content that only the second holds; this is what would travel to someone who has the first.
    pub added: Amount,
    /// Content that only the first holds.
    pub removed: Amount,
}

/// Compares two archives. Layers are not read. A failure never has the exit code that means a difference.
pub fn run(options: &DiffOptions) -> Result<DiffOutcome, Failure> {
    let look = |path: &Path| {
        let looked = inspect::look(path, &options.trust, &Elsewhere::default());
        looked.map_err(|failure| if failure.kind == Kind::Other { Failure { kind: Kind::Usage, ..failure } } else { failure })
    };
    for path in [&options.old, &options.new] {
        if path == Path::new("-") {
            let error = FileError::new("open", path, std::io::Error::other("two archives are compared from files"));
            return Err(Failure { kind: Kind::Usage, ..file_failure(error) });
        }
    }
    let (old, new) = (look(&options.old)?, look(&options.new)?);
    let (old_name, new_name) = (old.archive, new.archive);
    let (old, new) = (old.contents, new.contents);
    let (before, after) = (blobs(&old), blobs(&new));
    let mut entries = delivery(&old, &new);
    entries.extend(apps(&old, &new));
    for subject in [Subject::Chart, Subject::Image, Subject::Agent, Subject::File] {
        entries.extend(things(subject, &named(subject, &old), &named(subject, &new), &before));
    }
    entries.sort();
    let amount = |of: &BTreeMap<Digest, u64>, wanted: &dyn Fn(&Digest) -> bool| {
        let chosen = of.iter().filter(|(digest, _)| wanted(digest));
        chosen.fold(Amount::default(), |sum, (_, size)| Amount { blobs: sum.blobs + 1, bytes: sum.bytes + size })
    };
    let kept = amount(&after, &|digest| before.contains_key(digest));
    let added = amount(&after, &|digest| !before.contains_key(digest));
    let removed = amount(&before, &|digest| !after.contains_key(digest));
    let different = !entries.is_empty() || added.blobs + removed.blobs > 0;
    Ok(DiffOutcome { old: side(old_name, &old), new: side(new_name, &new), different, entries, kept, added, removed })
}

fn side(archive: PathBuf, contents: &Contents) -> Side {
    let record = contents.record();
    Side { archive, name: record.name.clone(), version: record.version.clone(), size: contents.size(), signature: contents.standing().clone() }
}

fn blobs(contents: &Contents) -> BTreeMap<Digest, u64> {
    contents.graph.order().into_iter().map(|(digest, size)| (digest.clone(), size)).collect()
}

/// Things by name, with the digest that tells them apart and what they consist of.
fn named(subject: Subject, contents: &Contents) -> Things {
    let one = |name: &str, d: &crate::oci::Descriptor| (name.to_owned(), (d.digest.clone(), BTreeSet::from([(d.digest.clone(), d.size)])));
    match subject {
        Subject::Chart => contents.charts().iter().map(|chart| one(chart.name.trim_start_matches("charts/"), &chart.package)).collect(),
        Subject::Image => contents.images().iter().map(|(name, d)| (name.to_string(), (d.digest.clone(), contents.blobs(d)))).collect(),
        Subject::Agent => contents.agents().iter().map(|agent| one(&agent.platform.to_string(), &agent.agent)).collect(),
        Subject::File => contents.files().iter().map(|(path, d)| one(path, d)).collect(),
        Subject::Delivery | Subject::App => BTreeMap::new(),
    }
}

type Things = BTreeMap<String, (Digest, BTreeSet<(Digest, u64)>)>;

fn things(subject: Subject, old: &Things, new: &Things, held: &BTreeMap<Digest, u64>) -> Vec<Entry> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let entry = |name: &String| {
        let (before, after) = (old.get(name), new.get(name));
        let change = change(before, after)?;
        let word = |thing: Option<&(Digest, _)>| thing.map(|(digest, _)| digest.short().to_owned());
        let travels = after.map_or(0, |(_, blobs)| blobs.iter().filter(|(digest, _)| !held.contains_key(digest)).map(|(_, size)| size).sum());
        Some(Entry { subject, name: name.clone(), change, before: word(before), after: word(after), travels })
    };
    names.into_iter().filter_map(entry).collect()
}

fn change<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> Option<Change> {
    match (before, after) {
        (Some(before), Some(after)) => (before != after).then_some(Change::Changed),
        (None, Some(_)) => Some(Change::Added),
        (Some(_), None) => Some(Change::Removed),
        (None, None) => None,
    }
}

fn delivery(old: &Contents, new: &Contents) -> Vec<Entry> {
    let (old, new) = (old.record(), new.record());
    let platforms = |record: &crate::delivery::record::Record| record.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let order = |record: &crate::delivery::record::Record| record.apps.iter().map(|app| app.name.clone()).collect::<Vec<_>>().join(", ");
    let rows = [
        ("name", old.name.clone(), new.name.clone()),
        ("version", old.version.clone(), new.version.clone()),
        ("platforms", platforms(old), platforms(new)),
        ("registry", old.registry.clone().unwrap_or_default(), new.registry.clone().unwrap_or_default()),
        ("order of apps", order(old), order(new)),
    ];
    let changed = rows.into_iter().filter(|(_, before, after)| before != after);
    let entry = |(name, before, after): (&str, String, String)| Entry {
        subject: Subject::Delivery,
        name: name.to_owned(),
        change: Change::Changed,
        before: Some(before),
        after: Some(after),
        travels: 0,
    };
    changed.map(entry).collect()
}

fn apps(old: &Contents, new: &Contents) -> Vec<Entry> {
    let by_name = |contents: &Contents| contents.record().apps.iter().map(|app| (app.name.clone(), app.clone())).collect::<BTreeMap<String, AppRecord>>();
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut entries = Vec::new();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        let Some(change) = change(before, after) else { continue };
        let (before, after) = match (before, after) {
            (Some(before), Some(after)) => told(before, after),
            (before, after) => (before.map(source), after.map(source)),
        };
        entries.push(Entry { subject: Subject::App, name: name.clone(), change, before, after, travels: 0 });
    }
    entries
}

fn source(app: &AppRecord) -> String {
    match &app.source {
        AppSource::Chart { name, version, .. } => format!("chart {name} {version} in {}", app.namespace),
        AppSource::Manifests { .. } => format!("manifests in {}", app.namespace),
    }
}

/// What of an app has changed. Values are told by their places and not by what they are: they may be secret.
fn told(before: &AppRecord, after: &AppRecord) -> (Option<String>, Option<String>) {
    let mut places = BTreeSet::new();
    values(&before.values, &after.values, "", &mut places);
    let mut words = vec![source(after)];
    if source(before) == source(after) && before.source != after.source {
        words.push("its content".to_owned());
    }
    if before.depends_on != after.depends_on {
        words.push(format!("depends on {}", if after.depends_on.is_empty() { "nothing".to_owned() } else { after.depends_on.join(", ") }));
    }
    if before.registry_keys != after.registry_keys {
        words.push("registry keys".to_owned());
    }
    if !places.is_empty() {
        let more = places.len().saturating_sub(PLACES_MAX);
        let shown: Vec<String> = places.into_iter().take(PLACES_MAX).collect();
        words.push(format!("values {}{}", shown.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() }));
    }
    (Some(source(before)), Some(words.join("; ")))
}

fn values(before: &Map<String, Value>, after: &Map<String, Value>, above: &str, places: &mut BTreeSet<String>) {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let place = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match (before.get(key), after.get(key)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => values(before, after, &place, places),
            (before, after) if before == after => {}
            _ => {
                places.insert(place);
            }
        }
    }
}

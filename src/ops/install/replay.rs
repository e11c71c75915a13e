//! Against the replay of an older archive: the cluster remembers which version of a delivery was installed last.

use std::collections::BTreeSet;

use super::{InstallOptions, cluster_failure};
use crate::{
    cluster::{Cluster, Memory, release::Stored},
    delivery::record::Record,
    failure::{Failure, Kind},
    ops::{
        list::{VERSION_LABEL, newest},
        version,
    },
    progress::SharedReporter,
    semver::Version,
};

/// Refuses what is older than what was installed before.
pub(super) async fn check(cluster: &Cluster, options: &InstallOptions, reporter: &SharedReporter) -> Result<(), Failure> {
    let record = options.archive.record();
    let Some(installed) = installed(cluster, record).await? else { return Ok(()) };
    match version::follows(&record.name, &record.version, &installed) {
        Err(refusal) if options.allow_downgrade => {
            reporter.warn(format!("{refusal}; it is installed all the same (--allow-downgrade)"));
            Ok(())
        }
        judged => judged,
    }
}

/// Lets the cluster remember what was installed.
pub(super) async fn remember(cluster: &Cluster, record: &Record) -> Result<(), Failure> {
    for namespace in namespaces(record) {
        let kept = Memory::of(cluster.client(), namespace, &record.name).keep(&record.version).await;
        // The apps run; only the next installation is not protected.
        kept.map_err(|error| {
            Failure::new(Kind::Partial, error).hint("everything is installed; run the same command again, so that the version is remembered")
        })?;
    }
    Ok(())
}

/// What the namespaces of the apps remember; where none does, what the releases of the delivery say.
async fn installed(cluster: &Cluster, record: &Record) -> Result<Option<String>, Failure> {
    let mut remembered = Vec::new();
    for namespace in namespaces(record) {
        remembered.extend(Memory::of(cluster.client(), namespace, &record.name).version().await.map_err(cluster_failure)?);
    }
    if !remembered.is_empty() {
        return Ok(latest(remembered));
    }
    let mut releases = Vec::new();
    for namespace in namespaces(record) {
        releases.extend(newest(cluster, Some(namespace), Some(&record.name)).await.map_err(cluster_failure)?);
    }
    Ok(highest(&releases))
}

fn namespaces(record: &Record) -> BTreeSet<&str> {
    record.apps.iter().map(|app| app.namespace.as_str()).collect()
}

/// The highest of the versions; one without an order is above the others, so that nothing follows it unasked.
fn latest(versions: Vec<String>) -> Option<String> {
    versions.into_iter().max_by(|a, b| match (Version::parse(a), Version::parse(b)) {
        (Some(a), Some(b)) => a.compare(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    })
}

/// The highest version on the labels of releases. A label cannot hold a `+`, so there stands a `_`; words that are no version say nothing here.
fn highest(releases: &[Stored]) -> Option<String> {
    let versions = releases.iter().filter_map(|stored| stored.labels.get(VERSION_LABEL));
    latest(versions.map(|label| label.replace('_', "+")).filter(|text| Version::parse(text).is_some()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::release::Release;

    #[test]
    fn the_highest_version_of_the_releases_counts() {
        let stored = |version: &str| Stored { release: Release::default(), labels: [(VERSION_LABEL.to_owned(), version.to_owned())].into() };
        assert_eq!(highest(&[stored("1.9.0"), stored("1.10.0_build.7"), stored("friday")]), Some("1.10.0+build.7".to_owned()));
        assert_eq!(highest(&[stored("friday")]), None);
        assert_eq!(latest(vec!["1.0".into(), "friday".into(), "2.0".into()]), Some("friday".to_owned()));
    }
}

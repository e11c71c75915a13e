//! Which versions of a chart there are, and the one that a policy chooses.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    ChartLocation, SourceError, index,
    registry_chart::{Name, untag},
    remote::Charts,
};
use crate::{
    oci::Reference,
    semver::Version,
    tag_policy::{self, NoTag, Pick, TagPolicy},
};

/// Charts in a registry that are asked for their time, a request each.
const TIMES_MAX: usize = 256;
/// Charts asked at a time.
const AT_A_TIME: usize = 8;

/// A version of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartVersion {
    /// As the index or the tag has it, `+` for `_`.
    pub version: String,
    /// When it was put into the index; registries do not list times.
    pub created: Option<Timestamp>,
}

/// What a manifest says about its time (image-spec, annotations.md); Helm sets it since 3.10.
#[derive(Deserialize)]
struct Made {
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl ChartLocation {
    /// The same chart in one version.
    #[must_use]
    pub fn at_version(self, version: &str) -> Self {
        match self {
            Self::Path(path) => Self::Path(path),
            Self::Repository { repository, name, .. } => Self::Repository { repository, name, version: Some(version.to_owned()) },
            // As a tag, because not every tag that a policy may choose is a version in Helm's strict sense.
            Self::Registry { chart, .. } => Self::Registry { chart: format!("{chart}:{}", version.replace('+', "_")), version: None },
        }
    }
}

impl Charts {
    /// The versions of a chart that its repository or registry has, in no particular order; a path has none.
    pub async fn versions(&self, location: &ChartLocation) -> Result<Vec<ChartVersion>, SourceError> {
        match location {
            ChartLocation::Path(_) => Ok(Vec::new()),
            ChartLocation::Repository { repository, name, .. } => {
                let (url, access) = self.repository(repository)?;
                let listed = self.listed(&url, &access, name).await?.ok_or_else(|| SourceError::NotInRepository {
                    chart: format!("chart {name:?}"),
                    repository: repository.clone(),
                    newest: None,
                })?;
                let version = |entry: index::Entry| ChartVersion { created: entry.created.and_then(|time| time.parse().ok()), version: entry.version };
                Ok(listed.into_iter().map(version).collect())
            }
            ChartLocation::Registry { chart, .. } => {
                let tags = self.registries.tags(&Name::parse(chart)?.reference).await?;
                Ok(tags.iter().map(|tag| ChartVersion { version: untag(tag), created: None }).collect())
            }
        }
    }

    /// The newest version that is no prerelease.
    pub async fn newest(&self, location: &ChartLocation) -> Result<Option<String>, SourceError> {
        let listed = self.versions(location).await?;
        let releases = listed.into_iter().filter_map(|listed| Some((Version::parse(&listed.version)?, listed.version)));
        let newest = releases.filter(|(version, _)| version.prerelease.is_empty()).max_by(|(a, _), (b, _)| a.compare(b));
        Ok(newest.map(|(_, text)| text))
    }

    /// The chart in the version that a policy chooses.
    pub async fn choose(&self, location: &ChartLocation, policy: &TagPolicy) -> Result<ChartLocation, SourceError> {
        let listed = self.versions(location).await?;
        let none = |source| SourceError::NoTag { chart: location.to_string(), policy: policy.to_string(), source };
        let versions: Vec<String> = listed.iter().map(|listed| listed.version.clone()).collect();
        let candidates = policy.candidates(&versions).map_err(none)?;
        if policy.pick != Pick::Newest {
            let chosen = candidates.last().ok_or_else(|| none(NoTag::Empty))?;
            return Ok(location.clone().at_version(chosen));
        }
        let times = match location {
            ChartLocation::Registry { chart, .. } => {
                if candidates.len() > TIMES_MAX {
                    return Err(SourceError::ManyVersions { chart: location.to_string(), policy: policy.to_string(), found: candidates.len(), max: TIMES_MAX });
                }
                self.times(&Name::parse(chart)?.reference, &candidates).await?
            }
            _ => listed.iter().filter(|listed| candidates.contains(&listed.version.as_str())).map(|listed| (listed.version.clone(), listed.created)).collect(),
        };
        let chosen = tag_policy::newest(&times).ok_or_else(|| none(NoTag::Empty))?;
        Ok(location.clone().at_version(chosen))
    }

    async fn times(&self, chart: &Reference, versions: &[&str]) -> Result<Vec<(String, Option<Timestamp>)>, SourceError> {
        let versions: Vec<String> = versions.iter().map(|version| (*version).to_owned()).collect();
        let asked = versions.into_iter().map(|version| async move {
            let Ok(tagged) = chart.with_tag(&version.replace('+', "_")) else { return Ok::<_, SourceError>((version, None)) };
            let (_, manifest) = self.registries.resolve(&tagged).await?;
            let made = serde_json::from_slice::<Made>(&manifest).ok();
            let created = made.and_then(|made| made.annotations.get("org.opencontainers.image.created")?.parse().ok());
            Ok((version, created))
        });
        stream::iter(asked).buffer_unordered(AT_A_TIME).try_collect().await
    }
}

impl std::fmt::Display for ChartLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "`{}`", path.display()),
            Self::Repository { repository, name, .. } => write!(f, "`{name}` of {repository}"),
            Self::Registry { chart, .. } => f.write_str(chart),
        }
    }
}

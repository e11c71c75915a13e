//! Which chart is meant (pkg/action, install.go, `LocateChart`), and what it lacks.
//!
//! Charts on this machine are all there is so far; what is elsewhere is refused in one place, [`remote`].

use std::path::{Path, PathBuf};

use super::{TemplateError, TemplateOptions, chart_failure};
use crate::{
    chart::Chart,
    failure::{Failure, Kind},
    source::{self, SourceError},
};

/// The chart's folder or package. What lies at the path wins over repositories of the same name.
pub(super) fn locate(options: &TemplateOptions, name: &str) -> Result<PathBuf, Failure> {
    let name = name.trim();
    let path = Path::new(name);
    if path.exists() {
        return match (options.verify, path.is_dir()) {
            (false, _) => Ok(path.to_owned()),
            (true, true) => Err(TemplateError::Unpacked.into()),
            (true, false) => Err(TemplateError::Refused("--verify is not supported for a chart on this machine".to_owned()).into()),
        };
    }
    if path.is_absolute() || name.starts_with('.') {
        return Err(TemplateError::NoPath(name.to_owned()).into());
    }
    remote(options, name)
}

/// A chart of a repository or a registry.
fn remote(options: &TemplateOptions, name: &str) -> Result<PathBuf, Failure> {
    if options.repo.is_none() && !name.contains('/') {
        return Err(TemplateError::NoReference(name.to_owned()).into());
    }
    let refusal = format!(
        "`{name}` is no path on this machine, and charts are not fetched from repositories or registries yet: pull it first, and name the folder or .tgz"
    );
    Err(TemplateError::Refused(refusal).into())
}

/// Loads what was found.
pub(super) fn load(_options: &TemplateOptions, path: &Path) -> Result<Chart, Failure> {
    source::chart(path).map_err(|error| match error {
        // Helm says what is wrong with the chart, and leaves out which one.
        SourceError::Chart { source, .. } => chart_failure(source),
        error => Failure::new(Kind::Other, error),
    })
}

/// The chart with what `--dependency-update` brings, loaded anew; none where nothing is missing.
pub(super) fn complete(options: &TemplateOptions, _path: &Path, chart: &Chart) -> Result<Option<Chart>, Failure> {
    let missing = chart.missing_dependencies();
    if missing.is_empty() {
        return Ok(None);
    }
    if options.dependency_update {
        return Err(TemplateError::Refused(format!(
            "--dependency-update is not supported yet: run `helm dependency update` first; {} is missing",
            missing.join(", ")
        ))
        .into());
    }
    let missing = missing.join(", ");
    Err(chart_failure(TemplateError::Refused(if options.helm4 {
        format!(
            "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {missing}"
        )
    } else {
        format!(
            "An error occurred while checking for chart dependencies. You may need to run `helm dependency build` to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {missing}"
        )
    })))
}

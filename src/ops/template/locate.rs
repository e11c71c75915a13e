//! Which chart is meant (pkg/action, install.go, `LocateChart`), and what it lacks.
//!
//! What is elsewhere is downloaded; the only waiting is here, in a small runtime of its own.

use std::path::{Path, PathBuf};

use super::{TemplateError, TemplateOptions, chart_failure};
use crate::{
    chart::Chart,
    failure::{Failure, Kind},
    ops::charts,
    source::{self, ChartRequest, SourceError},
};

/// Where a chart is.
pub(super) enum Place {
    /// Folder or package.
    Path(PathBuf),
    /// It was downloaded, or verified: what was verified is what is rendered.
    Elsewhere(Box<Chart>),
}

/// The chart's folder or package. What lies at the path wins over repositories of the same name.
pub(super) fn locate(options: &TemplateOptions, name: &str) -> Result<Place, Failure> {
    let name = name.trim();
    let path = Path::new(name);
    if path.exists() {
        return match keyring(options) {
            None => Ok(Place::Path(path.to_owned())),
            Some(keyring) => source::signed_chart(path, keyring).map(|signed| Place::Elsewhere(Box::new(signed.chart))).map_err(load_failure),
        };
    }
    if path.is_absolute() || name.starts_with('.') {
        return Err(TemplateError::NoPath(name.to_owned()).into());
    }
    if options.chart.repo.is_none() && !name.contains('/') {
        return Err(TemplateError::NoReference(name.to_owned()).into());
    }
    fetch(options, &request(options, name)).map(|chart| Place::Elsewhere(Box::new(chart)))
}

/// Where the keys of those who may sign are, if somebody must have signed.
fn keyring(options: &TemplateOptions) -> Option<&Path> {
    options.verify.then(|| options.chart.keyring.as_deref().unwrap_or(Path::new("")))
}

fn request(options: &TemplateOptions, name: &str) -> ChartRequest {
    // Without a version `--devel` means any, releases to be included (cmd/helm, install.go).
    let any = (options.devel && options.chart.version.is_none()).then(|| ">0.0.0-0".to_owned());
    ChartRequest {
        chart: name.to_owned(),
        version: options.chart.version.clone().or(any),
        dependency_update: false,
        keyring: keyring(options).map(ToOwned::to_owned),
        ..options.chart.clone()
    }
}

fn fetch(options: &TemplateOptions, request: &ChartRequest) -> Result<Chart, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| Failure::new(Kind::Other, error))?;
    let found = runtime.block_on(charts::locate(request, &options.access))?;
    Ok(found.chart)
}

/// Loads what was found.
pub(super) fn load(place: &Place) -> Result<Chart, Failure> {
    match place {
        Place::Elsewhere(chart) => Ok(chart.as_ref().clone()),
        Place::Path(path) => source::chart(path).map_err(load_failure),
    }
}

fn load_failure(error: SourceError) -> Failure {
    match error {
        // Helm says what is wrong with the chart, and leaves out which one.
        SourceError::Chart { source, .. } => chart_failure(source),
        error => Failure::new(Kind::Other, error),
    }
}

/// The chart with what `--dependency-update` brings, in memory; none where nothing is missing.
pub(super) fn complete(options: &TemplateOptions, place: &Place, chart: &Chart) -> Result<Option<Chart>, Failure> {
    let missing = chart.missing_dependencies();
    if missing.is_empty() {
        return Ok(None);
    }
    if let (true, Place::Path(path)) = (options.chart.dependency_update, place)
        && path.is_dir()
    {
        let request = ChartRequest { dependency_update: true, keyring: None, ..request(options, &path.to_string_lossy()) };
        return fetch(options, &request).map(Some);
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

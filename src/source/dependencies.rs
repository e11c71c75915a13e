//! The dependencies of a chart in a folder, completed in memory: `helm dependency build` and `update` (helm, pkg/downloader/manager.go),
//! but nothing is written into the user's folder.
//!
//! Two things are on purpose unlike Helm: a repository need not be added to helm first if its URL is written out, and what lies in
//! charts/ and satisfies is kept without asking anybody.

use std::path::{Path, PathBuf};

use super::{
    SourceError, chart,
    error::DependencyProblem,
    remote::{Charts, Pin, Wish},
};
use crate::{
    chart::{Chart, Dependency},
    oci::Digest,
    semver::{Constraint, Version},
    tree::{FileTree, SafePath},
};

/// A dependency that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedDependency {
    /// Its name.
    pub name: String,
    /// The repository, as Chart.yaml has it.
    pub repository: String,
    /// The version that was found.
    pub version: String,
    /// Digest of the .tgz.
    pub digest: Digest,
    /// Digest of its manifest, in a registry.
    pub manifest: Option<Digest>,
}

/// Exactly these are wanted, when something is downloaded.
pub type DependencyPin = ResolvedDependency;

/// How versions are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// `helm dependency build`: what is missing, in the versions of Chart.lock where there is one.
    Build,
    /// `helm dependency update`: everything anew.
    Update,
}

/// The files of a chart's folder with all dependencies in charts/, and which of those were downloaded.
pub(super) struct Completed {
    pub(super) chart: Chart,
    pub(super) downloaded: Vec<ResolvedDependency>,
}

/// A chart in a folder, being completed.
struct Completion<'a> {
    charts: &'a Charts,
    folder: &'a Path,
    chart: &'a Chart,
    pins: Option<&'a [DependencyPin]>,
    tree: FileTree,
    downloaded: Vec<ResolvedDependency>,
}

/// Completes a chart in a folder. With `pins` what is downloaded must be among them.
pub(super) async fn complete(charts: &Charts, folder: &Path, mode: Mode, pins: Option<&[DependencyPin]>) -> Result<Completed, SourceError> {
    let (tree, chart) = load(folder).await?;
    let wanted: Vec<Dependency> = chart.metadata().dependencies.clone();
    let missing = wanted.iter().any(|dependency| mode == Mode::Update || !is_vendored(&chart, dependency));
    if !missing || wanted.is_empty() {
        return Ok(Completed { chart, downloaded: Vec::new() });
    }
    let failed = |problem| SourceError::Dependencies { path: folder.into(), problem: Box::new(problem) };
    let mut completion = Completion { charts, folder, chart: &chart, pins, tree, downloaded: Vec::new() };
    completion.run(wanted, mode).await.map_err(failed)?;
    let Completion { tree, downloaded, .. } = completion;
    let chart = Chart::load(&tree).map_err(|source| SourceError::Chart { path: folder.into(), source })?;
    Ok(Completed { chart, downloaded })
}

async fn load(folder: &Path) -> Result<(FileTree, Chart), SourceError> {
    let folder = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let tree = chart::folder(&folder)?;
        let chart = Chart::load(&tree).map_err(|source| SourceError::Chart { path: folder, source })?;
        Ok((tree, chart))
    });
    read.await.expect("reading a chart does not panic")
}

/// Whether a chart that satisfies is in charts/. One that can come from nowhere else is taken as it is: `helm template` does so too.
fn is_vendored(chart: &Chart, wanted: &Dependency) -> bool {
    let fits = |version: &str| wanted.repository.is_empty() || satisfies(&wanted.version, version);
    chart.subcharts().iter().any(|there| there.name() == wanted.name && fits(there.version()))
}

fn satisfies(constraint: &str, version: &str) -> bool {
    match (Constraint::parse(constraint), Version::parse(version)) {
        (Some(constraint), Some(version)) => constraint.accepts(&version),
        _ => false,
    }
}

impl Completion<'_> {
    async fn run(&mut self, mut wanted: Vec<Dependency>, mode: Mode) -> Result<(), DependencyProblem> {
        let original = wanted.clone();
        for dependency in &mut wanted {
            self.spell_out(dependency)?;
        }
        let locked = if mode == Mode::Build { self.chart.dependency_lock()? } else { None };
        if let Some(lock) = locked {
            let v1 = self.chart.metadata().api_version == "v1";
            let fits = lock.fits(&wanted) || (v1 && lock.fits_as_helm2(&original));
            if !fits {
                return Err(if v1 { DependencyProblem::OldLockOutOfSync } else { DependencyProblem::LockOutOfSync });
            }
            wanted = lock.dependencies;
            for dependency in &mut wanted {
                self.spell_out(dependency)?;
            }
        }
        for dependency in wanted {
            if mode == Mode::Build && is_vendored(self.chart, &dependency) {
                continue;
            }
            self.add(&dependency).await?;
        }
        Ok(())
    }

    /// `@name` and `alias:name` become the URL that helm knows (`resolveRepoNames`).
    fn spell_out(&self, dependency: &mut Dependency) -> Result<(), DependencyProblem> {
        if let Some(name) = dependency.repository.strip_prefix('@').or_else(|| dependency.repository.strip_prefix("alias:")) {
            let known = self.charts.helm.named(name);
            let known = known.ok_or_else(|| failed(dependency, SourceError::NoRepository(dependency.repository.clone())))?;
            dependency.repository = known.url.clone();
        }
        Ok(())
    }

    async fn add(&mut self, wanted: &Dependency) -> Result<(), DependencyProblem> {
        if Constraint::parse(&wanted.version).is_none() {
            return Err(DependencyProblem::Constraint(wanted.name.clone()));
        }
        if wanted.repository.is_empty() {
            return self.vendored(wanted);
        }
        if let Some(path) = wanted.repository.strip_prefix("file://") {
            return self.local(wanted, path).await;
        }
        let download = self.download(wanted).await?;
        let found = Chart::from_tgz(&download.archive).map_err(|source| {
            let chart = format!("{} {} of {}", wanted.name, download.origin.version, download.origin.source);
            failed(wanted, SourceError::Downloaded { chart, source })
        })?;
        self.put(&found, download.archive);
        let resolved = ResolvedDependency {
            name: wanted.name.clone(),
            repository: crate::redact::SafeUrl::new(wanted.repository.as_str()).to_string(),
            version: if download.origin.version.is_empty() { found.version().to_owned() } else { download.origin.version },
            digest: download.origin.digest,
            manifest: download.origin.manifest,
        };
        if !self.downloaded.contains(&resolved) {
            self.downloaded.push(resolved);
        }
        Ok(())
    }

    async fn download(&self, wanted: &Dependency) -> Result<super::Download, DependencyProblem> {
        let shown = crate::redact::SafeUrl::new(wanted.repository.as_str()).to_string();
        let pin = match self.pins {
            None => None,
            Some(pins) => {
                let pin = pins.iter().find(|pin| pin.name == wanted.name && pin.repository == shown && satisfies(&wanted.version, &pin.version));
                Some(pin.ok_or_else(|| DependencyProblem::NotLocked(format!("{} {}", wanted.name, wanted.version)))?)
            }
        };
        let pin = pin.map(|pin| Pin { version: pin.version.clone(), digest: pin.digest.clone(), manifest: pin.manifest.clone() });
        let wish = Wish { version: Some(&wanted.version), pin: pin.as_ref(), keyring: None };
        let found = match wanted.repository.strip_prefix("oci://") {
            Some(repository) => self.charts.in_registry(&format!("{}/{}", repository.trim_end_matches('/'), wanted.name), wish).await,
            None => self.charts.in_repository(&wanted.repository, &wanted.name, wish).await,
        };
        found.map_err(|source| failed(wanted, source))
    }

    /// Without a repository it lies in charts/, or nowhere.
    fn vendored(&self, wanted: &Dependency) -> Result<(), DependencyProblem> {
        match self.chart.subcharts().iter().find(|there| there.name() == wanted.name) {
            None => Err(DependencyProblem::NotVendored(wanted.name.clone())),
            Some(there) if satisfies(&wanted.version, there.version()) => Ok(()),
            Some(there) => Err(DependencyProblem::Version { name: wanted.name.clone(), found: there.version().to_owned(), wanted: wanted.version.clone() }),
        }
    }

    /// `tarFromLocalDir`.
    async fn local(&mut self, wanted: &Dependency, path: &str) -> Result<(), DependencyProblem> {
        let folder = if path.starts_with('/') { PathBuf::from(path) } else { self.folder.join(path) };
        if !folder.is_dir() {
            return Err(DependencyProblem::NoFolder(folder));
        }
        let (_, found) = load(&folder).await.map_err(|source| failed(wanted, source))?;
        if !satisfies(&wanted.version, found.version()) {
            return Err(DependencyProblem::Version { name: wanted.name.clone(), found: found.version().to_owned(), wanted: wanted.version.clone() });
        }
        let archive = found.package()?;
        self.put(&found, archive.into());
        Ok(())
    }

    /// Puts an archive into charts/, where other versions of the chart go (`safeMoveDeps`).
    fn put(&mut self, found: &Chart, archive: bytes::Bytes) {
        let outdated: Vec<String> =
            self.tree.iter().map(|(path, _)| path.as_str()).filter(|path| packaged(path, found.name())).map(ToOwned::to_owned).collect();
        let name = format!("charts/{}-{}.tgz", found.name(), found.version());
        for path in outdated.iter().filter(|path| **path != name) {
            // One that this run put there stays: a chart may be wanted in two versions.
            let ours = self.downloaded.iter().any(|other| format!("charts/{}-{}.tgz", other.name, other.version) == **path);
            if !ours {
                self.tree.remove(path);
            }
        }
        if let Ok(path) = name.parse::<SafePath>() {
            self.tree.insert(path, archive);
        }
    }
}

fn failed(dependency: &Dependency, source: SourceError) -> DependencyProblem {
    DependencyProblem::Source { name: dependency.name.clone(), source: Box::new(source) }
}

/// Whether a path is that of the packaged chart in charts/, in whatever version.
fn packaged(path: &str, name: &str) -> bool {
    let version = path.strip_prefix("charts/").and_then(|file| file.strip_prefix(name)).and_then(|rest| rest.strip_prefix('-'));
    version.and_then(|rest| rest.strip_suffix(".tgz")).is_some_and(|version| Version::parse(version).is_some())
}

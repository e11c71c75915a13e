//! Which chart is meant, and all that is needed to render it.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use bytes::Bytes;
use reqwest::Url;

use super::{
    SignedChart, SourceError,
    dependencies::{self, Completed, Mode, ResolvedDependency},
    http::{Access, Tls},
    remote::{ChartOrigin, Charts, Download, Pin, Wish},
};
use crate::{chart::Chart, openpgp::Signer, redact::Secret};

/// Where a chart is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartLocation {
    /// A folder or a .tgz.
    Path(PathBuf),
    /// In a chart repository.
    Repository {
        /// URL, or `@NAME` as helm knows it.
        repository: String,
        /// Name of the chart.
        name: String,
        /// Version or constraint; the newest that is no prerelease if left out.
        version: Option<String>,
    },
    /// In a registry.
    Registry {
        /// Its name there, with or without `oci://`.
        chart: String,
        /// Version or constraint; the newest that is no prerelease if left out.
        version: Option<String>,
    },
}

/// What to do about dependencies of a chart in a folder that are not in its charts/.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Leave it at that; rendering says what is missing.
    Leave,
    /// Get them as `helm dependency build` does.
    Build,
    /// Get all dependencies anew, as `helm dependency update` does.
    Update,
}

/// Exactly this chart with these dependencies is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartPin {
    /// The chart; its digest is that of what travels.
    pub chart: Pin,
    /// Its downloaded dependencies.
    pub dependencies: Vec<ResolvedDependency>,
}

/// A chart with all that it needs.
#[derive(Debug, Clone)]
pub struct ResolvedChart {
    /// The chart.
    pub chart: Chart,
    /// The very bytes that were downloaded, or the folder packed, once somebody has asked for it.
    package: OnceLock<Bytes>,
    /// Where it came from; none for a path.
    pub origin: Option<ChartOrigin>,
    /// Dependencies that were downloaded.
    pub dependencies: Vec<ResolvedDependency>,
    /// Who signed it, where a keyring was given.
    pub signer: Option<Signer>,
}

impl ResolvedChart {
    /// What travels, a .tgz: the very bytes that were downloaded, or the folder packed.
    pub fn package(&self) -> Result<Bytes, SourceError> {
        if let Some(package) = self.package.get() {
            return Ok(package.clone());
        }
        let packed = self.chart.package().map_err(|source| SourceError::Chart { path: self.chart.name().into(), source })?;
        Ok(self.package.get_or_init(|| packed.into()).clone())
    }
}

/// A chart as `helm template` is told (helm, pkg/action, `ChartPathOptions`).
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of `helm template`")]
pub struct ChartRequest {
    /// Path, `oci://…`, URL of a .tgz, `REPOSITORY/CHART`, or the chart's name in `repo`.
    pub chart: String,
    /// URL of a repository.
    pub repo: Option<String>,
    /// Version or constraint.
    pub version: Option<String>,
    /// User of the repository.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret<String>>,
    /// Credentials go to every host that the repository names.
    pub pass_credentials: bool,
    /// Certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Certificate of the client.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Do not check the server's certificate.
    pub insecure_skip_tls_verify: bool,
    /// `oci://` without TLS.
    pub plain_http: bool,
    /// `--dependency-update`: resolve anew, in memory; nothing is written into the chart's folder.
    pub dependency_update: bool,
    /// `--verify` with `--keyring`: somebody of it must have signed the package.
    pub keyring: Option<PathBuf>,
}

impl Charts {
    /// The chart at a place, whole: what is missing in charts/ is downloaded, or said to be missing where it cannot be.
    ///
    /// With a keyring somebody of it must have signed the package; a folder is none.
    pub async fn resolve(&self, location: &ChartLocation, pin: Option<&ChartPin>, keyring: Option<&Path>) -> Result<ResolvedChart, SourceError> {
        let wish = |version| Wish { version, pin: pin.map(|pin| &pin.chart), keyring };
        match location {
            ChartLocation::Path(path) => {
                let found = self.at_path(path, Missing::Build, pin, keyring).await?;
                complete(&path.display().to_string(), &found.chart)?;
                Ok(found)
            }
            ChartLocation::Repository { repository, name, version } => downloaded(self.in_repository(repository, name, wish(version.as_deref())).await?).await,
            ChartLocation::Registry { chart, version } => downloaded(self.in_registry(chart, wish(version.as_deref())).await?).await,
        }
    }

    /// The chart that `helm template` would find (helm, pkg/action, `LocateChart`). Whether it is complete, rendering tells.
    pub async fn locate(&self, request: &ChartRequest) -> Result<ResolvedChart, SourceError> {
        let name = request.chart.trim();
        let path = Path::new(name);
        if path.exists() {
            let missing = if request.dependency_update { Missing::Update } else { Missing::Leave };
            return self.at_path(path, missing, None, request.keyring.as_deref()).await;
        }
        if path.is_absolute() || name.starts_with('.') {
            return Err(SourceError::Locate(format!("path {name:?} not found")));
        }
        let version = request.version.as_deref().map(str::trim).filter(|version| !version.is_empty());
        let wish = Wish { version, pin: None, keyring: request.keyring.as_deref() };
        let found = if let Some(repository) = &request.repo {
            let (url, access) = self.repository(repository)?;
            self.chart_in(&url, &request.over(access), name, wish).await?
        } else if name.starts_with("oci://") {
            self.in_registry(name, wish).await?
        } else if let Some(url) = Url::parse(name).ok().filter(Url::has_host) {
            let access = Access { origin: Some(url.clone()), ..Access::default() };
            self.at_url(&url, &request.over(access), wish.keyring).await?
        } else {
            let Some((repository, chart)) = name.split_once('/') else {
                return Err(SourceError::Locate(format!("non-absolute URLs should be in form of repo_name/path_to_chart, got: {name}")));
            };
            let known = self.helm.named(repository).ok_or_else(|| SourceError::Locate(format!("repo {repository} not found")))?;
            let (url, access) = self.repository(&known.url)?;
            self.chart_in(&url, &request.over(access), chart, wish).await?
        };
        loaded(found).await
    }

    async fn at_path(&self, path: &Path, missing: Missing, pin: Option<&ChartPin>, keyring: Option<&Path>) -> Result<ResolvedChart, SourceError> {
        if let Some(keyring) = keyring {
            let (from, keyring) = (path.to_owned(), keyring.to_owned());
            let read = tokio::task::spawn_blocking(move || super::signed_chart(&from, &keyring)).await.expect("reading a chart does not panic");
            let SignedChart { chart, package, signer } = read?;
            return Ok(ResolvedChart { chart, package: Bytes::from(package).into(), origin: None, dependencies: Vec::new(), signer: Some(signer) });
        }
        let Completed { chart, downloaded } = if path.is_dir() && missing != Missing::Leave {
            let mode = if missing == Missing::Build { Mode::Build } else { Mode::Update };
            dependencies::complete(self, path, mode, pin.map(|pin| pin.dependencies.as_slice())).await?
        } else {
            let from = path.to_owned();
            let chart = tokio::task::spawn_blocking(move || super::chart(&from)).await.expect("reading a chart does not panic")?;
            Completed { chart, downloaded: Vec::new() }
        };
        Ok(ResolvedChart { chart, package: OnceLock::new(), origin: None, dependencies: downloaded, signer: None })
    }
}

impl ChartRequest {
    /// What the command line says goes before what helm's repositories.yaml says; a URL that was typed may be without TLS.
    fn over(&self, access: Access) -> Access {
        let account = match (&self.username, &self.password) {
            (Some(user), Some(password)) if !user.is_empty() => Some((user.clone(), password.clone())),
            _ => access.account,
        };
        let tls = Tls {
            ca_file: self.ca_file.clone().or(access.tls.ca_file),
            cert_file: self.cert_file.clone().or(access.tls.cert_file),
            key_file: self.key_file.clone().or(access.tls.key_file),
            insecure: self.insecure_skip_tls_verify || access.tls.insecure,
        };
        Access { account, tls, plain_http: true, pass_credentials: self.pass_credentials || access.pass_credentials, ..access }
    }
}

async fn loaded(found: Download) -> Result<ResolvedChart, SourceError> {
    let Download { archive, mut origin, signer } = found;
    let described = format!("{} {}", origin.source, origin.version);
    let bytes = archive.clone();
    let read = tokio::task::spawn_blocking(move || Chart::from_tgz(&bytes)).await.expect("reading a chart does not panic");
    let chart = read.map_err(|source| SourceError::Downloaded { chart: described.trim_end().to_owned(), source })?;
    if origin.version.is_empty() {
        chart.version().clone_into(&mut origin.version);
    }
    Ok(ResolvedChart { chart, package: archive.into(), origin: Some(origin), dependencies: Vec::new(), signer })
}

async fn downloaded(found: Download) -> Result<ResolvedChart, SourceError> {
    let found = loaded(found).await?;
    complete(&format!("{} {}", found.chart.name(), found.chart.version()), &found.chart)?;
    Ok(found)
}

/// `CheckDependencies` (helm, pkg/action/install.go).
fn complete(described: &str, chart: &Chart) -> Result<(), SourceError> {
    let there = |name: &str| chart.subcharts().iter().any(|subchart| subchart.name() == name);
    let missing: Vec<String> = chart.metadata().dependencies.iter().filter(|wanted| !there(&wanted.name)).map(|wanted| wanted.name.clone()).collect();
    if missing.is_empty() { Ok(()) } else { Err(SourceError::Incomplete { chart: described.to_owned(), missing }) }
}

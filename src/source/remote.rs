//! Charts from repositories and registries: found, downloaded, held against their digests, kept.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use reqwest::Url;

use super::{
    SourceError,
    cache::Cache,
    chart::ARCHIVE_MAX,
    fetch_error::{FetchError, FetchProblem, shown},
    helm_config::HelmRepositories,
    http::{Access, Answer, Ask, Timing, Web},
    index::{self, Entry, INDEX_MAX},
    provenance::{self, PROVENANCE_MAX, ProvenanceError},
};
use crate::{
    oci::Digest,
    openpgp::Signer,
    registry::{HostOptions, Reach, Registries},
};

/// How charts are reached.
#[derive(Debug, Clone, Default)]
pub struct ChartsOptions {
    /// How to reach hosts.
    pub hosts: BTreeMap<String, HostOptions>,
    /// Docker's config.json, where credentials are.
    pub docker_config: Option<PathBuf>,
    /// Helm's repositories.yaml.
    pub helm_repositories: Option<PathBuf>,
    /// Helm's file of registry credentials.
    pub helm_registries: Option<PathBuf>,
    /// Where downloads are kept; nowhere if left out.
    pub cache: Option<Cache>,
    /// Proxies, and further files with credentials.
    pub reach: Reach,
}

/// Where charts come from, in one run.
#[derive(Debug)]
pub struct Charts {
    pub(super) web: Web,
    pub(super) registries: Arc<Registries>,
    pub(super) helm: HelmRepositories,
    cache: Option<Cache>,
    /// Indexes by URL: several apps may name one repository.
    indexes: tokio::sync::Mutex<HashMap<String, Bytes>>,
}

/// A packaged chart that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The .tgz.
    pub archive: Bytes,
    /// What is known about it.
    pub origin: ChartOrigin,
    /// Who signed it, where a keyring was given.
    pub signer: Option<Signer>,
}

/// What is wanted of a chart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish<'a> {
    /// Version or constraint; the newest that is no prerelease if left out.
    pub(super) version: Option<&'a str>,
    /// Exactly this one.
    pub(super) pin: Option<&'a Pin>,
    /// Somebody of this keyring must have signed it.
    pub(super) keyring: Option<&'a Path>,
}

/// Where a packaged chart came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartOrigin {
    /// The repository's URL, or `oci://` and the chart's; without credentials.
    pub source: String,
    /// The version that was found.
    pub version: String,
    /// Digest of the .tgz.
    pub digest: Digest,
    /// Digest of its manifest, in a registry.
    pub manifest: Option<Digest>,
}

/// Exactly this one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its version.
    pub version: String,
    /// Digest of the .tgz.
    pub digest: Digest,
    /// Digest of its manifest, in a registry.
    pub manifest: Option<Digest>,
}

impl Charts {
    /// Reads helm's repositories.yaml; nothing else is opened or asked yet.
    pub fn new(options: ChartsOptions) -> Result<Self, SourceError> {
        let ChartsOptions { hosts, docker_config, helm_repositories, helm_registries, cache, reach } = options;
        let configs = reach.first.iter().chain(&docker_config).chain(&helm_registries).chain(&reach.last).cloned().collect();
        Ok(Self {
            web: Web::new(hosts.clone(), configs, Timing::default()).through(reach.proxies.clone()),
            registries: Arc::new(Registries::new(hosts, docker_config).and_credentials_of(helm_registries).reached(&reach)),
            helm: helm_repositories.map(|path| HelmRepositories::read(&path)).transpose()?.unwrap_or_default(),
            cache,
            indexes: tokio::sync::Mutex::default(),
        })
    }

    /// A chart of a repository: a URL, or `@NAME` for one that was added to helm.
    pub(super) async fn in_repository(&self, repository: &str, name: &str, wish: Wish<'_>) -> Result<Download, SourceError> {
        let (url, access) = self.repository(repository)?;
        self.chart_in(&url, &access, name, wish).await
    }

    pub(super) async fn chart_in(&self, url: &Url, access: &Access, name: &str, wish: Wish<'_>) -> Result<Download, SourceError> {
        let source = shown(url).trim_end_matches('/').to_owned();
        if let Some(kept) = self.pinned(&source, wish) {
            return Ok(kept);
        }
        let Wish { version, pin, keyring } = wish;
        let entry = self.entry(url, access, name, pin.map(|pin| pin.version.as_str()).or(version)).await?;
        let what = || format!("{name} {} of {source}", entry.version);
        let Some(listed) = entry.urls.first() else { return Err(SourceError::NoUrl { chart: what() }) };
        let said =
            entry.digest.as_deref().map(|digest| read_digest(digest).ok_or_else(|| SourceError::IndexDigest { chart: what(), digest: digest.to_owned() }));
        let said = said.transpose()?;
        if let (Some(pin), Some(said)) = (pin, &said)
            && pin.digest != *said
        {
            return Err(SourceError::ChartDigest { chart: what(), wanted: pin.digest.clone(), found: said.clone() });
        }
        let wanted = pin.map(|pin| pin.digest.clone()).or(said);
        if listed.starts_with("oci://") {
            let found = self.in_registry(listed, Wish { keyring, ..Wish::default() }).await?;
            return match wanted {
                Some(wanted) if wanted != found.origin.digest => Err(SourceError::ChartDigest { chart: what(), wanted, found: found.origin.digest }),
                _ => Ok(Download { origin: ChartOrigin { source, version: entry.version, manifest: None, ..found.origin }, ..found }),
            };
        }
        let at = resolve(url, listed).ok_or_else(|| bad_url(listed))?;
        let archive = self.archive(&at, access, wanted.as_ref(), &what).await?;
        let digest = Digest::of(&archive);
        let signer = self.signer_at(&at, access, &digest, keyring).await?;
        Ok(Download { archive, signer, origin: ChartOrigin { source, version: entry.version, digest, manifest: None } })
    }

    /// A .tgz at a URL of its own.
    pub(super) async fn at_url(&self, url: &Url, access: &Access, keyring: Option<&Path>) -> Result<Download, SourceError> {
        let archive = self.archive(url, access, None, &|| shown(url)).await?;
        let digest = Digest::of(&archive);
        let signer = self.signer_at(url, access, &digest, keyring).await?;
        Ok(Download { archive, signer, origin: ChartOrigin { source: shown(url), version: String::new(), digest, manifest: None } })
    }

    /// What is here already of a chart whose digest is known: the package, and its provenance where somebody must have signed it.
    pub(super) fn pinned(&self, source: &str, wish: Wish<'_>) -> Option<Download> {
        let pin = wish.pin?;
        let archive = self.kept(&pin.digest)?;
        let signer = match wish.keyring {
            None => None,
            // One that does not count any more is asked for anew.
            Some(keyring) => {
                let (name, text) = self.cache.as_ref()?.provenance(&pin.digest)?;
                Some(provenance::verify(name.as_deref(), &pin.digest, text.as_bytes(), keyring).ok()?)
            }
        };
        let origin = ChartOrigin { source: source.to_owned(), version: pin.version.clone(), digest: pin.digest.clone(), manifest: pin.manifest.clone() };
        Some(Download { archive, origin, signer })
    }

    /// Who signed the package at a URL: its provenance lies beside it.
    async fn signer_at(&self, package: &Url, access: &Access, digest: &Digest, keyring: Option<&Path>) -> Result<Option<Signer>, SourceError> {
        let Some(keyring) = keyring else { return Ok(None) };
        let mut url = package.clone();
        url.set_path(&format!("{}.prov", package.path()));
        let asked = self.web.get(Ask { url: &url, access, max: PROVENANCE_MAX, known: None }).await;
        let failed = |source: FetchError| ProvenanceError::NotFetched { url: shown(&url), source: source.into() };
        let Answer::Document(text, _) = asked.map_err(failed)? else { return Err(unexpected(&url)) };
        let name = package.path_segments().and_then(|mut path| path.next_back()).map(percent_decoded);
        self.signed_by(name.as_deref(), digest, &text, keyring).map(Some)
    }

    /// Verifies a provenance, and keeps it.
    pub(super) fn signed_by(&self, name: Option<&str>, package: &Digest, text: &[u8], keyring: &Path) -> Result<Signer, SourceError> {
        let signer = provenance::verify(name, package, text, keyring)?;
        if let (Some(cache), Ok(text)) = (&self.cache, std::str::from_utf8(text)) {
            cache.put_provenance(package, name, text);
        }
        Ok(signer)
    }

    async fn archive(&self, url: &Url, access: &Access, wanted: Option<&Digest>, what: &(dyn Fn() -> String + Sync)) -> Result<Bytes, SourceError> {
        if let Some(archive) = wanted.and_then(|digest| self.kept(digest)) {
            return Ok(archive);
        }
        let answer = self.web.get(Ask { url, access, max: ARCHIVE_MAX, known: None }).await?;
        let Answer::Document(archive, _) = answer else { return Err(unexpected(url)) };
        let found = Digest::of(&archive);
        match wanted {
            Some(wanted) if *wanted != found => Err(SourceError::ChartDigest { chart: what(), wanted: wanted.clone(), found }),
            _ => {
                self.keep(&found, &archive);
                Ok(archive)
            }
        }
    }

    /// The entry of a chart's version in a repository's index.
    async fn entry(&self, url: &Url, access: &Access, name: &str, version: Option<&str>) -> Result<Entry, SourceError> {
        let repository = shown(url).trim_end_matches('/').to_owned();
        let listed = self.listed(url, access, name).await?;
        let found = listed.as_deref().and_then(|entries| index::choose(entries, version)).cloned();
        found.ok_or_else(|| {
            let newest = listed.into_iter().flatten().next().map(|entry| entry.version);
            SourceError::NotInRepository { chart: described(name, version), repository, newest }
        })
    }

    /// All versions of a chart in a repository's index, the newest first; none if the index does not have the chart.
    pub(super) async fn listed(&self, url: &Url, access: &Access, name: &str) -> Result<Option<Vec<Entry>>, SourceError> {
        let index = self.index(url, access).await?;
        let chart = name.to_owned();
        let read = tokio::task::spawn_blocking(move || index::versions(&index, &chart)).await.expect("reading an index does not panic");
        read.map_err(|source| SourceError::Index { repository: shown(url).trim_end_matches('/').to_owned(), source: Box::new(source) })
    }

    async fn index(&self, repository: &Url, access: &Access) -> Result<Bytes, SourceError> {
        let url = resolve(repository, "index.yaml").ok_or_else(|| bad_url(repository.as_str()))?;
        // Two apps of one repository wait for the same download.
        let mut indexes = self.indexes.lock().await;
        if let Some(index) = indexes.get(url.as_str()) {
            return Ok(index.clone());
        }
        let before = self.cache.as_ref().and_then(|cache| cache.index(&shown(&url), INDEX_MAX));
        let known = before.as_ref().map(|(_, validators)| validators);
        let answer = self.web.get(Ask { url: &url, access, max: INDEX_MAX, known }).await?;
        let index = match (answer, before) {
            (Answer::Document(index, validators), _) => {
                if let Some(cache) = &self.cache {
                    cache.put_index(&shown(&url), &index, validators);
                }
                index
            }
            (Answer::NotModified, Some((index, _))) => index,
            (Answer::NotModified, None) => return Err(unexpected(&url)),
        };
        indexes.insert(url.into(), index.clone());
        Ok(index)
    }

    /// A repository by URL, or by its name in helm, with how it is reached.
    pub(super) fn repository(&self, written: &str) -> Result<(Url, Access), SourceError> {
        let named = written.strip_prefix('@').or_else(|| written.strip_prefix("alias:"));
        let known = match named {
            Some(name) => Some(self.helm.named(name).ok_or_else(|| SourceError::NoRepository(written.to_owned()))?),
            None => self.helm.at(written),
        };
        let text = known.map_or(written, |repository| repository.url.as_str());
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or_else(|| bad_url(text))?;
        let access = known.map_or_else(|| Access { origin: Some(url.clone()), ..Access::default() }, super::helm_config::HelmRepository::access);
        Ok((url, access))
    }

    pub(super) fn kept(&self, digest: &Digest) -> Option<Bytes> {
        self.cache.as_ref()?.get(digest, ARCHIVE_MAX)
    }

    pub(super) fn keep(&self, digest: &Digest, archive: &Bytes) {
        if let Some(cache) = &self.cache {
            cache.put(digest, archive);
        }
    }
}

/// A segment of a URL's path as the name of a file.
fn percent_decoded(segment: &str) -> String {
    let (bytes, mut found, mut at) = (segment.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let octet = (*byte == b'%').then(|| segment.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok())).flatten();
        found.push(octet.unwrap_or(*byte));
        at += if octet.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&found).into_owned()
}

/// `chart "web" version "~1.2"`, as Helm says it (pkg/repo, `FindChartInRepoURL`).
fn described(name: &str, version: Option<&str>) -> String {
    match version.filter(|version| !version.is_empty()) {
        Some(version) => format!("chart {name:?} version {version:?}"),
        None => format!("chart {name:?}"),
    }
}

/// Helm writes bare digits, others name the algorithm.
fn read_digest(text: &str) -> Option<Digest> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    format!("sha256:{}", digits.to_ascii_lowercase()).parse().ok()
}

/// `ResolveReferenceURL`: relative to the repository as to a folder; the repository's query stays (helm, pkg/repo/chartrepo.go).
fn resolve(base: &Url, reference: &str) -> Option<Url> {
    if let Ok(url) = Url::parse(reference) {
        return Some(url);
    }
    let mut folder = base.clone();
    folder.set_path(&format!("{}/", base.path().trim_end_matches('/')));
    let mut url = folder.join(reference).ok()?;
    url.set_query(base.query());
    Some(url)
}

fn bad_url(text: &str) -> SourceError {
    let url = crate::redact::SafeUrl::new(text).to_string();
    FetchError { problem: Box::new(FetchProblem::Url(url.clone())), url }.into()
}

/// 304 for something that was not asked with conditions.
fn unexpected(url: &Url) -> SourceError {
    FetchError { url: shown(url), problem: Box::new(FetchProblem::Status { status: 304, wait: None }) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_relative_to_the_repository() {
        for (base, reference, want) in [
            ("https://h/charts", "web-1.tgz", "https://h/charts/web-1.tgz"),
            ("https://h/charts/", "sub/web-1.tgz", "https://h/charts/sub/web-1.tgz"),
            ("https://h/charts", "../web-1.tgz", "https://h/web-1.tgz"),
            ("https://h/charts", "/web-1.tgz", "https://h/web-1.tgz"),
            ("https://h/charts?token=1", "web-1.tgz", "https://h/charts/web-1.tgz?token=1"),
            ("https://h/charts", "https://cdn/web-1.tgz?x=1", "https://cdn/web-1.tgz?x=1"),
        ] {
            assert_eq!(resolve(&base.parse().unwrap(), reference).unwrap().as_str(), want);
        }
    }

    #[test]
    fn digests_with_and_without_their_algorithm() {
        let digits = "99c76e403d752c84ead610644d4b1c2f2b453a74b921f422b9dcb8a7c8b559cd";
        assert_eq!(read_digest(digits), read_digest(&format!("sha256:{}", digits.to_uppercase())));
        assert_eq!(read_digest("99c7"), None);
    }

    #[test]
    fn repositories_are_urls_or_known_to_helm() {
        let charts = Charts::new(ChartsOptions::default()).unwrap();
        assert!(matches!(charts.repository("@corp"), Err(SourceError::NoRepository(_))));
        for bad in ["stable", "ftp://h/charts", "file:///charts"] {
            assert!(charts.repository(bad).is_err(), "{bad}");
        }
        assert!(charts.repository("https://h/charts").is_ok());
    }
}

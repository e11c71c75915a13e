//! Charts in registries (helm, pkg/registry): a manifest with Chart.yaml as config and the .tgz as layer.

use super::{
    SourceError,
    chart::ARCHIVE_MAX,
    provenance::{PROVENANCE_MAX, ProvenanceError},
    remote::{ChartOrigin, Charts, Download, Wish},
};
use crate::{
    oci::{Descriptor, ManifestKind, Reference, media_type},
    semver::{Constraint, Version},
};

/// What a chart's layer was called before Helm 3.7 (helm, pkg/registry/constants.go, `LegacyChartLayerMediaType`).
const LEGACY_LAYER: &str = "application/tar+gzip";

/// A chart's name in a registry, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) reference: Reference,
    /// A tag was written, rather than meant.
    tagged: bool,
}

impl Charts {
    /// A chart in a registry, with or without `oci://`: the tag or digest that it names, else the version, which may be a constraint.
    pub(super) async fn in_registry(&self, chart: &str, wish: Wish<'_>) -> Result<Download, SourceError> {
        let name = Name::parse(chart)?;
        let source = format!("oci://{}", name.reference.name());
        if let Some(kept) = self.pinned(&source, wish) {
            return Ok(kept);
        }
        let Wish { version, pin, keyring } = wish;
        let wanted = match pin.and_then(|pin| pin.manifest.clone()) {
            Some(manifest) => name.reference.by_digest(manifest),
            None => self.tagged(&name, pin.map(|pin| pin.version.as_str()).or(version)).await?,
        };
        let (root, manifest) = self.registries.resolve(&wanted).await?;
        let Layers { package: layer, provenance } = layers(&wanted, &manifest)?;
        if let Some(pin) = pin.filter(|pin| pin.digest != layer.digest) {
            return Err(SourceError::ChartDigest { chart: wanted.to_string(), wanted: pin.digest.clone(), found: layer.digest });
        }
        let archive = match self.kept(&layer.digest) {
            Some(archive) => archive,
            None => self.registries.content(&wanted, &layer, ARCHIVE_MAX).await?,
        };
        self.keep(&layer.digest, &archive);
        let version = pin.map(|pin| pin.version.clone()).or_else(|| wanted.tag().map(untag)).unwrap_or_default();
        let signer = match keyring {
            None => None,
            Some(keyring) => {
                let text = self.provenance(&wanted, provenance).await?;
                // The package is called after its tag, as helm calls it (pkg/downloader, `DownloadTo`).
                let short = wanted.name().rsplit('/').next().unwrap_or_default().to_owned();
                let name = (!version.is_empty()).then(|| format!("{short}-{version}.tgz"));
                Some(self.signed_by(name.as_deref(), &layer.digest, &text, keyring)?)
            }
        };
        Ok(Download { archive, signer, origin: ChartOrigin { source, version, digest: layer.digest, manifest: Some(root.digest) } })
    }

    async fn provenance(&self, chart: &Reference, layer: Option<Descriptor>) -> Result<bytes::Bytes, SourceError> {
        let failed = |source| ProvenanceError::NotFetched { url: format!("oci://{chart}.prov"), source };
        let missing = || format!("manifest does not contain a layer with mediatype {}", media_type::HELM_PROVENANCE);
        let layer = layer.ok_or_else(|| failed(missing().into()))?;
        Ok(self.registries.content(chart, &layer, PROVENANCE_MAX).await.map_err(|error| failed(error.into()))?)
    }

    /// The reference with the tag that is wanted (helm, pkg/registry, `Client.ValidateReference` and `GetTagMatchingVersionOrConstraint`).
    async fn tagged(&self, name: &Name, version: Option<&str>) -> Result<Reference, SourceError> {
        let version = version.filter(|version| !version.is_empty());
        let bad = |reason: String| SourceError::NotAChart { chart: name.reference.to_string(), reason };
        if name.reference.digest().is_some() {
            return Ok(name.reference.clone());
        }
        if name.tagged {
            let tag = name.reference.tag().map(untag).unwrap_or_default();
            return match version {
                Some(version) if version != tag => Err(bad(format!("chart reference and version mismatch: {version} is not {tag}"))),
                _ => Ok(name.reference.clone()),
            };
        }
        let with = |version: &str| {
            format!("{}:{}", name.reference.name(), version.replace('+', "_")).parse().map_err(|error: crate::oci::ReferenceError| bad(error.to_string()))
        };
        if let Some(version) = version.filter(|version| strict(version).is_some()) {
            return with(version);
        }
        let tags = self.registries.tags(&name.reference).await?;
        let found = choose(&tags, version);
        match found {
            Some(version) => with(&version),
            None => Err(SourceError::NotInRepository {
                chart: version.map_or_else(|| "a version".to_owned(), |version| format!("a version that fits {version:?}")),
                repository: format!("oci://{}", name.reference.name()),
                newest: choose(&tags, Some(">=0.0.0-0")),
            }),
        }
    }
}

impl Name {
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        let written = text.strip_prefix("oci://").unwrap_or(text);
        let bad = |reason: String| SourceError::NotAChart { chart: text.to_owned(), reason };
        let reference: Reference = written.parse().map_err(|error: crate::oci::ReferenceError| bad(error.to_string()))?;
        let host = written.split('/').next().unwrap_or_default();
        if host != reference.registry() {
            return Err(bad("wanted a registry's host first, as in oci://registry.example/charts/web".to_owned()));
        }
        let last = written.split('@').next().unwrap_or(written).rsplit('/').next().unwrap_or_default();
        Ok(Self { tagged: last.contains(':'), reference })
    }
}

/// The newest tag that fits: an equal one first, prereleases only where they are asked for.
fn choose(tags: &[String], wanted: Option<&str>) -> Option<String> {
    let constraint = Constraint::parse(wanted.unwrap_or("*"))?;
    let mut versions: Vec<(Version, String)> = tags.iter().map(|tag| untag(tag)).filter_map(|tag| Some((strict(&tag)?, tag))).collect();
    versions.sort_by(|(a, _), (b, _)| b.compare(a));
    let exact = versions.iter().find(|(_, text)| Some(text.as_str()) == wanted);
    exact.or_else(|| versions.iter().find(|(version, _)| constraint.accepts(version))).map(|(_, text)| text.clone())
}

/// `+` is not allowed in tags.
pub(super) fn untag(tag: &str) -> String {
    tag.replace('_', "+")
}

/// `StrictNewVersion`: three numbers, no `v`.
fn strict(text: &str) -> Option<Version> {
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    let three = numbers.split('.').filter(|part| *part == "0" || !part.starts_with('0')).count() == 3;
    (three && !text.starts_with('v')).then(|| Version::parse(text)).flatten()
}

/// What of a chart's manifest counts.
struct Layers {
    package: Descriptor,
    /// Who signed it.
    provenance: Option<Descriptor>,
}

fn layers(chart: &Reference, manifest: &[u8]) -> Result<Layers, SourceError> {
    let bad = |reason: String| SourceError::NotAChart { chart: chart.to_string(), reason };
    let ManifestKind::Manifest(manifest) = ManifestKind::parse(manifest, None).map_err(|error| bad(error.to_string()))? else {
        return Err(bad("it is an index of images".to_owned()));
    };
    if manifest.config.media_type != media_type::HELM_CONFIG {
        return Err(bad(format!("its config is of type {}, that of a chart is {}", manifest.config.media_type, media_type::HELM_CONFIG)));
    }
    let provenance = manifest.layers.iter().find(|layer| layer.media_type == media_type::HELM_PROVENANCE).cloned();
    let package = manifest.layers.into_iter().find(|layer| matches!(layer.media_type.as_str(), media_type::HELM_CHART | LEGACY_LAYER));
    // Helm's words (pkg/registry/client.go).
    let package = package.ok_or_else(|| bad(format!("manifest does not contain a layer with mediatype {}", media_type::HELM_CHART)))?;
    Ok(Layers { package, provenance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_a_host() {
        for (text, tagged) in [("oci://127.0.0.1:5000/charts/web", false), ("registry.example/web:1.2.0", true), ("localhost:5000/a/b:1", true)] {
            assert_eq!(Name::parse(text).unwrap().tagged, tagged, "{text}");
        }
        for bad in ["oci://web", "oci://charts/web", "oci://h.dev/A", "oci://u:p@h.dev/a"] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_are_versions() {
        let tags = ["1.2.0", "1.10.0", "2.0.0-rc.1", "1.10.0_build.5", "latest", "v3.0.0", "4", "sha256-abc.sig"].map(str::to_owned);
        for (wanted, found) in [
            (None, Some("1.10.0")),
            (Some("~1.2"), Some("1.2.0")),
            (Some("1.10.0+build.5"), Some("1.10.0+build.5")),
            (Some(">1-0"), Some("2.0.0-rc.1")),
            (Some(">=3"), None),
            (Some("no"), None),
        ] {
            assert_eq!(choose(&tags, wanted).as_deref(), found, "{wanted:?}");
        }
    }
}

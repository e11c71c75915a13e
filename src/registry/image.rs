//! What belongs to an image for the platforms that are wanted, wherever its documents come from.

use bytes::Bytes;

use crate::oci::{Descriptor, ImageConfig, Index, MANIFEST_MAX, Manifest, ManifestError, ManifestKind, Platform, media_type};

/// Indexes within indexes.
const DEPTH_MAX: usize = 4;
/// Manifests of one index that are looked at.
const MANIFESTS_MAX: usize = 512;
/// Layers of one image; containerd's overlay snapshotter gives up long before.
const LAYERS_MAX: usize = 1024;

/// Where documents come from.
pub trait Documents {
    /// How that fails.
    type Error: From<ImageError>;
    /// The bytes of a manifest, an index or a config, checked against the descriptor's digest and size.
    fn document(&self, descriptor: &Descriptor) -> impl Future<Output = Result<Bytes, Self::Error>> + Send;
}

/// An image: its documents in memory, its layers by descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its index or manifest.
    pub root: Descriptor,
    /// Index, manifests and configs, byte for byte.
    pub documents: Vec<(Descriptor, Bytes)>,
    /// Layers of all wanted platforms; several manifests may name one.
    pub layers: Vec<Descriptor>,
    /// Platforms of its manifests.
    pub platforms: Vec<Platform>,
}

/// Why something is no image for us.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A document that is no manifest.
    #[error("{digest} is no image: {source}")]
    Manifest {
        /// Which document.
        digest: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// A manifest whose config is not that of an image: a chart, a signature.
    #[error("it is no container image: its config has the type `{0}`")]
    NotAnImage(String),
    /// A config that cannot be read.
    #[error("its config {digest} cannot be read: {source}")]
    Config {
        /// Which config.
        digest: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A layer that the registry need not have, and that may not be passed on.
    #[error(
        "its layer {digest} has the type `{media_type}`, which may not be distributed{}; such layers, of Windows as a rule, do not travel",
        .urls.first().map_or_else(String::new, |url| format!(" (it is to be had from {})", crate::redact::SafeUrl::new(url.as_str())))
    )]
    Foreign {
        /// Which layer.
        digest: String,
        /// What it is.
        media_type: String,
        /// Where it may be had.
        urls: Vec<String>,
    },
    /// A platform that is wanted and not there.
    #[error("it has no content for {wanted}; it has {found}")]
    Platform {
        /// Which is wanted.
        wanted: Platform,
        /// What there is.
        found: String,
    },
    /// More of something than any image has.
    #[error("it has {found} {what}, more than the {max} that are accepted")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A document that is larger than any should be.
    #[error("its document {digest} has {size} bytes, more than the {max} that are accepted")]
    TooLarge {
        /// Which document.
        digest: String,
        /// Its size.
        size: u64,
        /// The limit.
        max: u64,
    },
}

/// What was found on the way.
#[derive(Default)]
struct Found {
    documents: Vec<(Descriptor, Bytes)>,
    layers: Vec<Descriptor>,
    platforms: Vec<Platform>,
    /// Platforms that an index names and that nobody wants, for the message.
    others: Vec<Platform>,
}

/// Collects an image from its root for the wanted platforms; every one of them must be there.
pub async fn gather<D: Documents>(root: Descriptor, bytes: Bytes, wanted: &[Platform], source: &D) -> Result<Image, D::Error> {
    let mut found = Found::default();
    let mut open = vec![(root.clone(), bytes, 0)];
    while let Some((descriptor, bytes, depth)) = open.pop() {
        let kind = ManifestKind::parse(&bytes, Some(&descriptor.media_type)).map_err(|source| manifest_error(&descriptor, source))?;
        found.documents.push((descriptor.clone(), bytes));
        match kind {
            ManifestKind::Manifest(manifest) => take_manifest(&manifest, descriptor.platform.as_ref(), source, &mut found).await?,
            ManifestKind::Index(index) => {
                within("levels of indexes", depth, DEPTH_MAX)?;
                for child in choose(&index, wanted, &mut found.others)? {
                    small(child)?;
                    if !found.documents.iter().any(|(known, _)| known.digest == child.digest) {
                        open.push((child.clone(), source.document(child).await?, depth + 1));
                    }
                }
            }
        }
    }
    for platform in wanted {
        if !found.platforms.iter().any(|p| p.serves(platform)) {
            return Err(missing(platform, &found).into());
        }
    }
    Ok(Image { root, documents: found.documents, layers: found.layers, platforms: found.platforms })
}

/// Children for wanted platforms, nested indexes, and what says nothing about its platform. Attestations call themselves `unknown/unknown`
/// (moby/buildkit, docs/attestations/attestation-storage.md).
fn choose<'a>(index: &'a Index, wanted: &[Platform], others: &mut Vec<Platform>) -> Result<Vec<&'a Descriptor>, ImageError> {
    within("manifests", index.manifests.len(), MANIFESTS_MAX)?;
    let mut chosen = Vec::new();
    for child in &index.manifests {
        let attestation = child.annotations.contains_key("vnd.docker.reference.type");
        match &child.platform {
            _ if attestation || !(media_type::is_manifest(&child.media_type) || media_type::is_index(&child.media_type)) => {}
            Some(platform) if platform.os == "unknown" => {}
            Some(platform) if wanted.iter().any(|w| platform.serves(w)) => chosen.push(child),
            Some(platform) => others.push(platform.clone()),
            None => chosen.push(child),
        }
    }
    Ok(chosen)
}

async fn take_manifest<D: Documents>(manifest: &Manifest, said: Option<&Platform>, source: &D, found: &mut Found) -> Result<(), D::Error> {
    if !matches!(manifest.config.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
        return Err(ImageError::NotAnImage(manifest.config.media_type.clone()).into());
    }
    within("layers", manifest.layers.len(), LAYERS_MAX)?;
    small(&manifest.config)?;
    if let Some(layer) = manifest.layers.iter().find(|layer| media_type::is_foreign(&layer.media_type)) {
        let (digest, media_type, urls) = (layer.digest.to_string(), layer.media_type.clone(), layer.urls.clone());
        return Err(ImageError::Foreign { digest, media_type, urls }.into());
    }
    let config = source.document(&manifest.config).await?;
    let parsed: ImageConfig = serde_json::from_slice(&config).map_err(|source| ImageError::Config { digest: manifest.config.digest.to_string(), source })?;
    let own = Platform { architecture: parsed.architecture, os: parsed.os, variant: parsed.variant, os_version: None };
    found.platforms.push(said.cloned().unwrap_or(own));
    found.documents.push((manifest.config.clone(), config));
    found.layers.extend(manifest.layers.iter().cloned());
    Ok(())
}

fn manifest_error(descriptor: &Descriptor, source: ManifestError) -> ImageError {
    ImageError::Manifest { digest: descriptor.digest.to_string(), source }
}

fn missing(wanted: &Platform, found: &Found) -> ImageError {
    let name = |platform: &Platform| match (platform.os.as_str(), platform.architecture.as_str()) {
        ("", "") => "a platform that its config does not name".to_owned(),
        _ => platform.to_string(),
    };
    let mut names: Vec<String> = found.platforms.iter().chain(&found.others).map(name).collect();
    names.sort();
    names.dedup();
    let found = if names.is_empty() { "nothing that runs".to_owned() } else { names.join(", ") };
    ImageError::Platform { wanted: wanted.clone(), found }
}

fn small(descriptor: &Descriptor) -> Result<(), ImageError> {
    if descriptor.size > MANIFEST_MAX {
        return Err(ImageError::TooLarge { digest: descriptor.digest.to_string(), size: descriptor.size, max: MANIFEST_MAX });
    }
    Ok(())
}

fn within(what: &'static str, found: usize, max: usize) -> Result<(), ImageError> {
    if found > max { Err(ImageError::TooMany { what, found, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::oci::Digest;

    struct Map(HashMap<Digest, Bytes>);

    impl Documents for Map {
        type Error = ImageError;
        async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ImageError> {
            Ok(self.0[&descriptor.digest].clone())
        }
    }

    fn manifest(map: &mut Map, arch: &str) -> Descriptor {
        let config = Bytes::from(format!(r#"{{"architecture":"{arch}","os":"linux"}}"#));
        let config_descriptor = Descriptor::of(media_type::OCI_CONFIG, &config);
        let layer = Descriptor::of(media_type::OCI_LAYER, arch.as_bytes());
        let text = serde_json::json!({"schemaVersion": 2, "config": config_descriptor, "layers": [layer]}).to_string();
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, text.as_bytes());
        descriptor.platform = Some(format!("linux/{arch}").parse().unwrap());
        map.0.insert(config_descriptor.digest, config);
        map.0.insert(descriptor.digest.clone(), text.into());
        descriptor
    }

    fn index(children: &[Descriptor]) -> (Descriptor, Bytes) {
        let text = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children}).to_string();
        (Descriptor::of(media_type::OCI_INDEX, text.as_bytes()), text.into())
    }

    fn wanted(names: &[&str]) -> Vec<Platform> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn takes_the_wanted_platforms_and_no_attestations() {
        let mut map = Map(HashMap::new());
        let mut children = vec![manifest(&mut map, "amd64"), manifest(&mut map, "arm64"), manifest(&mut map, "s390x")];
        let mut attestation = Descriptor::of(media_type::OCI_MANIFEST, b"never asked for");
        attestation.platform = Some("unknown/unknown".parse().unwrap());
        children.push(attestation);
        let (root, bytes) = index(&children);
        let image = gather(root.clone(), bytes.clone(), &wanted(&["linux/amd64", "linux/arm64"]), &map).await.unwrap();
        assert_eq!((image.documents.len(), image.layers.len()), (5, 2));
        let error = gather(root, bytes, &wanted(&["linux/amd64", "linux/riscv64"]), &map).await.unwrap_err();
        assert_eq!(error.to_string(), "it has no content for linux/riscv64; it has linux/amd64, linux/arm64, linux/s390x");
    }

    #[tokio::test]
    async fn an_image_that_does_not_say_what_it_is_for() {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let map = Map(HashMap::from([(config.digest.clone(), Bytes::from_static(b"{}"))]));
        let text = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []}).to_string();
        let error = gather(Descriptor::of(media_type::OCI_MANIFEST, text.as_bytes()), text.into(), &wanted(&["linux/amd64"]), &map).await.unwrap_err();
        assert_eq!(error.to_string(), "it has no content for linux/amd64; it has a platform that its config does not name");
    }

    #[tokio::test]
    async fn refuses_charts_schema_1_and_endless_indexes() {
        let map = Map(HashMap::new());
        let chart = serde_json::json!({"schemaVersion": 2, "config": Descriptor::of(media_type::HELM_CONFIG, b""), "layers": []}).to_string();
        let error = gather(Descriptor::of(media_type::OCI_MANIFEST, chart.as_bytes()), chart.into(), &wanted(&["linux/amd64"]), &map).await.unwrap_err();
        assert!(matches!(error, ImageError::NotAnImage(_)));
        let old = r#"{"schemaVersion":1}"#;
        let error = gather(Descriptor::of("x", old.as_bytes()), old.into(), &[], &map).await.unwrap_err();
        assert!(matches!(error, ImageError::Manifest { source: ManifestError::Schema1, .. }));
        let mut map = Map(HashMap::new());
        let (mut root, mut bytes) = index(&[]);
        for _ in 0..8 {
            map.0.insert(root.digest.clone(), bytes.clone());
            (root, bytes) = index(&[root]);
        }
        assert!(matches!(gather(root, bytes, &[], &map).await.unwrap_err(), ImageError::TooMany { .. }));
    }
}

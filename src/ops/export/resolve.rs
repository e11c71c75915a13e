//! Every image to its digest, its documents and its layers: in registries side by side, in image archives from the file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tokio::task::JoinSet;

use super::ExportedImage;
use crate::{
    delivery::record::Origin,
    failure::{Failure, Kind},
    images::ImageSet,
    oci::{Digest, Platform, Reference},
    ops::{prepare::registry_failure, several},
    progress::SharedReporter,
    registry::{Image, Registries},
    source::LocalArchive,
};

/// Where a layer comes from.
#[derive(Debug, Clone)]
pub(in crate::ops) enum Origins {
    /// An image in a registry that has it.
    Registry(Reference),
    /// An image archive.
    Local(Arc<LocalArchive>),
}

/// All images, resolved.
#[derive(Debug)]
pub(in crate::ops) struct Resolved {
    /// Each with what it consists of and who named it.
    pub(in crate::ops) images: BTreeMap<Reference, (Image, Vec<Origin>)>,
    /// Where to get each layer.
    pub(in crate::ops) layers: HashMap<Digest, Origins>,
}

impl Resolved {
    pub(super) fn summary(&self) -> Vec<ExportedImage> {
        let line = |(reference, (image, _)): (&Reference, &(Image, Vec<Origin>))| ExportedImage {
            reference: reference.clone(),
            digest: image.root.digest.clone(),
            size: image.layers.iter().map(|layer| layer.size).sum(),
        };
        self.images.iter().map(line).collect()
    }
}

/// Two image archives that disagree, or an archive that is not what a digest says.
#[derive(Debug, thiserror::Error)]
enum LocalError {
    #[error("two image archives hold different images called {0}")]
    Twice(Reference),
    #[error("the image archive's {image} has the digest {found}")]
    Digest { image: Reference, found: Digest },
}

/// Resolves all images; all that fail are reported. What an image archive holds is not asked for in a registry.
/// With `locked` every image is asked for by the digest that is locked.
pub(in crate::ops) async fn resolve(
    mut named: ImageSet,
    archives: Vec<(LocalArchive, Origin)>,
    platforms: &[Platform],
    locked: Option<&BTreeMap<Reference, Digest>>,
    registries: &Arc<Registries>,
    reporter: &SharedReporter,
) -> Result<Resolved, Failure> {
    let local = local_images(archives, &mut named)?;
    reporter.step(format!("resolving {} images", named.len()));
    let mut found = Resolved { images: BTreeMap::new(), layers: HashMap::new() };
    let (mut tasks, mut failures) = (JoinSet::new(), Vec::new());
    for (image, origins) in named.iter() {
        let pinned = locked.and_then(|locked| locked.get(image));
        match local.get(&image.without_digest()).or_else(|| local.get(image)) {
            Some((content, archive)) if image.digest().or(pinned).is_none_or(|digest| *digest == content.root.digest) => {
                for layer in &content.layers {
                    found.layers.insert(layer.digest.clone(), Origins::Local(archive.clone()));
                }
                found.images.insert(image.clone(), (content.clone(), origins.to_vec()));
            }
            Some((content, _)) if image.tag().is_none() || pinned.is_some() => {
                failures.push(Failure::new(Kind::Source, LocalError::Digest { image: image.clone(), found: content.root.digest.clone() }));
            }
            _ => {
                let (registries, image, platforms, origins) = (registries.clone(), image.clone(), platforms.to_vec(), origins.to_vec());
                let asked = pinned.map_or_else(|| image.clone(), |digest| image.by_digest(digest.clone()));
                tasks.spawn(async move { (registries.image(&asked, &platforms).await, image, origins) });
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((Ok(remote), image, origins)) => {
                for layer in &remote.content.layers {
                    found.layers.entry(layer.digest.clone()).or_insert_with(|| Origins::Registry(remote.reference.clone()));
                }
                found.images.insert(image, (remote.content, origins));
            }
            Ok((Err(error), ..)) => failures.push(registry_failure(error)),
            Err(error) => failures.push(Failure::new(Kind::Other, error)),
        }
    }
    // They came in the order of the network.
    failures.sort_by_cached_key(ToString::to_string);
    several::all("images cannot be had", failures)?;
    Ok(found)
}

/// All images that are named, in apps, in `spec.images` and by image archives.
pub(super) fn names(named: &ImageSet, archives: &[(LocalArchive, Origin)]) -> BTreeSet<Reference> {
    let local = archives.iter().flat_map(|(archive, _)| archive.images()).flat_map(|image| image.names.iter().cloned());
    named.iter().map(|(image, _)| image.clone()).chain(local).collect()
}

type Local = BTreeMap<Reference, (Image, Arc<LocalArchive>)>;

fn local_images(archives: Vec<(LocalArchive, Origin)>, named: &mut ImageSet) -> Result<Local, Failure> {
    let mut local = Local::new();
    for (archive, origin) in archives {
        let archive = Arc::new(archive);
        for image in archive.images() {
            for name in &image.names {
                named.add(name.clone(), origin.clone());
                let before = local.insert(name.clone(), (image.content.clone(), archive.clone()));
                if before.is_some_and(|(other, _)| other.root.digest != image.content.root.digest) {
                    return Err(Failure::new(Kind::Source, LocalError::Twice(name.clone())));
                }
            }
        }
    }
    Ok(local)
}

//! `images`: every image of a delivery or an archive, and who named it.

use serde::Serialize;

use super::{
    charts::{self, ChartAccess},
    lock,
    prepare::{prepare, source_failure},
    tags,
};
use crate::{
    archive::Archive,
    delivery::{Delivery, ImageEntry, record::Origin},
    failure::Failure,
    images::ImageSet,
    oci::{Digest, Reference},
    progress::{SharedReporter, Silent},
    registry::Registries,
    source::LocalArchive,
};

/// Every image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagesOutcome {
    /// Sorted by reference.
    pub images: Vec<ImageLine>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageLine {
    /// Its full name.
    pub reference: Reference,
    /// Its digest, where that is known without asking a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Who named it.
    pub origins: Vec<Origin>,
}

/// The images that a delivery will carry. Charts are fetched where they are not here, in the versions of the lock where there is
/// one; registries are asked only for the tags that policies choose among, where no lock has them.
pub async fn images_of_delivery(delivery: &Delivery, access: &ChartAccess) -> Result<ImagesOutcome, Failure> {
    let reporter: SharedReporter = std::sync::Arc::new(Silent);
    let locked = lock::read(delivery)?;
    let registries = std::sync::Arc::new(Registries::new(charts::hosts(delivery), access.docker_config.clone()));
    let mut delivery = delivery.clone();
    tags::settle(&mut delivery, locked.as_ref(), &registries, &reporter).await?;
    let delivery = &delivery;
    let pins = locked.as_ref().map(lock::pins);
    let found = charts::fetch(delivery, &access.charts(charts::hosts(delivery))?, pins.as_ref(), &reporter).await?;
    let mut images = prepare(delivery, &found, &Silent)?.images;
    let mut known = locked.as_ref().map(crate::delivery::Lock::image_digests).unwrap_or_default();
    for (archive, origin) in open_archives(delivery, &delivery.spec.platforms, delivery.folder())? {
        for (name, digest) in names(&archive) {
            images.add(name.clone(), origin.clone());
            known.insert(name, digest);
        }
    }
    Ok(ImagesOutcome { images: lines(&images, |image| known.get(image).or(image.digest()).cloned()) })
}

/// The images that an archive carries, as its record says.
pub fn images_of_archive(archive: &Archive) -> ImagesOutcome {
    let line = |image: &crate::delivery::record::ImageRecord| ImageLine {
        reference: image.reference.clone(),
        digest: Some(image.digest.clone()),
        origins: image.origins.clone(),
    };
    ImagesOutcome { images: archive.record().images.iter().map(line).collect() }
}

fn lines(images: &ImageSet, digest: impl Fn(&Reference) -> Option<Digest>) -> Vec<ImageLine> {
    images.iter().map(|(image, origins)| ImageLine { reference: image.clone(), digest: digest(image), origins: origins.to_vec() }).collect()
}

/// Opens the image archives of a delivery, each with its place in delivery.yaml.
pub(super) fn open_archives(
    delivery: &Delivery,
    platforms: &[crate::oci::Platform],
    scratch: &std::path::Path,
) -> Result<Vec<(LocalArchive, Origin)>, Failure> {
    let (mut opened, mut failures) = (Vec::new(), Vec::new());
    for (i, entry) in delivery.spec.images.iter().enumerate() {
        let ImageEntry::Archive(path) = entry else { continue };
        match LocalArchive::open(&delivery.resolve(path), scratch, platforms) {
            Ok(archive) => opened.push((archive, Origin { path: format!("spec.images[{i}]"), ..Origin::default() })),
            Err(error) => failures.push(source_failure(error)),
        }
    }
    super::several::all("image archives cannot be used", failures)?;
    Ok(opened)
}

/// The names in an image archive, each with its digest.
pub(super) fn names(archive: &LocalArchive) -> Vec<(Reference, Digest)> {
    let of = |image: &crate::source::LocalImage| image.names.iter().map(|name| (name.clone(), image.content.root.digest.clone())).collect::<Vec<_>>();
    archive.images().iter().flat_map(of).collect()
}

//! What deliveries wait for: learned at the start, after each export, and when a delivery or its lock has changed on the disk.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{desk::Desk, interest::Interest};
use crate::{
    delivery::ImageEntry,
    failure::Failure,
    oci::Reference,
    ops::{charts::ChartAccess, images::images_of_delivery, inputs::read_delivery},
    progress::SharedReporter,
};

/// When a delivery and its lock were written.
type Stamp = [Option<SystemTime>; 2];

/// Deliveries, and as of when they are known.
#[derive(Debug)]
pub(super) struct Learned(BTreeMap<PathBuf, Stamp>);

impl Learned {
    /// Learns all deliveries; one that cannot be is an error.
    pub(super) async fn all(files: &[PathBuf], access: &ChartAccess) -> Result<(Self, BTreeMap<String, Interest>), Failure> {
        let (mut stamps, mut interests) = (BTreeMap::new(), BTreeMap::new());
        for file in files {
            stamps.insert(file.clone(), stamp(file));
            interests.insert(file.display().to_string(), interest(file, access).await?);
        }
        Ok((Self(stamps), interests))
    }

    /// Learns one anew; where that fails, what was known stays, and it is tried again when the file changes.
    pub(super) async fn anew(&mut self, file: &Path, desk: &Desk, access: &ChartAccess, reporter: &SharedReporter) {
        let now = stamp(file);
        let name = file.display().to_string();
        match interest(file, access).await {
            Ok(interest) => desk.learn(&name, interest),
            Err(failure) => reporter.warn(format!("{name}: what it waits for cannot be learned anew: {failure}")),
        }
        self.0.insert(file.to_owned(), now);
    }

    /// Learns those anew that have changed.
    pub(super) async fn changed(&mut self, desk: &Desk, access: &ChartAccess, reporter: &SharedReporter) {
        let changed: Vec<PathBuf> = self.0.iter().filter(|(file, known)| stamp(file) != **known).map(|(file, _)| file.clone()).collect();
        for file in changed {
            reporter.note(format!("{}: has changed", file.display()));
            self.anew(&file, desk, access, reporter).await;
        }
    }
}

fn stamp(file: &Path) -> Stamp {
    let written = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    [written(file), written(&file.with_extension("lock"))]
}

/// What a delivery waits for, as it is now.
async fn interest(file: &Path, access: &ChartAccess) -> Result<Interest, Failure> {
    let delivery = read_delivery(file)?;
    let mut named = delivery.clone();
    // Policies wait for themselves, whatever tag they picked last.
    named.spec.images.retain(|entry| !matches!(entry, ImageEntry::Policy { .. }));
    let images: Vec<Reference> = images_of_delivery(&named, access).await?.images.into_iter().map(|image| image.reference).collect();
    Ok(Interest::of(&delivery, &images))
}

//! Images with everyone who named them.

use std::collections::BTreeMap;

use crate::{delivery::record::Origin, oci::Reference};

/// Images by reference, each with its origins; sorted, nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSet(BTreeMap<Reference, Vec<Origin>>);

impl ImageSet {
    /// No images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image, or an origin to one that is there.
    pub fn add(&mut self, image: Reference, origin: Origin) {
        let origins = self.0.entry(image).or_default();
        if let Err(at) = origins.binary_search(&origin) {
            origins.insert(at, origin);
        }
    }

    /// All images, by reference.
    pub fn iter(&self) -> impl Iterator<Item = (&Reference, &[Origin])> {
        self.0.iter().map(|(image, origins)| (image, origins.as_slice()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

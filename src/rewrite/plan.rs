//! Old name to new name, for every image of the archive.

use std::collections::BTreeMap;

use super::RewriteError;
use crate::{
    delivery::record::ImageRecord,
    oci::{Digest, Reference},
};

/// New names by old names. Without a registry, each image keeps its name.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    by_old: BTreeMap<Reference, Reference>,
    by_new: BTreeMap<Reference, Digest>,
}

impl Plan {
    /// Plans the names below `registry`, a host and a path. Two images must not end under one name.
    pub fn new(images: &[ImageRecord], registry: Option<&str>) -> Result<Self, RewriteError> {
        let mut plan = Self::default();
        let mut origin: BTreeMap<Reference, &ImageRecord> = BTreeMap::new();
        for image in images {
            let old = &image.reference;
            let new = match registry {
                Some(registry) => {
                    old.moved_to(registry).map_err(|source| RewriteError::Name { image: Box::new(old.clone()), registry: registry.to_owned(), source })?
                }
                None => old.clone(),
            };
            // One name with two digests is the only harm; two names of one image may become one.
            if let Some(other) = origin.insert(new.clone(), image)
                && other.digest != image.digest
            {
                return Err(RewriteError::Collision { name: Box::new(new), first: Box::new(other.reference.clone()), second: Box::new(old.clone()) });
            }
            plan.by_new.insert(new.clone(), image.digest.clone());
            plan.by_old.insert(old.clone(), new);
        }
        Ok(plan)
    }

    /// What an image is called on the other side; none if it did not travel.
    pub fn new_name(&self, old: &Reference) -> Option<&Reference> {
        self.by_old.get(old)
    }

    /// Whether this is a name of the other side.
    pub fn is_new_name(&self, name: &Reference) -> bool {
        self.by_new.contains_key(name)
    }

    /// Every image under its new name.
    pub fn images(&self) -> impl Iterator<Item = (&Reference, &Digest)> {
        self.by_new.iter()
    }
}

/// All names that an image needs on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageNames {
    /// Digest of its index or manifest, as in the archive.
    pub digest: Digest,
    /// `repo:tag` and `repo@digest`. A pod that says `repo:tag@digest` finds it by the latter (containerd, internal/cri/util/references.go).
    pub names: Vec<Reference>,
}

/// What the nodes are to hold, one entry a digest.
pub fn image_names(plan: &Plan) -> Vec<ImageNames> {
    let mut by_digest: BTreeMap<&Digest, Vec<Reference>> = BTreeMap::new();
    for (name, digest) in plan.images() {
        let names = by_digest.entry(digest).or_default();
        if name.digest().is_none() {
            names.push(name.clone());
        }
        // A pod may pin the index while the archive holds it whole; then both digests are one.
        names.push(name.by_digest(name.digest().unwrap_or(digest).clone()));
    }
    by_digest
        .into_iter()
        .map(|(digest, mut names)| {
            names.sort();
            names.dedup();
            ImageNames { digest: digest.clone(), names }
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::rewrite) fn record(reference: &str) -> ImageRecord {
        let reference: Reference = reference.parse().unwrap();
        let digest = reference.digest().cloned().unwrap_or_else(|| Digest::of(reference.to_string().as_bytes()));
        ImageRecord { reference, digest, origins: vec![] }
    }

    #[test]
    fn names_move_below_the_registry() {
        let digest = Digest::of(b"x");
        let images = [record("nginx:1.27"), record("ghcr.io/acme/worker:2"), record(&format!("quay.io/a/b@{digest}"))];
        let plan = Plan::new(&images, Some("registry.shop.internal/mirror")).unwrap();
        let new = |old: &str| plan.new_name(&old.parse().unwrap()).map(ToString::to_string);
        assert_eq!(new("nginx:1.27").as_deref(), Some("registry.shop.internal/mirror/library/nginx:1.27"));
        assert_eq!(new("ghcr.io/acme/worker:2").as_deref(), Some("registry.shop.internal/mirror/acme/worker:2"));
        assert_eq!(new("nginx:1.28"), None);
        let kept = Plan::new(&images, None).unwrap();
        assert_eq!(kept.new_name(&images[0].reference), Some(&images[0].reference));
        let nodes = image_names(&plan);
        let pinned = nodes.iter().find(|n| n.digest == digest).unwrap();
        assert_eq!(pinned.names.iter().map(ToString::to_string).collect::<Vec<_>>(), [format!("registry.shop.internal/mirror/a/b@{digest}")]);
        assert_eq!(nodes.iter().find(|n| n.digest == images[0].digest).unwrap().names.len(), 2);
    }

    #[test]
    fn two_images_never_share_a_name() {
        let error = Plan::new(&[record("docker.io/acme/a:1"), record("ghcr.io/acme/a:1")], Some("r.io")).unwrap_err();
        assert!(error.to_string().contains("docker.io/acme/a:1 and ghcr.io/acme/a:1 would both be called r.io/acme/a:1"), "{error}");
        let mut twin = record("ghcr.io/acme/a:1");
        twin.digest = record("docker.io/acme/a:1").digest;
        assert!(Plan::new(&[record("docker.io/acme/a:1"), twin], Some("r.io")).is_ok());
    }
}

//! Registries that are asked for the layers that an archive leaves out (`--blobs-from`).

use std::collections::BTreeSet;

use super::{reach::transport_failure, verify::archive_failure};
use crate::{
    archive::Archive,
    failure::{Failure, Kind},
    oci::{Digest, Reference},
    progress::Reporter,
    transport::{self, Asked, Reach},
};

/// Repositories in which one layer is looked for.
const REPOSITORIES_MAX: usize = 64;

/// Something that is no place in a registry.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no place of images: wanted REGISTRY[/PREFIX], the registry with a dot or a port in its name")]
struct NoPlace(String);

/// Layers were asked for that nothing leaves out.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is whole, and layers were to be had for it from a registry")]
struct Whole(String);

/// Where images are below a registry: a host, and a path on it.
#[derive(Debug)]
struct Prefix {
    text: String,
    /// The path as a repository of its own, where there is one.
    repository: Option<Reference>,
}

impl Prefix {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || Failure::new(Kind::Usage, NoPlace(text.to_owned()));
        let plain = text.strip_prefix("oci://").unwrap_or(text).trim_end_matches('/');
        let (host, path) = plain.split_once('/').map_or((plain, None), |(host, path)| (host, Some(path)));
        let example: Reference = format!("{plain}/image").parse().map_err(|_| wrong())?;
        // A word without dot or port would be read as a path on Docker Hub, and a tag in the middle as part of a name.
        if example.registry() != host || plain.contains('@') || path.is_some_and(|path| path.contains(':')) {
            return Err(wrong());
        }
        let repository = path.map(|_| format!("{plain}:latest").parse()).transpose().map_err(|_| wrong())?;
        Ok(Self { text: plain.to_owned(), repository })
    }

    /// Where an image is: as `spec.registry` moves it, and `install` names it.
    fn place(&self, image: &Reference) -> Option<Reference> {
        image.moved_to(&self.text).ok()
    }
}

/// Gives an archive what it leaves out and no base holds, as far as registries have it. All that comes from there is hashed.
pub(super) fn borrow(archive: Archive, from: &[String], reach: &Reach, reporter: &dyn Reporter) -> Result<Archive, Failure> {
    let prefixes = from.iter().map(|text| Prefix::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if prefixes.is_empty() {
        return Ok(archive);
    }
    if archive.base().is_none() {
        return Err(Failure::new(Kind::Usage, Whole(archive.path().display().to_string())).hint("leave --blobs-from out"));
    }
    let missing = archive.missing();
    reporter.step(format!("asking {} for {} layers", from.join(" and "), missing.len()));
    let wanted = missing.into_iter().map(|(digest, size)| asked(&archive, &prefixes, digest, size)).collect();
    let lent = transport::lend(&from.join(" and "), wanted, reach).map_err(transport_failure)?;
    archive.borrow(lent, reporter).map_err(archive_failure)
}

/// The repositories of the images that need a layer, then what was named itself, then those of other images: layers are shared.
fn asked(archive: &Archive, prefixes: &[Prefix], digest: Digest, size: u64) -> Asked {
    let (need, all) = (archive.images_with(&digest), archive.images().iter().map(|(name, _)| name));
    let of_prefix = |image: &Reference| prefixes.iter().filter_map(|prefix| prefix.place(image)).collect::<Vec<_>>();
    let likely = need.iter().flat_map(of_prefix);
    let named = prefixes.iter().filter_map(|prefix| prefix.repository.clone());
    let mut seen = BTreeSet::new();
    let repositories = likely.chain(named).chain(all.flat_map(of_prefix)).filter(|place| seen.insert(place.name())).take(REPOSITORIES_MAX).collect();
    Asked { digest, size, repositories }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_images() {
        let place = |text: &str, image: &str| Prefix::parse(text).unwrap().place(&image.parse().unwrap()).unwrap().to_string();
        assert_eq!(place("r.dev:5000", "nginx:1"), "r.dev:5000/library/nginx:1");
        assert_eq!(place("oci://r.dev/mirror/", "quay.io/a/b:2"), "r.dev/mirror/a/b:2");
        assert_eq!(place("localhost", "quay.io/a/b:2"), "localhost/a/b:2");
        assert_eq!(Prefix::parse("r.dev/mirror").unwrap().repository.unwrap().name(), "r.dev/mirror");
        for bad in ["", "mirror", "team/mirror", "r.dev/mirror:1", "r.dev/UPPER", "https://r.dev", "r.dev/a@sha256:1", "r.dev//a"] {
            assert!(Prefix::parse(bad).is_err(), "{bad}");
        }
    }
}

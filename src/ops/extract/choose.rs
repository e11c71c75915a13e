//! Which apps and which images are meant.

use std::collections::BTreeSet;

use super::{ExtractOptions, error::ExtractError};
use crate::{
    archive::Contents,
    delivery::record::{AppRecord, ImageRecord},
    oci::{Descriptor, Reference},
};

/// What was chosen, in the archive's order.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub(super) apps: Vec<&'a AppRecord>,
    pub(super) images: Vec<(Reference, Descriptor)>,
    pub(super) records: Vec<ImageRecord>,
}

/// Names that are not in the archive are errors that tell what is.
pub(super) fn choose<'a>(contents: &'a Contents, options: &ExtractOptions) -> Result<Chosen<'a>, ExtractError> {
    let record = contents.record();
    let known = || record.apps.iter().map(|app| app.name.clone()).collect::<Vec<_>>();
    if let Some(app) = options.apps.iter().find(|wanted| !record.apps.iter().any(|app| app.name == **wanted)) {
        return Err(ExtractError::NoApp { app: app.clone(), known: known() });
    }
    if let Some(image) = options.images.iter().find(|wanted| !contents.images().iter().any(|(name, root)| means(wanted, name, root))) {
        return Err(ExtractError::NoImage { image: Box::new(image.clone()), known: contents.images().iter().map(|(name, _)| name.clone()).collect() });
    }
    let apps = record.apps.iter().filter(|app| options.apps.is_empty() || options.apps.contains(&app.name)).collect();
    let of_app = |image: &&ImageRecord| image.origins.iter().any(|origin| origin.app.as_ref().is_some_and(|app| options.apps.contains(app)));
    let named: BTreeSet<&Reference> = match (options.images.is_empty(), options.apps.is_empty()) {
        (false, _) => {
            let meant = contents.images().iter().filter(|(name, root)| options.images.iter().any(|wanted| means(wanted, name, root)));
            meant.map(|(name, _)| name).collect()
        }
        (true, false) => record.images.iter().filter(of_app).map(|image| &image.reference).collect(),
        (true, true) => contents.images().iter().map(|(name, _)| name).collect(),
    };
    let images: Vec<(Reference, Descriptor)> = contents.images().iter().filter(|(name, _)| named.contains(name)).cloned().collect();
    if let Some(platform) = &options.platform
        && let Some((image, root)) = images.iter().find(|(_, root)| contents.children(root, platform).is_none())
    {
        return Err(ExtractError::NoPlatform { image: Box::new(image.clone()), platform: Box::new(platform.clone()), known: contents.platforms(root) });
    }
    let records = record.images.iter().filter(|image| named.contains(&image.reference)).cloned().collect();
    Ok(Chosen { apps, images, records })
}

/// Whether a name on the command line is that of an image: pods may pin a digest beside the tag, and people leave it out; or have the digest alone.
fn means(wanted: &Reference, name: &Reference, root: &Descriptor) -> bool {
    let same = match wanted.digest() {
        Some(digest) => name.digest() == Some(digest) || root.digest == *digest,
        None => wanted.tag() == name.tag(),
    };
    same && wanted.name() == name.name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, media_type};

    #[test]
    fn images_are_meant_by_tag_or_by_digest() {
        let (index, child, other) = (Digest::of(b"index"), Digest::of(b"child"), Digest::of(b"other"));
        let root = Descriptor::new(media_type::OCI_INDEX, index.clone(), 1);
        let name = format!("nginx:1.27@{child}").parse().unwrap();
        for (wanted, meant) in [
            (format!("nginx:1.27@{child}"), true),
            ("nginx:1.27".to_owned(), true),
            ("docker.io/library/nginx:1.27".to_owned(), true),
            (format!("nginx@{child}"), true),
            (format!("nginx@{index}"), true),
            (format!("nginx@{other}"), false),
            ("nginx".to_owned(), false),
            ("nginx:1.28".to_owned(), false),
            ("ghcr.io/library/nginx:1.27".to_owned(), false),
        ] {
            assert_eq!(means(&wanted.parse().unwrap(), &name, &root), meant, "{wanted}");
        }
    }
}

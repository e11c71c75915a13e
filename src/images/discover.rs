//! From rendered objects to images.

use super::{ImageSet, matches};
use crate::{
    delivery::record::Origin,
    objects::{Document, image_slots},
    oci::{Reference, ReferenceError},
};

/// An app, rendered with its plain values or with those of a profile: objects and hooks.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// The app.
    pub app: &'a str,
    /// The profile, if it is one.
    pub profile: Option<&'a str>,
    /// What was rendered.
    pub documents: &'a [Document],
    /// Patterns of images to leave out, over their full names.
    pub exclude: &'a [String],
}

/// An object names something that is no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("app {app}{}: {object} ({template}, {pointer}): {source}", profile.as_ref().map(|p| format!(", profile {p}")).unwrap_or_default())]
pub struct BadImage {
    /// The app.
    pub app: String,
    /// The profile, if it is one.
    pub profile: Option<String>,
    /// The template.
    pub template: String,
    /// The object.
    pub object: String,
    /// Where in the object.
    pub pointer: String,
    /// Why it is none.
    #[source]
    pub source: ReferenceError,
}

/// Adds the images of a rendering to a set. What is no image comes back, all of it.
pub fn discover(rendering: Rendering<'_>, images: &mut ImageSet) -> Vec<BadImage> {
    let mut bad = Vec::new();
    for document in rendering.documents {
        let object = document.id().to_string();
        for slot in image_slots(&document.value) {
            match slot.image.parse::<Reference>() {
                Ok(image) if rendering.exclude.iter().any(|pattern| matches(pattern, &image.to_string())) => {}
                Ok(image) => images.add(
                    image,
                    Origin {
                        app: Some(rendering.app.to_owned()),
                        profile: rendering.profile.map(ToOwned::to_owned),
                        template: Some(document.source.clone()),
                        object: Some(object.clone()),
                        path: slot.pointer,
                    },
                ),
                Err(source) => bad.push(BadImage {
                    app: rendering.app.to_owned(),
                    profile: rendering.profile.map(ToOwned::to_owned),
                    template: document.source.clone(),
                    object: object.clone(),
                    pointer: slot.pointer,
                    source,
                }),
            }
        }
    }
    bad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_images_and_all_errors_at_once() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      initContainers: [{name: i, image: 'busybox:1'}]\n      containers: [{name: a, image: 'UPPER'}, {name: b, image: 'a:b:c'}, {name: t, image: 'x.io/tests:1'}]\n";
        let documents = crate::objects::documents("web/templates/d.yaml", text).unwrap();
        let mut images = ImageSet::new();
        let exclude = ["*/tests:*".to_owned()];
        let bad = discover(Rendering { app: "web", profile: None, documents: &documents, exclude: &exclude }, &mut images);
        assert_eq!(bad.len(), 2);
        assert!(bad[0].to_string().contains("Deployment/web (web/templates/d.yaml, /spec/template/spec/containers/0/image)"), "{}", bad[0]);
        let found: Vec<_> = images.iter().map(|(image, origins)| (image.to_string(), origins.len())).collect();
        assert_eq!(found, [("docker.io/library/busybox:1".to_owned(), 1)]);
    }
}

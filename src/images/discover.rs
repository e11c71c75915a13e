//! Source: rendered objects, through the one walker.

use super::{ImageSet, matches};
use crate::{
    delivery::record::{Origin, Source},
    objects::{Document, SlotSource, image_slots},
    oci::{Reference, ReferenceError},
};

/// Under which values and for which cluster something was rendered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Face {
    /// The profile, if it is one.
    pub profile: Option<String>,
    /// The cluster, where the delivery names one.
    pub cluster: Option<String>,
    /// Values that were put on top, as after `--set`, to see what they bring.
    pub with: Option<String>,
}

impl std::fmt::Display for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.profile.iter().try_for_each(|profile| write!(f, ", profile {profile}"))?;
        self.cluster.iter().try_for_each(|cluster| write!(f, ", {cluster}"))?;
        self.with.iter().try_for_each(|with| write!(f, ", with {with}"))
    }
}

/// An app, rendered with its plain values or with those of a profile: objects and hooks.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// The app.
    pub app: &'a str,
    /// With what and for what.
    pub face: &'a Face,
    /// What was rendered.
    pub documents: &'a [Document],
    /// Patterns of images to leave out, over their full names.
    pub exclude: &'a [String],
}

/// An object names something that is no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("app {app}{face}: {object} ({template}, {pointer}): {source}")]
pub struct BadImage {
    /// The app.
    pub app: String,
    /// With what and for what.
    pub face: Face,
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
            let origin = || Origin {
                source: source_of(slot.source),
                app: Some(rendering.app.to_owned()),
                profile: rendering.face.profile.clone(),
                cluster: rendering.face.cluster.clone(),
                with: rendering.face.with.clone(),
                template: Some(document.source.clone()),
                object: Some(object.clone()),
                path: slot.pointer.clone(),
            };
            match (slot.image.parse::<Reference>(), &slot.doubt) {
                (Ok(image), _) if rendering.exclude.iter().any(|pattern| matches(pattern, &image.to_string())) => {}
                (Ok(image), None) => images.add(image, origin()),
                (Ok(image), Some(reason)) => images.guess(image, origin(), reason),
                (Err(_), Some(_)) => {}
                (Err(source), None) => bad.push(BadImage {
                    app: rendering.app.to_owned(),
                    face: rendering.face.clone(),
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

fn source_of(source: SlotSource) -> Source {
    match source {
        SlotSource::Pod => Source::Pod,
        SlotSource::Field => Source::Field,
        SlotSource::Operator => Source::Operator,
        SlotSource::Text => Source::Text,
    }
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
        let bad = discover(Rendering { app: "web", face: &Face::default(), documents: &documents, exclude: &exclude }, &mut images);
        assert_eq!(bad.len(), 2);
        assert!(bad[0].to_string().contains("Deployment/web (web/templates/d.yaml, /spec/template/spec/containers/0/image)"), "{}", bad[0]);
        let found: Vec<_> = images.iter().map(|(image, evidence)| (image.to_string(), evidence.origins().len())).collect();
        assert_eq!(found, [("docker.io/library/busybox:1".to_owned(), 1)]);
    }

    #[test]
    fn what_is_passed_to_an_operator_is_a_guess() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: op}\nspec: {template: {spec: {containers: [{image: 'quay.io/o/op:1', args: ['--worker=quay.io/o/worker:1', '--addr=web.svc:8080'], env: [{name: SIDECAR_IMAGE, value: 'acme/side:2'}, {name: SELF, value: 'quay.io/o/op:1'}]}]}}}\n";
        let documents = crate::objects::documents("op/templates/d.yaml", text).unwrap();
        let mut images = ImageSet::new();
        assert_eq!(discover(Rendering { app: "op", face: &Face::default(), documents: &documents, exclude: &[] }, &mut images), []);
        let found: Vec<_> = images.iter().map(|(image, evidence)| (image.to_string(), evidence.guess().is_some(), evidence.origins().len())).collect();
        let want = [("docker.io/acme/side:2", true, 1), ("quay.io/o/op:1", false, 2), ("quay.io/o/worker:1", true, 1)];
        assert_eq!(found, want.map(|(image, guess, origins)| (image.to_owned(), guess, origins)));
    }
}

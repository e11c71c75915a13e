//! Images with everyone who named them, and what is certain of each.

use std::collections::BTreeMap;

use crate::{
    delivery::record::Origin,
    oci::{Digest, Reference},
};

/// What speaks for an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Everyone who named it; sorted, nothing twice.
    origins: Vec<Origin>,
    /// Why it may be an image; none if it is proven.
    guess: Option<String>,
}

impl Evidence {
    /// Everyone who named it.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Why it may be an image; none if it is proven.
    pub fn guess(&self) -> Option<&str> {
        self.guess.as_deref()
    }

    /// Values that bring it, as after `--set`, if it is a guess that some do.
    pub fn with(&self) -> Option<&str> {
        self.guess.as_ref().and_then(|_| self.origins.iter().find_map(|origin| origin.with.as_deref()))
    }

    fn origin(&mut self, origin: Origin) {
        // The same place for one more cluster says nothing new.
        let general = Origin { cluster: None, ..origin.clone() };
        if origin.cluster.is_some() && self.origins.binary_search(&general).is_ok() {
            return;
        }
        if let Err(at) = self.origins.binary_search(&origin) {
            self.origins.insert(at, origin);
        }
    }
}

/// Images by reference, each with its evidence; sorted, nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSet(BTreeMap<Reference, Evidence>);

impl ImageSet {
    /// No images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a proof of an image. A guess of the same reference is none any more.
    pub fn add(&mut self, image: Reference, origin: Origin) {
        let evidence = self.0.entry(image).or_default();
        evidence.guess = None;
        evidence.origin(origin);
    }

    /// Adds what may be an image. One that is proven stays so and has one origin more.
    pub fn guess(&mut self, image: Reference, origin: Origin, reason: &str) {
        let new = !self.0.contains_key(&image);
        let evidence = self.0.entry(image).or_default();
        if new {
            evidence.guess = Some(reason.to_owned());
        }
        evidence.origin(origin);
    }

    /// Adds a guess that a rendering with other values named: `with` of its origin. That is a better reason than any other.
    pub fn tried(&mut self, image: Reference, origin: Origin, reason: &str) {
        let evidence = self.0.entry(image).or_default();
        if (evidence.guess.is_some() || evidence.origins.is_empty()) && evidence.origins.iter().all(|origin| origin.with.is_none()) {
            evidence.guess = Some(reason.to_owned());
        }
        evidence.origin(origin);
    }

    /// Adds all that another set has.
    pub fn unite(&mut self, other: Self) {
        for (image, evidence) in other.0 {
            for origin in evidence.origins {
                match &evidence.guess {
                    None => self.add(image.clone(), origin),
                    Some(reason) if origin.with.is_some() => self.tried(image.clone(), origin, reason),
                    Some(reason) => self.guess(image.clone(), origin, reason),
                }
            }
        }
    }

    /// Leaves out what is not wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Reference, &Evidence) -> bool) {
        self.0.retain(|image, evidence| wanted(image, evidence));
    }

    /// All images, by reference.
    pub fn iter(&self) -> impl Iterator<Item = (&Reference, &Evidence)> {
        self.0.iter()
    }

    /// What is known of an image.
    pub fn get(&self, image: &Reference) -> Option<&Evidence> {
        self.0.get(image)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digest of all evidence: the same wherever the same charts and values name the same images from the same places. Why a guess is one
    /// is left out: it is worded for people.
    pub fn digest(&self) -> Digest {
        let mut text = String::new();
        for (image, evidence) in &self.0 {
            let line = serde_json::json!({"reference": image, "guess": evidence.guess.is_some(), "origins": evidence.origins});
            text.push_str(&line.to_string());
            text.push('\n');
        }
        Digest::of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_absorbs_guesses() {
        let at = |path: &str| Origin { path: path.to_owned(), ..Origin::default() };
        let image: Reference = "a/b:1".parse().unwrap();
        let mut set = ImageSet::new();
        set.guess(image.clone(), at("/z"), "looks like one");
        let guessed = set.digest();
        assert_eq!(set.get(&image).unwrap().guess(), Some("looks like one"));
        set.add(image.clone(), at("/a"));
        set.guess(image.clone(), at("/m"), "again");
        set.add(image.clone(), Origin { cluster: Some("Kubernetes 1.29".into()), ..at("/a") });
        let evidence = set.get(&image).unwrap();
        assert_eq!((evidence.guess(), evidence.origins()), (None, [at("/a"), at("/m"), at("/z")].as_slice()));
        assert_ne!(set.digest(), guessed);
    }
}

//! What values may mean, held against what was rendered.

use super::{ImageSet, matches};
use crate::{
    delivery::record::{Origin, Source},
    oci::Reference,
};

/// An image that values may stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The image, as far as the values tell.
    pub image: Reference,
    /// Its repository as the values have it.
    pub path: String,
    /// Whether the tag is not the values' own.
    pub tag_is_assumed: bool,
    /// Whether it is nothing else than an image, by its parts or by the name of its key. Where a text that was rendered has the very same, the chart
    /// hands that image to a program: two independent signs are a proof.
    pub is_image: bool,
    /// Where it stands.
    pub origin: Origin,
    /// Why it may be one.
    pub reason: String,
}

/// Adds candidates to what is proven. One that a rendering made something of is a further origin of that; the others are guesses. One that
/// a rendering put into a text proves what the text says.
pub fn settle(candidates: Vec<Candidate>, exclude: &[String], images: &mut ImageSet) {
    let known = proven(images);
    let told = told(images);
    for candidate in candidates {
        if exclude.iter().any(|pattern| matches(pattern, &candidate.image.to_string())) {
            continue;
        }
        let used: Vec<&Reference> = candidate.among(&known).collect();
        let handed: Vec<&Reference> = candidate.among(&told).filter(|_| candidate.is_image).collect();
        for image in &handed {
            images.add((*image).clone(), candidate.origin.clone());
        }
        for image in &used {
            images.guess((*image).clone(), candidate.origin.clone(), &candidate.reason);
        }
        if handed.is_empty() && used.is_empty() {
            images.guess(candidate.image, candidate.origin, &candidate.reason);
        }
    }
}

/// Images that are more than a guess, and whether something that was rendered names them; those that other values bring are among them.
pub(super) fn proven(images: &ImageSet) -> Vec<(Reference, bool)> {
    let sure = images.iter().filter(|(_, evidence)| evidence.guess().is_none() || evidence.with().is_some());
    sure.map(|(image, evidence)| (image.clone(), evidence.origins().iter().any(is_rendered))).collect()
}

/// Guesses that a text of a rendered object tells: an argument, a variable, a setting.
fn told(images: &ImageSet) -> Vec<(Reference, bool)> {
    let of_text = |origin: &Origin| origin.source == Source::Text;
    let told = images.iter().filter(|(_, evidence)| evidence.guess().is_some() && evidence.origins().iter().any(of_text));
    told.map(|(image, _)| (image.clone(), true)).collect()
}

fn is_rendered(origin: &Origin) -> bool {
    matches!(origin.source, Source::Pod | Source::Field | Source::Operator)
}

impl Candidate {
    /// Which of these images the chart made of this.
    pub(super) fn among<'a>(&'a self, images: &'a [(Reference, bool)]) -> impl Iterator<Item = &'a Reference> {
        images.iter().filter(|(image, rendered)| self.became(image, *rendered)).map(|(image, _)| image)
    }

    /// Whether an image is what the chart made of this: the same repository, perhaps behind another registry, and the same tag, to which a
    /// rendering at most added something.
    fn became(&self, image: &Reference, rendered: bool) -> bool {
        if *image == self.image {
            return true;
        }
        let path = self.path.as_str();
        let full = image.repository();
        let same = full == path || full.strip_suffix(path).is_some_and(|before| before.ends_with('/')) || full == self.image.repository();
        if !same {
            return false;
        }
        let digests = self.image.digest().is_some() && self.image.digest() == image.digest();
        let tags = match (self.image.tag(), image.tag()) {
            (Some(own), Some(other)) => own == other || (rendered && is_dressed(own, other)),
            _ => false,
        };
        digests || tags || (self.tag_is_assumed && rendered)
    }
}

/// Whether a tag is another with something before or after it: `2.5.0` as `v2.5.0-alpine`. `v1.34.6` is not `v1.34` with more: that is another
/// image.
fn is_dressed(plain: &str, dressed: &str) -> bool {
    dressed.match_indices(plain).any(|(at, _)| {
        let (before, after) = (&dressed[..at], &dressed[at + plain.len()..]);
        (before.is_empty() || before == "v" || before.ends_with(['-', '_'])) && (after.is_empty() || after.starts_with(['-', '_']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rendered_is_no_guess() {
        let mut images = ImageSet::new();
        for image in ["quay.io/a/web:v2.5.0-alpine", "r.io/m/a/db:15"] {
            images.add(image.parse().unwrap(), Origin { source: Source::Pod, path: "/x".into(), ..Origin::default() });
        }
        let candidate = |image: &str, path: &str, assumed| Candidate {
            image: image.parse().unwrap(),
            path: path.to_owned(),
            tag_is_assumed: assumed,
            is_image: true,
            origin: Origin { source: Source::Values, path: "/image".into(), ..Origin::default() },
            reason: "why".to_owned(),
        };
        let found = vec![
            candidate("a/web:2.5.0", "a/web", true),
            candidate("a/db:15", "a/db", false),
            candidate("a/db:9.9", "a/db", true),
            candidate("a/db:14", "a/db", false),
            candidate("a/db:1", "a/db", false),
            candidate("a/web:v2.5.0-alpine3", "a/web", false),
            candidate("x/b:1", "x/b", false),
        ];
        settle(found, &["*/x/*".to_owned()], &mut images);
        let left: Vec<_> = images.iter().filter(|(_, evidence)| evidence.guess().is_some()).map(|(image, _)| image.to_string()).collect();
        assert_eq!(left, ["docker.io/a/db:1", "docker.io/a/db:14", "docker.io/a/web:v2.5.0-alpine3"]);
    }

    #[test]
    fn a_tag_with_more_numbers_is_another_image() {
        for (plain, dressed, want) in [
            ("2.5.0", "v2.5.0-alpine", true),
            ("2.5.0", "debian-2.5.0", true),
            ("v1.34", "v1.34.6", false),
            ("v1.34.6", "v1.34", false),
            ("1", "11", false),
            ("1.2", "1.2_3", true),
        ] {
            assert_eq!(is_dressed(plain, dressed), want, "{plain} {dressed}");
        }
    }
}

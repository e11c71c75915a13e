//! Guesses, tried: with the values that bring the templates to where a guess is used, a rendering names it, or does not.
//!
//! What is found so stays a guess, because the delivery's own values do not need it. But it is proven to be an image, and with which values
//! the chart uses it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Candidate, Evidence, Face, ImageSet, Rendering, candidate, discover};
use crate::{
    chart::{Chart, Parsed, Reach, Wanted, Way, values},
    delivery::record::{Origin, Source},
    objects::Document,
    oci::Reference,
};

/// Guesses of an app that are tried; who has more has a list of something else.
const GUESSES_MAX: usize = 100;
/// Places that are named of one image.
const PLACES_MAX: usize = 3;

/// Renders with these values.
pub type Render<'a> = dyn Fn(&Map<String, Value>) -> Option<Vec<Document>> + 'a;

/// An app whose guesses are tried.
pub struct Trial<'a> {
    /// The app.
    pub app: &'a str,
    /// Its chart.
    pub chart: &'a Chart,
    /// Its plain values.
    pub values: &'a Map<String, Value>,
    /// Its templates, as far as they were parsed.
    pub parsed: &'a Parsed,
    /// How often it may be rendered. A number and no time: what is found is a function of the delivery.
    pub renderings: usize,
    /// Patterns of images to leave out.
    pub exclude: &'a [String],
    /// Renders with other values; nothing where the chart refuses them.
    pub render: &'a Render<'a>,
}

impl std::fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial").field("app", &self.app).finish_non_exhaustive()
    }
}

/// A guess, and the ways to have it used.
struct Open<'a> {
    candidate: &'a Candidate,
    ways: Vec<Way>,
    named: bool,
}

/// A guess and one of its ways, by their numbers.
type Try = (usize, usize);

impl Trial<'_> {
    /// Tries what is no more than a guess, and adds what is found. Near ways of all guesses go together, as most switches do not mind each other; where
    /// the chart refuses that, halves of them. A way that is not near has to show by itself that it is enough.
    pub fn run(&self, candidates: &[Candidate], images: &mut ImageSet) {
        let mut open = self.open(candidates, images);
        let mut left = self.renderings;
        let most = open.iter().map(|one| one.ways.len()).max().unwrap_or_default();
        let of = |open: &[Open<'_>], round: usize, near: bool| -> Vec<Try> {
            let wanted = |one: &Open<'_>| !one.named && one.ways.get(round).is_some_and(|way| way.near == near);
            (0..open.len()).filter(|at| wanted(&open[*at])).map(|at| (at, round)).collect()
        };
        for round in 0..most {
            let mut groups = vec![of(&open, round, true)];
            while let Some(group) = groups.pop().filter(|_| left > 0) {
                let (together, wanted) = compatible(&open, &group);
                if together.is_empty() {
                    continue;
                }
                left -= 1;
                match self.found(&wanted) {
                    Some(found) => tell(&mut open, &together, &found, images),
                    None if together.len() > 1 => groups.extend([group[group.len() / 2..].to_vec(), group[..group.len() / 2].to_vec()]),
                    None => {}
                }
            }
        }
        for round in 0..most {
            for one in of(&open, round, false) {
                if left == 0 {
                    return;
                }
                // Another guess may have wanted the same.
                if !open[one.0].named {
                    left -= 1;
                    let found = self.found(&open[one.0].ways[one.1].wanted).unwrap_or_default();
                    tell(&mut open, &[one], &found, images);
                }
            }
        }
    }

    fn open<'c>(&self, candidates: &'c [Candidate], images: &ImageSet) -> Vec<Open<'c>> {
        let proven = candidate::proven(images);
        let excluded = |image: &Reference| self.exclude.iter().any(|pattern| super::matches(pattern, &image.to_string()));
        let open = candidates.iter().filter(|one| !excluded(&one.image) && one.among(&proven).next().is_none());
        let open: Vec<&Candidate> = open.take(GUESSES_MAX).collect();
        if open.is_empty() {
            return Vec::new();
        }
        let reach = Reach::of(self.chart, self.values, self.parsed);
        let ways = |candidate: &Candidate| {
            let (file, path) = (candidate.origin.template.as_deref().unwrap_or_default(), candidate.origin.path.as_str());
            match candidate.origin.source {
                Source::Values => reach.to_value(file, path),
                _ => path.strip_prefix("line ").and_then(|line| line.parse().ok()).map(|line| reach.to_line(file, line)).unwrap_or_default(),
            }
        };
        open.into_iter().map(|candidate| Open { candidate, ways: ways(candidate), named: false }).collect()
    }

    fn found(&self, way: &Wanted) -> Option<ImageSet> {
        let documents = (self.render)(&over(self.values, way))?;
        let mut found = ImageSet::new();
        discover(Rendering { app: self.app, face: &Face::default(), documents: &documents, exclude: self.exclude }, &mut found);
        Some(found)
    }
}

/// Those of a group that do not contradict the ones before them, and what they want together.
fn compatible(open: &[Open<'_>], group: &[Try]) -> (Vec<Try>, Wanted) {
    let (mut together, mut all) = (Vec::new(), Wanted::new());
    for (at, way) in group {
        let wanted = &open[*at].ways[*way].wanted;
        if wanted.iter().all(|(path, value)| all.get(path).is_none_or(|known| known == value)) {
            all.extend(wanted.clone());
            together.push((*at, *way));
        }
    }
    (together, all)
}

/// Adds what a rendering named of guesses.
fn tell(open: &mut [Open<'_>], tried: &[Try], found: &ImageSet, images: &mut ImageSet) {
    for (at, way) in tried {
        let one = &mut open[*at];
        one.named = named(one.candidate, &one.ways[*way].wanted, found, images);
    }
}

/// Whether a rendering named what a guess means; that is added.
fn named(candidate: &Candidate, way: &Wanted, found: &ImageSet, images: &mut ImageSet) -> bool {
    let proven = candidate::proven(found);
    let with = written(way);
    let mut any = false;
    for image in candidate.among(&proven) {
        any = true;
        let origins = found.get(image).into_iter().flat_map(Evidence::origins);
        for origin in origins.filter(|origin| origin.object.is_some()).take(PLACES_MAX) {
            let reason = format!("{} names it with {with}", origin.object.as_deref().unwrap_or_default());
            images.tried(image.clone(), Origin { with: Some(with.clone()), ..origin.clone() }, &reason);
        }
    }
    any
}

/// Values with others on top.
fn over(values: &Map<String, Value>, way: &Wanted) -> Map<String, Value> {
    let mut all = values.clone();
    for (path, value) in way {
        let nested = path.iter().rev().fold(value.clone(), |inner, part| Value::Object(Map::from_iter([(part.clone(), inner)])));
        if let Value::Object(nested) = nested {
            values::merge(&mut all, nested);
        }
    }
    all
}

/// As it would be written after `--set`.
fn written(way: &Wanted) -> String {
    let plain: BTreeMap<String, String> = way
        .iter()
        .map(|(path, value)| {
            let path: Vec<String> = path.iter().map(|part| part.replace('\\', "\\\\").replace('.', "\\.").replace(',', "\\,")).collect();
            (path.join("."), value.as_str().map_or_else(|| value.to_string(), |text| text.replace('\\', "\\\\").replace(',', "\\,")))
        })
        .collect();
    plain.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chart, images, objects, tree::FileTree};

    #[test]
    fn what_a_switch_brings_is_named_with_it() {
        let pod =
            |name: &str, image: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: {image}}}]}}\n");
        let mut tree = FileTree::new();
        for (path, text) in [
            ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\nappVersion: 2.5.0\n".to_owned()),
            (
                "values.yaml",
                "metrics: {enabled: false, image: {repository: a/m}}\nside: {live: false, image: 'a/side:1'}\nbad: {enabled: false, image: 'a/bad:1'}\nunused: {image: 'a/unused:1'}\nmode: one\n"
                    .to_owned(),
            ),
            ("templates/m.yaml", format!("{{{{ if .Values.metrics.enabled }}}}{}{{{{ end }}}}", pod("m", "'{{ .Values.metrics.image.repository }}:v{{ .Chart.AppVersion }}'"))),
            ("templates/s.yaml", format!("{{{{ if .Values.side.live }}}}{}{{{{ end }}}}", pod("s", "{{ .Values.side.image }}"))),
            ("templates/b.yaml", format!("{{{{ if .Values.bad.enabled }}}}{{{{ fail \"no\" }}}}{}{{{{ end }}}}", pod("b", "{{ .Values.bad.image }}"))),
            ("templates/t.yaml", format!("{{{{ if eq .Values.mode \"two\" }}}}\n{}{{{{ end }}}}", pod("t", "quay.io/a/two:1"))),
        ] {
            tree.insert(path.parse().unwrap(), text.into_bytes().into());
        }
        let chart = Chart::load(&tree).unwrap();
        let values = Map::new();
        let render = |values: &Map<String, Value>| {
            let rendered = chart::render(&chart, values, &chart::RenderOptions::new("r", "n")).ok()?;
            let documents = rendered.manifests.iter().map(|one| objects::documents(&one.path, &one.content).unwrap());
            Some(documents.flatten().collect())
        };
        let mut candidates = images::of_values("web", &chart, &values);
        candidates.extend(images::of_templates("web", &chart));
        let mut found = ImageSet::new();
        Trial { app: "web", chart: &chart, values: &values, parsed: &Parsed::default(), renderings: 8, exclude: &[], render: &render }
            .run(&candidates, &mut found);
        images::settle(candidates, &[], &mut found);
        let told: Vec<(String, Option<&str>)> = found.iter().map(|(image, evidence)| (image.to_string(), evidence.with())).collect();
        let want = [
            ("docker.io/a/bad:1", None),
            ("docker.io/a/m:v2.5.0", Some("metrics.enabled=true")),
            ("docker.io/a/side:1", Some("side.live=true")),
            ("docker.io/a/unused:1", None),
            ("quay.io/a/two:1", Some("mode=two")),
        ];
        assert_eq!(told, want.map(|(image, with)| (image.to_owned(), with)));
        assert!(found.iter().all(|(_, evidence)| evidence.guess().is_some()), "none of them is needed with the values as they are");
        assert_eq!(found.get(&"a/side:1".parse().unwrap()).unwrap().guess(), Some("Pod/s names it with side.live=true"));
    }
}

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

/// Renders with these values: the objects of all templates that do not fail, and whether none does.
pub type Render<'a> = dyn Fn(&Map<String, Value>) -> Option<(Vec<Document>, bool)> + 'a;

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
    /// Tries what is no more than a guess, and adds what is found: first with the ways that want something near, then with the others.
    pub fn run(&self, candidates: &[Candidate], images: &mut ImageSet) {
        let mut open = self.open(candidates, images);
        // What is left of the first half is for the second.
        let mut left = self.renderings.div_ceil(2);
        for near in [true, false] {
            let most = open.iter().map(|one| one.ways.len()).max().unwrap_or_default();
            for round in 0..most {
                let wanted = |one: &Open<'_>| !one.named && one.ways.get(round).is_some_and(|way| way.near == near);
                let tries: Vec<Try> = (0..open.len()).filter(|at| wanted(&open[*at])).map(|at| (at, round)).collect();
                if near {
                    self.near(tries, &mut open, &mut left, images);
                } else {
                    self.far(&tries, &mut open, &mut left, images);
                }
            }
            left += self.renderings / 2;
        }
    }

    /// All together, as most switches do not mind each other. Where a template does not stand that, halves of what it may hide; what contradicts
    /// the others has its turn after them. The largest group goes first: it may name the most.
    fn near(&self, tries: Vec<Try>, open: &mut [Open<'_>], left: &mut usize, images: &mut ImageSet) {
        let mut groups = vec![tries];
        while let Some(largest) = (0..groups.len()).max_by_key(|at| groups[*at].len()).filter(|_| *left > 0) {
            let group = groups.swap_remove(largest);
            let (together, others, wanted) = compatible(open, &group);
            if together.is_empty() {
                continue;
            }
            groups.push(others);
            *left -= 1;
            let found = self.found(&wanted);
            if let Some((found, _)) = &found {
                tell(open, &together, found, images);
            }
            let unnamed: Vec<Try> = together.iter().filter(|one| !open[one.0].named).copied().collect();
            if together.len() > 1 && !found.is_some_and(|(_, whole)| whole) {
                groups.extend([unnamed[unnamed.len() / 2..].to_vec(), unnamed[..unnamed.len() / 2].to_vec()]);
            }
        }
    }

    /// What a way wants may not be all that it takes where that is not near. So together they only show which are worth a rendering of their own;
    /// where there is none left, what they wanted together is what is told.
    fn far(&self, tries: &[Try], open: &mut [Open<'_>], left: &mut usize, images: &mut ImageSet) {
        let (together, _, wanted) = compatible(open, tries);
        if together.is_empty() || *left == 0 {
            return;
        }
        *left -= 1;
        let Some((found, _)) = self.found(&wanted) else { return };
        let known = candidate::proven(&found);
        for (at, way) in together {
            let (candidate, own) = (open[at].candidate, &open[at].ways[way].wanted);
            if open[at].named || candidate.among(&known).next().is_none() {
                continue;
            }
            if *own != wanted && *left > 0 {
                *left -= 1;
                if let Some((alone, _)) = self.found(own) {
                    let same: Vec<Try> = tries.iter().filter(|(at, way)| open[*at].ways[*way].wanted == *own).copied().collect();
                    tell(open, &same, &alone, images);
                }
            }
            if !open[at].named {
                open[at].named = named(candidate, &wanted, &found, images);
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

    fn found(&self, way: &Wanted) -> Option<(ImageSet, bool)> {
        let (documents, whole) = (self.render)(&over(self.values, way))?;
        let mut found = ImageSet::new();
        discover(Rendering { app: self.app, face: &Face::default(), documents: &documents, exclude: self.exclude }, &mut found);
        Some((found, whole))
    }
}

/// Those of a group that do not contradict the ones before them, the others, and what the first want together.
fn compatible(open: &[Open<'_>], group: &[Try]) -> (Vec<Try>, Vec<Try>, Wanted) {
    let (mut together, mut others, mut all) = (Vec::new(), Vec::new(), Wanted::new());
    for (at, way) in group.iter().filter(|(at, _)| !open[*at].named) {
        let wanted = &open[*at].ways[*way].wanted;
        if wanted.iter().all(|(path, value)| all.get(path).is_none_or(|known| known == value)) {
            all.extend(wanted.clone());
            together.push((*at, *way));
        } else {
            others.push((*at, *way));
        }
    }
    (together, others, all)
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
            let options = chart::RenderOptions { leave_out_failures: true, ..chart::RenderOptions::new("r", "n") };
            let rendered = chart::render(&chart, values, &options).ok()?;
            let documents = rendered.manifests.iter().map(|one| objects::documents(&one.path, &one.content).unwrap());
            Some((documents.flatten().collect(), !rendered.left_out))
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

    /// The images that are named, each with its values, of a chart with these templates.
    fn tried(values: &str, templates: &[(&str, &str, &str)], renderings: usize) -> Vec<(String, Option<String>)> {
        let mut tree = FileTree::new();
        tree.insert("Chart.yaml".parse().unwrap(), "apiVersion: v2\nname: web\nversion: 1.0.0\n".into());
        tree.insert("values.yaml".parse().unwrap(), values.as_bytes().to_vec().into());
        for (name, condition, image) in templates {
            let text = format!(
                "{{{{ if {condition} }}}}apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: {{{{ {image} }}}}}}]}}\n{{{{ end }}}}"
            );
            tree.insert(format!("templates/{name}.yaml").parse().unwrap(), text.into_bytes().into());
        }
        let (chart, values) = (Chart::load(&tree).unwrap(), Map::new());
        let render = |values: &Map<String, Value>| {
            let options = chart::RenderOptions { leave_out_failures: true, ..chart::RenderOptions::new("r", "n") };
            let rendered = chart::render(&chart, values, &options).ok()?;
            let documents = rendered.manifests.iter().map(|one| objects::documents(&one.path, &one.content).unwrap());
            Some((documents.flatten().collect(), !rendered.left_out))
        };
        let candidates = images::of_values("web", &chart, &values);
        let mut found = ImageSet::new();
        let parsed = Parsed::default();
        Trial { app: "web", chart: &chart, values: &values, parsed: &parsed, renderings, exclude: &[], render: &render }.run(&candidates, &mut found);
        found.iter().map(|(image, evidence)| (image.to_string(), evidence.with().map(ToOwned::to_owned))).collect()
    }

    fn named_with(pairs: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        pairs.iter().map(|(image, with)| (format!("docker.io/{image}"), Some((*with).to_owned()))).collect()
    }

    #[test]
    fn a_template_that_fails_hides_only_its_own() {
        let values = "a: {enabled: false, image: 'x/a:1'}\nb: {enabled: false, image: 'x/b:1'}\nc: {enabled: false, image: 'x/c:1'}\n";
        let templates = [
            ("a", ".Values.a.enabled", ".Values.a.image"),
            ("b", ".Values.b.enabled", "required \"no\" .Values.b.nothing"),
            ("c", ".Values.c.enabled", ".Values.c.image"),
        ];
        assert_eq!(tried(values, &templates, 2), named_with(&[("x/a:1", "a.enabled=true"), ("x/c:1", "c.enabled=true")]));
    }

    #[test]
    fn what_is_not_near_shows_alone_that_it_is_enough_while_there_are_renderings() {
        let values = "sw: {one: false, two: false}\na: {image: 'x/a:1'}\nb: {image: 'x/b:1'}\n";
        let templates = [("a", ".Values.sw.one", ".Values.a.image"), ("b", ".Values.sw.two", ".Values.b.image")];
        assert_eq!(tried(values, &templates, 6), named_with(&[("x/a:1", "sw.one=true"), ("x/b:1", "sw.two=true")]));
        let together = "sw.one=true,sw.two=true";
        assert_eq!(tried(values, &templates, 1), named_with(&[("x/a:1", together), ("x/b:1", together)]));
    }
}

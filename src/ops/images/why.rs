//! `images --why`: the very lines that name an image.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    chart::{Chart, values},
    delivery::{
        App, Delivery,
        record::{Origin, Source},
    },
    failure::{Failure, Kind},
    goyaml,
    images::{Face, ImageSet, matches},
    io,
    objects::Document,
    oci::Reference,
    ops::{
        charts::ChartSet,
        prepare::{self, Loaded},
    },
    progress::Silent,
};

/// The largest values file that is looked at; a rendering refused a larger one before.
const VALUES_MAX: u64 = 5 << 20;

/// Images with the lines that name them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyOutcome {
    /// Sorted by reference.
    pub images: Vec<WhyImage>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyImage {
    /// Its full name.
    #[schemars(with = "String")]
    pub reference: Reference,
    /// Why it may be one; left out where it is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What names it.
    pub lines: Vec<WhyLine>,
}

/// A place that names an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyLine {
    /// The place.
    #[serde(flatten)]
    pub origin: Origin,
    /// The file that is meant: the template, the values, delivery.yaml.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, counted from one, where it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// That line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The line of the rendered object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("nothing in this delivery names `{0}`")]
struct Unknown(String);

/// Explains every image that is meant: by its name, short or in full, or by a pattern.
pub(super) fn explain(delivery: &Delivery, charts: &ChartSet, images: &ImageSet, wanted: &str) -> Result<WhyOutcome, Failure> {
    let exact: Option<Reference> = wanted.parse().ok();
    let pattern = if wanted.contains(['*', '?']) { wanted.to_owned() } else { format!("*{wanted}*") };
    let named: Vec<_> = match exact.as_ref().and_then(|image| images.get(image).map(|evidence| (image, evidence))) {
        Some(one) => vec![one],
        None => images.iter().filter(|(image, _)| matches(&pattern, &image.to_string())).collect(),
    };
    if named.is_empty() {
        return Err(Failure::new(Kind::Usage, Unknown(wanted.to_owned())).hint("`kubectl offline images` lists all; `*` stands for any characters"));
    }
    let mut sight = Sight { delivery, charts, rendered: Vec::new() };
    let image = |(image, evidence): (&Reference, &crate::images::Evidence)| WhyImage {
        reference: image.clone(),
        reason: evidence.guess().map(ToOwned::to_owned),
        lines: evidence.origins().iter().map(|origin| sight.line(image, origin)).collect(),
    };
    Ok(WhyOutcome { images: named.into_iter().map(image).collect() })
}

/// What was rendered again, to look at.
struct Sight<'a> {
    delivery: &'a Delivery,
    charts: &'a ChartSet,
    rendered: Vec<(String, Face, Vec<Document>)>,
}

impl Sight<'_> {
    fn line(&mut self, image: &Reference, origin: &Origin) -> WhyLine {
        let mut line = WhyLine { origin: origin.clone(), ..WhyLine::default() };
        match origin.source {
            Source::Delivery => self.of_delivery(origin, &mut line),
            Source::Values => self.of_values(origin, &mut line),
            Source::Annotation => self.of_annotation(image, origin, &mut line),
            Source::Template => self.of_template(origin, &mut line),
            Source::Pod | Source::Field | Source::Operator | Source::Text => self.of_object(origin, &mut line),
        }
        line
    }

    fn app(&self, origin: &Origin) -> Option<&App> {
        self.delivery.spec.apps.iter().find(|app| Some(&app.name) == origin.app.as_ref())
    }

    fn of_delivery(&self, origin: &Origin, line: &mut WhyLine) {
        line.file = Some(self.delivery.path.display().to_string());
        let inner = origin.path.replace(['.', '['], "/").replace(']', "");
        let app = origin.app.as_ref().and_then(|name| self.delivery.spec.apps.iter().position(|app| app.name == *name));
        let pointer = app.map_or_else(|| format!("/{inner}"), |i| format!("/spec/apps/{i}/{inner}"));
        (line.line, line.text) = place(&self.delivery.text, &pointer);
    }

    /// The text of the chart's file that an origin names.
    fn chart_file(&self, origin: &Origin) -> Option<Cow<'_, str>> {
        let chart = origin.app.as_ref().and_then(|app| self.charts.get(app))?;
        content(&chart.chart, origin.template.as_ref()?)
    }

    /// The line of the list that has the image.
    fn of_annotation(&self, image: &Reference, origin: &Origin, line: &mut WhyLine) {
        line.file.clone_from(&origin.template);
        let Some(text) = self.chart_file(origin) else { return };
        let tail = image.repository().rsplit('/').next().unwrap_or_default();
        let has = |text: &str| text.contains(tail) && image.tag().is_none_or(|tag| tag == "latest" || text.contains(tag));
        let found = text.lines().enumerate().find(|(_, text)| text.contains("image") && has(text));
        (line.line, line.text) = found.map(|(number, text)| (number + 1, text.trim().to_owned())).unzip();
    }

    /// The chart's own values, or the delivery's values file that has them.
    fn of_values(&self, origin: &Origin, line: &mut WhyLine) {
        line.file.clone_from(&origin.template);
        let group = ["/repository", "/image", "/name", ""].map(|key| format!("{}{key}", origin.path));
        let find = |text: &str| group.iter().map(|pointer| place(text, pointer)).find(|(number, _)| number.is_some());
        if let Some(found) = self.chart_file(origin).and_then(|text| find(&text)) {
            (line.line, line.text) = found;
            return;
        }
        for path in self.app(origin).into_iter().flat_map(|app| &app.values) {
            let text = io::read_capped_text(&self.delivery.resolve(path), VALUES_MAX).unwrap_or_default();
            if let Some((number, said)) = find(&text) {
                (line.file, line.line, line.text) = (Some(path.display().to_string()), number, said);
            }
        }
    }

    fn of_template(&self, origin: &Origin, line: &mut WhyLine) {
        line.file.clone_from(&origin.template);
        line.line = origin.path.strip_prefix("line ").and_then(|number| number.parse().ok());
        let text = self.chart_file(origin);
        line.text = line.line.and_then(|number| text?.lines().nth(number - 1).map(|line| line.trim().to_owned()));
    }

    fn of_object(&mut self, origin: &Origin, line: &mut WhyLine) {
        let face = Face { profile: origin.profile.clone(), cluster: origin.cluster.clone(), with: origin.with.clone() };
        let app = origin.app.clone().unwrap_or_default();
        if !self.rendered.iter().any(|(name, known, _)| *name == app && *known == face) {
            let documents = self.render(&app, &face).unwrap_or_default();
            self.rendered.push((app.clone(), face.clone(), documents));
        }
        let all = self.rendered.iter().find(|(name, known, _)| *name == app && *known == face).map(|(.., documents)| documents.as_slice()).unwrap_or_default();
        let document = all.iter().find(|one| Some(&one.source) == origin.template.as_ref() && Some(one.id().to_string()) == origin.object);
        let Some(document) = document else { return };
        line.file.clone_from(&origin.template);
        let (number, rendered) = place(&document.text, &origin.path);
        line.rendered.clone_from(&rendered);
        let Some(found) = self.charts.get(&app) else {
            // Manifests are not rendered: the line is the file's own, where the file has one document.
            (line.line, line.text) = (number, rendered);
            return;
        };
        let template = origin.template.as_ref().and_then(|file| content(&found.chart, file));
        if let (Some(template), Some(rendered)) = (template, rendered) {
            (line.line, line.text) = written_by(&template, &rendered).unzip();
        }
    }

    fn render(&self, app: &str, face: &Face) -> Option<Vec<Document>> {
        let app = self.delivery.spec.apps.iter().find(|one| one.name == app)?;
        let (loaded, _, mut values) = prepare::load_app(self.delivery, app, self.charts).ok()?;
        if let Some(profile) = app.profiles.iter().find(|one| Some(&one.name) == face.profile.as_ref()) {
            prepare::layer(self.delivery, &mut values, &profile.values, &profile.set).ok()?;
        }
        if let Some(with) = &face.with {
            values::set(&mut values, values::Kind::Typed, with).ok()?;
        }
        let clusters = crate::ops::faces::clusters(&self.delivery.spec.install, &app.name, &app.namespace);
        let options = clusters.into_iter().find(|(name, _)| *name == face.cluster)?.1;
        let quiet = Face { profile: Some(String::new()), ..Face::default() };
        prepare::render(app, &loaded, &values, &options, &quiet, &Silent).ok().filter(|_| matches!(loaded, Loaded::Chart(_) | Loaded::Manifests(_)))
    }
}

/// The line at a JSON pointer, and its text.
fn place(text: &str, pointer: &str) -> (Option<usize>, Option<String>) {
    let Some(line) = goyaml::parse_nodes(text).ok().and_then(|root| root.at(pointer).map(|node| node.span.line)) else { return (None, None) };
    (Some(line), text.lines().nth(line.saturating_sub(1)).map(|line| line.trim().to_owned()))
}

/// The one line of a template that can have written a rendered line: its text around the actions is that of the line.
fn written_by(template: &str, rendered: &str) -> Option<(usize, String)> {
    let mut fits = template.lines().enumerate().filter(|(_, line)| could_write(line.trim(), rendered.trim()));
    let (number, line) = fits.next()?;
    fits.next().is_none().then(|| (number + 1, line.trim().to_owned()))
}

fn could_write(line: &str, rendered: &str) -> bool {
    let (mut rest, mut at_start, mut open) = (line, true, rendered);
    let mut literal = 0;
    loop {
        let (text, action) = rest.split_once("{{").map_or((rest, None), |(text, action)| (text, Some(action)));
        let found = if at_start {
            open.starts_with(text).then_some(0)
        } else if action.is_none() {
            open.ends_with(text).then(|| open.len() - text.len())
        } else {
            open.find(text)
        };
        let Some(at) = found else { return false };
        literal += text.trim().len();
        open = &open[at + text.len()..];
        match action.and_then(|action| action.split_once("}}")) {
            Some((_, after)) => (rest, at_start) = (after, false),
            // An action that goes on in the next line can have written anything.
            None if action.is_some() => return literal > 3,
            None => return literal > 3 && (open.is_empty() || !at_start || line == rendered),
        }
    }
}

/// A file of a chart by the path that templates have: `CHART/charts/SUB/templates/x.yaml`.
fn content<'a>(chart: &'a Chart, path: &str) -> Option<Cow<'a, str>> {
    let mut rest = path.split_once('/')?.1;
    let mut chart = chart;
    while let Some((name, below)) = rest.strip_prefix("charts/").and_then(|rest| rest.split_once('/')) {
        let alias = chart.metadata().dependencies.iter().find(|need| need.alias == name).map(|need| need.name.as_str());
        chart = chart.subcharts().iter().find(|one| one.name() == alias.unwrap_or(name))?;
        rest = below;
    }
    let file = chart.raw().iter().chain(chart.templates()).find(|file| file.name == rest)?;
    Some(String::from_utf8_lossy(&file.data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_template() {
        let template =
            "spec:\n  containers:\n  - image: \"{{ .Values.image.repository }}:{{ .Values.tag }}\"\n    name: x\n  - name: b\n    image: busybox:1\n";
        for (rendered, want) in [("- image: \"nginx:1\"", Some(3)), ("  image: busybox:1", Some(6)), ("image: other", None)] {
            assert_eq!(written_by(template, rendered).map(|(line, _)| line), want, "{rendered}");
        }
    }
}

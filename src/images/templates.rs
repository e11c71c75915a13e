//! Source: the templates' own text. A branch that no rendering takes may hold a whole reference, and so may the default of an action.

use std::borrow::Cow;

use super::Candidate;
use crate::{
    chart::Chart,
    delivery::record::{Origin, Source},
    objects::{Care, mentions, names_image},
    oci::Reference,
};

/// Larger templates are generated, and hold no conditions.
const TEXT_MAX: usize = 2 << 20;

/// What the templates of a chart and its subcharts name in so many words.
pub fn of_templates(app: &str, chart: &Chart) -> Vec<Candidate> {
    let mut found = Vec::new();
    charts(app, chart, chart.name(), &mut found);
    found
}

fn charts(app: &str, chart: &Chart, path: &str, found: &mut Vec<Candidate>) {
    for template in chart.templates() {
        let name = template.name.as_str();
        let manifest = [".yaml", ".yml", ".tpl", ".json"].iter().any(|end| name.ends_with(end));
        let Some(text) = std::str::from_utf8(&template.data).ok().filter(|text| manifest && text.len() <= TEXT_MAX) else { continue };
        // Its examples are no images.
        if text.contains("CustomResourceDefinition") {
            continue;
        }
        let file = format!("{path}/{name}");
        let mut commented = false;
        for (number, line) in text.lines().enumerate() {
            for image in in_line(&without_comments(line, &mut commented)) {
                found.push(candidate(app, &file, number + 1, &image));
            }
        }
    }
    for subchart in chart.subcharts() {
        charts(app, subchart, &format!("{path}/charts/{}", subchart.name()), found);
    }
}

/// A line without what stands between `/*` and `*/`, which may go on in the next.
fn without_comments<'a>(line: &'a str, commented: &mut bool) -> Cow<'a, str> {
    if !*commented && !line.contains("{{/*") && !line.contains("{{- /*") {
        return Cow::Borrowed(line);
    }
    let (mut left, mut rest) = (String::new(), line);
    loop {
        let Some((before, after)) = rest.split_once(if *commented { "*/" } else { "/*" }) else {
            left.push_str(if *commented { "" } else { rest });
            return Cow::Owned(left);
        };
        left.push_str(if *commented { "" } else { before });
        (*commented, rest) = (!*commented, after);
    }
}

fn in_line(line: &str) -> Vec<String> {
    let line = line.trim();
    if line.starts_with('#') || !line.contains(':') {
        return Vec::new();
    }
    if let Some(image) = literal(line) {
        return vec![image.to_owned()];
    }
    if !line.contains('/') {
        return Vec::new();
    }
    let code = line.split_once(" #").map_or(line, |(code, _)| code);
    mentions(code, Care::Prose).into_iter().map(|mention| code[mention.range].to_owned()).collect()
}

/// The reference of `image: REFERENCE`, in quotes or not.
fn literal(line: &str) -> Option<&str> {
    let (key, value) = line.trim_start_matches("- ").split_once(": ")?;
    let value = value.split_once(" #").map_or(value, |(value, _)| value).trim().trim_matches(['"', '\'']);
    let plain = !value.is_empty() && !value.contains(['{', '}', '$', '%', ' ', '"', '\'', '<', '|', '&', '*']) && !value.contains("://");
    let tagged = value.contains([':', '@']);
    let named = key == "image" || (names_image(key) && tagged);
    (named && plain && value != "auto" && value.len() > 2 && value.parse::<Reference>().is_ok()).then_some(value)
}

fn candidate(app: &str, file: &str, line: usize, written: &str) -> Candidate {
    let image: Reference = written.parse().expect("only what is a reference was found");
    let origin =
        Origin { source: Source::Template, app: Some(app.to_owned()), template: Some(file.to_owned()), path: format!("line {line}"), ..Origin::default() };
    let reason = format!("line {line} of {file} has it; nothing that was rendered uses it");
    Candidate { path: super::values::written_path(written), image, tag_is_assumed: false, is_image: false, origin, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_defaults() {
        let mut commented = false;
        for (line, want) in [
            ("  image: busybox", vec!["busybox"]),
            ("- image: \"quay.io/a/b:1\" # c", vec!["quay.io/a/b:1"]),
            ("  image: {{ .Values.image | default \"quay.io/a/b:1\" }}", vec!["quay.io/a/b:1"]),
            ("  sidecarImage: a/b:2", vec!["a/b:2"]),
            ("  # image: busybox", vec![]),
            ("  image: {{ .Values.image }}", vec![]),
            ("  image: auto", vec![]),
            ("  imagePullPolicy: Always", vec![]),
            ("  url: https://quay.io/a/b:1", vec![]),
            ("{{/* quay.io/a/b:1 */}}", vec![]),
            ("{{- /*", vec![]),
            ("  image: quay.io/a/b:1", vec![]),
            ("*/ -}} image: quay.io/a/b:2", vec!["quay.io/a/b:2"]),
            ("  path: /data/*/x # image: quay.io/a/b:2", vec![]),
        ] {
            assert_eq!(in_line(&without_comments(line, &mut commented)), want, "{line}");
        }
    }
}

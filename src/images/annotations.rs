//! Source: annotations of Chart.yaml in which the chart's author lists images: `artifacthub.io/images` (Artifact Hub, "Helm annotations"),
//! `helm.sh/images` (Hauler), `images` (Bitnami).

use serde_json::Value;

use super::{ImageSet, matches};
use crate::{
    chart::Chart,
    delivery::record::{Origin, Source},
    goyaml,
    oci::Reference,
};

const KEYS: [&str; 3] = ["artifacthub.io/images", "helm.sh/images", "images"];

/// Adds what a chart and its subcharts list. What an author lists is proven; entries that are no reference are left out.
pub fn annotated(app: &str, chart: &Chart, exclude: &[String], images: &mut ImageSet) {
    list(app, chart, chart.name(), exclude, images);
}

fn list(app: &str, chart: &Chart, path: &str, exclude: &[String], images: &mut ImageSet) {
    for key in KEYS {
        let Some(text) = chart.metadata().annotations.get(key) else { continue };
        // A list of `{name, image}`, as YAML or JSON; some write the names alone.
        let Ok(Value::Array(items)) = goyaml::parse(text) else { continue };
        for (i, item) in items.iter().enumerate() {
            let written = item.get("image").and_then(Value::as_str).or(item.as_str());
            let Some(image) = written.and_then(|text| text.trim().parse::<Reference>().ok()) else { continue };
            if exclude.iter().any(|pattern| matches(pattern, &image.to_string())) {
                continue;
            }
            let origin = Origin {
                source: Source::Annotation,
                app: Some(app.to_owned()),
                template: Some(format!("{path}/Chart.yaml")),
                path: format!("annotations[{key}][{i}]"),
                ..Origin::default()
            };
            images.add(image, origin);
        }
    }
    for subchart in chart.subcharts() {
        list(app, subchart, &format!("{path}/charts/{}", subchart.name()), exclude, images);
    }
}

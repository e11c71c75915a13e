//! `template`: a chart, rendered as `helm template` does it.

use std::path::PathBuf;

use serde_json::Map;

use super::{inputs::read_values, prepare::source_failure};
use crate::{
    chart::{
        self, RenderOptions, TemplateText,
        engine::Dialect,
        values::{self, Kind as SetKind},
    },
    failure::{Failure, Kind},
    source,
};

/// What to render, and how.
#[derive(Debug, Clone)]
pub struct TemplateOptions {
    /// Folder or .tgz.
    pub chart: PathBuf,
    /// Name of the release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Values files, later ones win.
    pub values: Vec<PathBuf>,
    /// `--set` and its siblings, in Helm's order: JSON, typed, text, literal (pkg/cli/values, options.go).
    pub set: Vec<(SetKind, String)>,
    /// Version of Kubernetes to render for, instead of Helm's default.
    pub kube_version: Option<String>,
    /// API versions besides Helm's defaults.
    pub api_versions: Vec<String>,
    /// Render an upgrade.
    pub is_upgrade: bool,
    /// What of it to print.
    pub print: TemplateText,
    /// Do as Helm 4 does.
    pub helm4: bool,
}

/// A chart, rendered.
#[derive(Debug, Clone)]
pub struct TemplateOutcome {
    /// What `helm template` prints.
    pub text: String,
    /// What Helm logs on the side.
    pub warnings: Vec<String>,
}

/// Renders a chart.
pub fn run(options: &TemplateOptions) -> Result<TemplateOutcome, Failure> {
    let mut user = Map::new();
    for file in &options.values {
        values::merge(&mut user, read_values(file)?);
    }
    for (kind, text) in &options.set {
        values::set(&mut user, *kind, text).map_err(|e| Failure::new(Kind::Usage, e))?;
    }
    let chart = source::chart(&options.chart).map_err(source_failure)?;
    let mut render = RenderOptions::new(&options.name, &options.namespace);
    if let Some(version) = &options.kube_version {
        render.capabilities.kube_version =
            chart::kube_version(version).ok_or_else(|| Failure::new(Kind::Usage, format!("invalid kube version {version:?}: wanted for example 1.34.0")))?;
    }
    render.capabilities.api_versions.extend(options.api_versions.iter().cloned());
    render.release.is_upgrade = options.is_upgrade;
    render.release.is_install = !options.is_upgrade;
    if options.helm4 {
        render.dialect = Dialect::Helm4;
    }
    let rendered = chart::render(&chart, &user, &render).map_err(|e| Failure::new(Kind::Usage, e))?;
    let text = rendered.template_text(options.print);
    Ok(TemplateOutcome { text, warnings: rendered.warnings })
}

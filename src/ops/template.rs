//! `template`: a chart, rendered as `helm template` does it (cmd/helm, template.go and install.go; pkg/action, install.go).
//!
//! Every error has Helm's words, so that what reads Helm's messages reads these.

mod error;
mod given;
mod locate;
mod output_dir;
mod show_only;

pub use error::{PrintedFailure, TemplateError, invalid_argument, refused};
use error::{chart_failure, render_failure};

use std::sync::Arc;

use crate::{
    chart::{
        self, Chart, HookEvent, RenderError, RenderOptions, Rendered, TemplateText,
        engine::{Dialect, Lookup},
    },
    failure::{Failure, Kind},
    ops::ChartAccess,
    source::{ChartRequest, SchemaDocuments},
};

/// Labels that Helm keeps for itself (pkg/storage/driver, util.go).
const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// What to render, and how: the flags of `helm template` that have an effect.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of `helm template`")]
pub struct TemplateOptions {
    /// `CHART`, or `NAME CHART`.
    pub arguments: Vec<String>,
    /// `--generate-name`: without effect, as in Helm, which always has a name at hand; together with a name it is an error.
    pub generate_name: bool,
    /// `--name-template`.
    pub name_template: Option<String>,
    /// Namespace of the release.
    pub namespace: String,
    /// `--values`: files, or `-` for standard input; later ones win.
    pub values: Vec<String>,
    /// `--set-json`.
    pub set_json: Vec<String>,
    /// `--set`.
    pub set: Vec<String>,
    /// `--set-string`.
    pub set_string: Vec<String>,
    /// `--set-file`.
    pub set_file: Vec<String>,
    /// `--set-literal`.
    pub set_literal: Vec<String>,
    /// Version of Kubernetes to render for, instead of Helm's default.
    pub kube_version: Option<String>,
    /// API versions besides Helm's defaults.
    pub api_versions: Vec<String>,
    /// Render an upgrade.
    pub is_upgrade: bool,
    /// Do not hold values against schemas.
    pub skip_schema_validation: bool,
    /// Labels of the release; only their names are checked.
    pub labels: Vec<String>,
    /// What of it to print.
    pub print: TemplateText,
    /// `--show-only`: patterns of paths; all if empty.
    pub show_only: Vec<String>,
    /// Write files instead of printing.
    pub output_dir: Option<String>,
    /// Write them into a folder named after the release.
    pub release_name_folder: bool,
    /// `--debug`: print what was rendered though it is no YAML.
    pub debug: bool,
    /// Do as Helm 4 does.
    pub helm4: bool,
    /// Asked by `lookup`; nothing is found without.
    pub lookup: Option<Arc<dyn Lookup>>,
    /// Where the chart is looked for, and with what: `--repo`, `--version`, `--username` and its siblings. Its name comes from the arguments;
    /// `--keyring` counts only with `verify`.
    pub chart: ChartRequest,
    /// `--devel`: versions before a release count too.
    pub devel: bool,
    /// `--verify`: the package must have a good signature.
    pub verify: bool,
    /// What of this machine is needed to reach charts.
    pub access: ChartAccess,
}

impl std::fmt::Debug for TemplateOptions {
    /// Values may hold secrets: only what names things is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TemplateOptions").field("arguments", &self.arguments).field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl TemplateOptions {
    fn dialect(&self) -> Dialect {
        if self.helm4 { Dialect::Helm4 } else { Dialect::Helm3 }
    }
}

/// What `helm template` says: something may have been printed although it failed.
#[derive(Debug, Default)]
pub struct TemplateOutcome {
    /// For standard output.
    pub text: String,
    /// Lines for standard error.
    pub warnings: Vec<String>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// Renders a chart.
pub fn run(options: &TemplateOptions) -> TemplateOutcome {
    let mut outcome = TemplateOutcome::default();
    outcome.failure = template(options, &mut outcome).err().map(PrintedFailure::wrap);
    outcome
}

fn template(options: &TemplateOptions, outcome: &mut TemplateOutcome) -> Result<(), Failure> {
    let mut render = render_options(options)?;
    let (name, place) = name_and_chart(options)?;
    let place = locate::locate(options, place)?;
    let user = given::values(options)?;
    let chart = locate::load(&place)?;
    outcome.warnings = early_warnings(options, &chart);
    let chart = match before_rendering(options, &name, &place, &chart) {
        Ok(completed) => completed.unwrap_or(chart),
        Err(failure) => {
            if options.helm4 && !chart::is_release_name(&name) {
                // Helm 4 logs what it is about to say.
                let text = failure.to_string();
                outcome.warnings.extend(text.split_once(": ").map(|(what, why)| format!("level=ERROR msg={what:?} error={why:?}")));
            }
            return Err(failure);
        }
    };
    render.release.name = name;
    let mut lines = Vec::new();
    let rendered = chart::render_logged(&chart, &user, &render, &mut lines);
    outcome.warnings.extend(lines.into_iter().skip(chart.warnings().len()));
    match rendered {
        Ok(rendered) => print(options, &render.release.name, &rendered, outcome),
        Err(error) => {
            if options.debug && error.has_release() {
                match chosen(options, format!("{}\n", debris(&error).trim())) {
                    Ok(text) => outcome.text.push_str(&text),
                    // Helm 4 takes it that nothing could be found in what could not be rendered.
                    Err(_) if options.helm4 => {}
                    Err(failure) => return Err(failure),
                }
            }
            Err(render_failure(&error, options))
        }
    }
}

/// What Helm looks at once the chart is loaded. A chart is given back if `--dependency-update` made another one of it.
fn before_rendering(options: &TemplateOptions, name: &str, place: &locate::Place, chart: &Chart) -> Result<Option<Chart>, Failure> {
    if chart.metadata().is_library() {
        return Err(chart_failure(RenderError::Library));
    }
    let completed = locate::complete(options, place, chart)?;
    check_name(name, options)?;
    match options.labels.iter().find(|label| SYSTEM_LABELS.contains(&label.as_str())) {
        Some(label) => Err(TemplateError::SystemLabel(label.clone()).into()),
        None => Ok(completed),
    }
}

/// What Helm says of a chart that it has just loaded.
fn early_warnings(options: &TemplateOptions, chart: &Chart) -> Vec<String> {
    let mut lines = chart.warnings().to_vec();
    if chart.metadata().deprecated && !chart.metadata().is_library() {
        let line = if options.helm4 { "level=WARN msg=\"this chart is deprecated\"" } else { "WARNING: This chart is deprecated" };
        lines.push(line.to_owned());
    }
    lines
}

fn render_options(options: &TemplateOptions) -> Result<RenderOptions, Failure> {
    let mut render = RenderOptions::new("", &options.namespace);
    if let Some(version) = options.kube_version.as_deref().filter(|version| !version.is_empty()) {
        render.capabilities.kube_version =
            chart::kube_version_for(options.dialect(), version).map_err(|reason| TemplateError::KubeVersion { version: version.to_owned(), reason })?;
    }
    render.capabilities.api_versions.extend(options.api_versions.iter().cloned());
    render.release.is_upgrade = options.is_upgrade;
    render.release.is_install = !options.is_upgrade;
    render.dialect = options.dialect();
    render.skip_schemas = options.skip_schema_validation;
    render.lookup.clone_from(&options.lookup);
    render.remote_schemas = Arc::new(SchemaDocuments::default());
    Ok(render)
}

/// `NameAndChart`: one argument leaves the name to the template, or to Helm's `release-name`.
fn name_and_chart(options: &TemplateOptions) -> Result<(String, &str), Failure> {
    let template = options.name_template.as_deref().filter(|template| !template.is_empty());
    match options.arguments.as_slice() {
        [] => Err(TemplateError::NoArguments.into()),
        [chart] => Ok((
            match template {
                Some(template) => chart::name_from_template(template).map_err(|error| Failure::new(Kind::Usage, error))?,
                None => "release-name".to_owned(),
            },
            chart,
        )),
        [_, _] if options.generate_name => Err(TemplateError::NameGiven("--generate-name").into()),
        [_, _] if template.is_some() => Err(TemplateError::NameGiven("--name-template").into()),
        [name, chart] => Ok((name.clone(), chart)),
        [_, _, more @ ..] => Err(TemplateError::TooManyArguments(more.join(", ")).into()),
    }
}

fn check_name(name: &str, options: &TemplateOptions) -> Result<(), Failure> {
    if chart::is_release_name(name) {
        return Ok(());
    }
    Err(TemplateError::ReleaseName { name: name.to_owned(), before: if options.helm4 { "release name check failed: " } else { "" } }.into())
}

/// What Helm prints of a rendering, or writes.
fn print(options: &TemplateOptions, name: &str, rendered: &Rendered, outcome: &mut TemplateOutcome) -> Result<(), Failure> {
    let text = match options.output_dir.as_deref().filter(|folder| !folder.is_empty()) {
        None => rendered.template_text(options.print),
        Some(folder) => {
            let release = options.release_name_folder.then_some(name);
            output_dir::write(folder, release, rendered, options.print, &mut outcome.text).map_err(|error| error::write_failure(&error, options.debug))?;
            "\n".to_owned()
        }
    };
    let text = chosen(options, text)?;
    if outcome.text.is_empty() {
        outcome.text = text;
    } else {
        outcome.text.push_str(&text);
    }
    Ok(())
}

fn chosen(options: &TemplateOptions, text: String) -> Result<String, Failure> {
    if options.show_only.is_empty() { Ok(text) } else { Ok(show_only::show(&options.show_only, &text, options.dialect())?) }
}

/// What a rendering that is no YAML left. Helm's order is that of a Go map; ours is by path.
fn debris(error: &RenderError) -> String {
    let RenderError::Manifest { files, .. } = error else { return String::new() };
    let texts = files.iter().filter(|(_, content)| !content.trim().is_empty());
    texts.map(|(path, content)| chart::section(path, content)).collect()
}

/// Whether a hook is one that `--skip-tests` leaves out.
fn is_shown(events: &[HookEvent], parts: TemplateText) -> bool {
    let left_out = parts.no_hooks || (parts.skip_tests && events.contains(&HookEvent::Test));
    !left_out
}

//! What goes wrong before and after rendering, in Helm's words.

use std::{error::Error, fmt};

use super::TemplateOptions;
use crate::{
    chart::{PrepareError, RenderError},
    failure::{Failure, Kind},
};

/// What Helm adds where `--debug` would show more (cmd/helm, template.go).
const USE_DEBUG: &str = "\n\nUse --debug flag to render out invalid YAML";

/// A command line that does not work.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Nothing to render.
    #[error("\"kubectl offline template\" requires at least 1 argument\n\nUsage:  kubectl offline template [NAME] [CHART] [flags]")]
    NoArguments,
    /// More than a name and a chart.
    #[error("expected at most two arguments, unexpected arguments: {0}")]
    TooManyArguments(String),
    /// Two names.
    #[error("cannot set {0} and also specify a name")]
    NameGiven(&'static str),
    /// A name that no release may have.
    #[error("{before}release name {name:?}: {}", name_problem(.name))]
    ReleaseName {
        /// The name.
        name: String,
        /// What Helm 4 says first.
        before: &'static str,
    },
    /// No version of Kubernetes.
    #[error("invalid kube version '{version}': {reason}")]
    KubeVersion {
        /// What it is instead.
        version: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A label that Helm sets itself.
    #[error("user supplied labels contains system reserved label name. System labels: [name owner status version createdAt modifiedAt]")]
    SystemLabel(String),
    /// A path that leads nowhere.
    #[error("path {0:?} not found")]
    NoPath(String),
    /// A chart that is neither a path nor in a repository.
    #[error("non-absolute URLs should be in form of repo_name/path_to_chart, got: {0}")]
    NoReference(String),
    /// A file that cannot be read, as Go tells it.
    #[error("{action} {path}: {reason}")]
    File {
        /// `open`, `read`.
        action: &'static str,
        /// Which file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A URL where a file is wanted.
    #[error("{0} is a URL: values are read from files only; fetch it first")]
    Url(String),
    /// A values file, or one for `--set-file`, that is too large.
    #[error("{0} is larger than {max} bytes, the most that is read of such a file", max = super::given::FILE_MAX)]
    TooLarge(String),
    /// A file for `--set-file` that is no text.
    #[error("{0} is not UTF-8 text")]
    NotText(String),
    /// `--show-only` for something that is not there.
    #[error("could not find template {0} in chart")]
    NoTemplate(String),
    /// Something that this program does not do.
    #[error("{0}")]
    Refused(String),
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::new(Kind::Usage, error)
    }
}

/// A flag's value that is none, in pflag's words.
pub fn invalid_argument(text: &str, flag: &str, reason: &str) -> Failure {
    refused(format!("invalid argument {text:?} for {flag:?} flag: {reason}"))
}

/// Something that is not done.
pub fn refused(why: String) -> Failure {
    PrintedFailure::wrap(TemplateError::Refused(why).into())
}

fn name_problem(name: &str) -> &'static str {
    if name.is_empty() {
        "no name provided"
    } else {
        r"invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53"
    }
}

/// A chart that cannot be used; nothing is wrong with the command line.
pub(super) fn chart_failure(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure::new(Kind::Other, error)
}

/// A rendering that failed, with what Helm says before and after.
pub(super) fn render_failure(error: &RenderError, options: &TemplateOptions) -> Failure {
    let before = match error {
        RenderError::Prepare(PrepareError::Dependencies(_)) if options.helm4 => "chart dependencies processing failed: ",
        _ => "",
    };
    let after = if error.has_release() && !options.debug { USE_DEBUG } else { "" };
    Failure::new(Kind::Other, format!("{before}{error}{after}"))
}

/// Files that could not be written.
pub(super) fn write_failure(error: &TemplateError, debug: bool) -> Failure {
    let after = if debug { "" } else { USE_DEBUG };
    Failure::new(Kind::Other, format!("{error}{after}"))
}

/// A failure that is shown as Helm shows its own: `Error: ` and the text, without causes, which the text tells already.
#[derive(Debug)]
pub struct PrintedFailure(Box<dyn Error + Send + Sync>);

impl PrintedFailure {
    pub(super) fn wrap(failure: Failure) -> Failure {
        Failure { kind: failure.kind, source: Box::new(Self(failure.source)), hints: failure.hints }
    }
}

impl fmt::Display for PrintedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for PrintedFailure {}

/// A failure of the system in Go's words: `no such file or directory`.
pub(super) fn system_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

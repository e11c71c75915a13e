//! `template`: what `helm template` would print.

use std::path::PathBuf;

use crate::{
    chart::{TemplateText, values::Kind},
    context::Context,
    failure::Failure,
    ops::template::{self, TemplateOptions},
    report::Printer,
};

/// Render a chart and print the result, as `helm template` does
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of `helm template`")]
pub(super) struct TemplateArgs {
    /// `CHART`, or `NAME CHART`; a chart is a folder or a .tgz
    #[arg(required = true, num_args = 1..=2, value_names = ["NAME", "CHART"])]
    name_and_chart: Vec<String>,
    /// Values file; may be given more than once, later ones win
    #[arg(long = "values", short = 'f', value_name = "FILE", value_delimiter = ',')]
    values: Vec<PathBuf>,
    /// Set values: key1=val1,key2=val2
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Set string values
    #[arg(long, value_name = "KEY=VALUE")]
    set_string: Vec<String>,
    /// Set JSON values
    #[arg(long, value_name = "KEY=JSON")]
    set_json: Vec<String>,
    /// Set a literal string value
    #[arg(long, value_name = "KEY=VALUE")]
    set_literal: Vec<String>,
    /// Namespace of the release
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Kubernetes version for Capabilities.KubeVersion
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// API versions for Capabilities.APIVersions
    #[arg(long, short, value_name = "VERSION", value_delimiter = ',')]
    api_versions: Vec<String>,
    /// Render as an upgrade: .Release.IsUpgrade instead of .Release.IsInstall
    #[arg(long)]
    is_upgrade: bool,
    /// Print the chart's CRDs as well
    #[arg(long)]
    include_crds: bool,
    /// Leave out tests
    #[arg(long)]
    skip_tests: bool,
    /// Leave out hooks
    #[arg(long)]
    no_hooks: bool,
    /// Helm's generation whose output is wanted
    #[arg(long, default_value = "3", value_parser = ["3", "4"])]
    helm_version: String,
}

impl TemplateArgs {
    pub(super) fn run(mut self, _: &Context, printer: &Printer) -> Result<(), Failure> {
        // clap has checked that there are one or two.
        let chart = self.name_and_chart.pop().unwrap_or_default();
        let name = self.name_and_chart.pop().unwrap_or_else(|| "release-name".to_owned());
        let flags = [(Kind::Json, self.set_json), (Kind::Typed, self.set), (Kind::Text, self.set_string), (Kind::Literal, self.set_literal)];
        let options = TemplateOptions {
            chart: chart.into(),
            name,
            namespace: self.namespace,
            values: self.values,
            set: flags.into_iter().flat_map(|(kind, texts)| texts.into_iter().map(move |text| (kind, text))).collect(),
            kube_version: self.kube_version,
            api_versions: self.api_versions,
            is_upgrade: self.is_upgrade,
            print: TemplateText { include_crds: self.include_crds, no_hooks: self.no_hooks, skip_tests: self.skip_tests },
            helm4: self.helm_version == "4",
        };
        let outcome = template::run(&options)?;
        for warning in &outcome.warnings {
            printer.reporter().warn(warning);
        }
        printer.data(outcome.text.as_bytes())
    }
}

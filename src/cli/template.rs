//! `template`: what `helm template` would print.

mod unused;

use std::path::PathBuf;

use super::{args, pflag};
use crate::{
    chart::TemplateText,
    context::Context,
    failure::Failure,
    ops::template::{self, TemplateOptions},
    redact::Secret,
    report::Printer,
    source::ChartRequest,
};

/// Render a chart and print the result, as `helm template` does
#[derive(Debug, clap::Args)]
// `--version` is the chart's here, and of a flag given twice the last one counts, as in Helm.
#[command(disable_version_flag = true, args_override_self = true, mut_args(pflag::manners))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of `helm template`")]
pub(super) struct TemplateArgs {
    /// `CHART`, or `NAME CHART`; a chart is a folder or a .tgz
    #[arg(num_args = 0.., value_name = "NAME] [CHART")]
    arguments: Vec<String>,
    /// Values files, `-` for standard input; later ones win
    #[arg(long, short = 'f', value_name = "FILE,…")]
    values: Vec<String>,
    /// Set values: key1=val1,key2=val2
    #[arg(long, value_name = "KEY=VALUE,…")]
    set: Vec<String>,
    /// Set string values
    #[arg(long, value_name = "KEY=VALUE,…")]
    set_string: Vec<String>,
    /// Set JSON values
    #[arg(long, value_name = "KEY=JSON,…")]
    set_json: Vec<String>,
    /// Set values to what files hold
    #[arg(long, value_name = "KEY=FILE,…")]
    set_file: Vec<String>,
    /// Set a literal string value
    #[arg(long, value_name = "KEY=VALUE")]
    set_literal: Vec<String>,
    /// Namespace of the release
    #[arg(long, short)]
    namespace: Option<String>,
    /// Template that makes the release's name
    #[arg(long, value_name = "TEMPLATE")]
    name_template: Option<String>,
    /// Accepted, and of no effect, as in Helm
    #[arg(long, short)]
    generate_name: bool,
    /// Kubernetes version for Capabilities.KubeVersion
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
    /// API versions for Capabilities.APIVersions
    #[arg(long, short, value_name = "VERSION,…")]
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
    /// Do not hold values against the charts' schemas
    #[arg(long)]
    skip_schema_validation: bool,
    /// Only what these templates made; patterns as in `templates/*.yaml`
    #[arg(long, short, value_name = "TEMPLATE")]
    show_only: Vec<String>,
    /// Write files into this folder instead of printing
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<String>,
    /// Put the files into a folder named after the release
    #[arg(long)]
    release_name: bool,
    /// Labels of the release; they are checked and not shown
    #[arg(long, short, value_name = "KEY=VALUE,…")]
    labels: Vec<String>,
    #[command(flatten)]
    chart: ChartArgs,
    #[command(flatten)]
    unused: unused::UnusedArgs,
    /// Helm's generation whose output is wanted
    #[arg(long, default_value = "3", value_parser = ["3", "4"])]
    helm_version: String,
}

/// Where a chart comes from that is no path.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Charts of repositories and registries")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of `helm template`")]
struct ChartArgs {
    /// Chart repository in which to look for the chart
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// Version of the chart, or a range of versions
    #[arg(long, value_name = "CONSTRAINT")]
    version: Option<String>,
    /// Versions before a release count too
    #[arg(long)]
    devel: bool,
    /// Fetch dependencies that are missing
    #[arg(long)]
    dependency_update: bool,
    /// User name for the repository
    #[arg(long)]
    username: Option<String>,
    /// Password for the repository
    #[arg(long)]
    password: Option<Secret<String>>,
    /// Give user name and password to every host
    #[arg(long)]
    pass_credentials: bool,
    /// Authority of the repository's certificate
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Certificate for the repository
    #[arg(long, value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Take any certificate
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    /// Use HTTP
    #[arg(long)]
    plain_http: bool,
    /// The package must have a good signature
    #[arg(long)]
    verify: bool,
    /// Public keys of those who may sign
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
}

impl TemplateArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer, debug: bool) -> Result<(), Failure> {
        let helm4 = self.helm_version == "4";
        self.unused.check(helm4)?;
        let options = self.options(context, debug)?;
        let outcome = template::run(&options);
        for line in &outcome.warnings {
            printer.aside(line);
        }
        printer.data(outcome.text.as_bytes())?;
        outcome.failure.map_or(Ok(()), Err)
    }

    fn options(self, context: &Context, debug: bool) -> Result<TemplateOptions, Failure> {
        let namespace = self.namespace.filter(|namespace| !namespace.is_empty());
        let namespace = namespace.unwrap_or_else(|| self.unused.namespace(context));
        Ok(TemplateOptions {
            arguments: self.arguments,
            generate_name: self.generate_name,
            name_template: self.name_template,
            namespace,
            values: each("-f, --values", &self.values, pflag::list)?,
            set_json: self.set_json,
            set: self.set,
            set_string: self.set_string,
            set_file: self.set_file,
            set_literal: self.set_literal,
            kube_version: self.kube_version,
            api_versions: each("-a, --api-versions", &self.api_versions, pflag::list)?,
            is_upgrade: self.is_upgrade,
            skip_schema_validation: self.skip_schema_validation,
            labels: each("-l, --labels", &self.labels, pflag::keys)?,
            print: TemplateText { include_crds: self.include_crds, no_hooks: self.no_hooks, skip_tests: self.skip_tests },
            show_only: self.show_only,
            output_dir: self.output_dir,
            release_name_folder: self.release_name,
            debug,
            helm4: self.helm_version == "4",
            lookup: None,
            devel: self.chart.devel,
            verify: self.chart.verify,
            access: args::access(context),
            chart: self.chart.request(context),
        })
    }
}

impl ChartArgs {
    /// The request but for the chart's name.
    fn request(self, context: &Context) -> ChartRequest {
        ChartRequest {
            chart: String::new(),
            repo: self.repo.filter(|url| !url.is_empty()),
            version: self.version.filter(|version| !version.is_empty()),
            username: self.username,
            password: self.password,
            pass_credentials: self.pass_credentials,
            ca_file: self.ca_file,
            cert_file: self.cert_file,
            key_file: self.key_file,
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            plain_http: self.plain_http,
            dependency_update: self.dependency_update,
            keyring: self.keyring.or_else(|| context.keyring()),
        }
    }
}

/// All items of a flag that was given any number of times.
fn each(flag: &str, texts: &[String], items: impl Fn(&str) -> Result<Vec<String>, String>) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for text in texts {
        all.extend(items(text).map_err(|reason| template::invalid_argument(text, flag, &reason))?);
    }
    Ok(all)
}

//! Flags of `helm template` that change nothing of what it prints: they are taken, so that a command line of Helm's works as it is.
//! What cannot be done without a cluster, or by starting another program, is refused.

use crate::{
    cli::pflag,
    cluster::{ConnectOptions, kubeconfig_namespace},
    context::Context,
    failure::Failure,
    ops::template,
};

/// Flags that are without effect in `helm template`, or that name the cluster that it does not ask.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Without effect here, as in Helm")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of `helm template`")]
pub(super) struct UnusedArgs {
    #[arg(long, hide = true)]
    atomic: bool,
    #[arg(long, hide = true)]
    rollback_on_failure: bool,
    #[arg(long, hide = true)]
    create_namespace: bool,
    #[arg(long, hide = true)]
    description: Option<String>,
    #[arg(long, hide = true)]
    disable_openapi_validation: bool,
    #[arg(long, hide = true)]
    enable_dns: bool,
    #[arg(long, hide = true)]
    force: bool,
    #[arg(long, hide = true)]
    force_replace: bool,
    #[arg(long, hide = true)]
    force_conflicts: bool,
    #[arg(long, hide = true)]
    server_side: bool,
    #[arg(long, hide = true)]
    hide_notes: bool,
    #[arg(long, hide = true)]
    render_subchart_notes: bool,
    #[arg(long, hide = true)]
    replace: bool,
    #[arg(long, hide = true)]
    skip_crds: bool,
    #[arg(long, hide = true)]
    take_ownership: bool,
    #[arg(long, hide = true, value_parser = pflag::duration)]
    timeout: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wait: Option<String>,
    #[arg(long, hide = true)]
    wait_for_jobs: bool,
    /// `client` is what is done anyway; `server` needs a cluster and is refused
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", value_name = "HOW")]
    dry_run: Option<String>,
    #[arg(long, hide = true)]
    validate: bool,
    #[arg(long, hide = true)]
    post_renderer: Option<String>,
    #[arg(long, hide = true)]
    post_renderer_args: Vec<String>,
    #[arg(long, hide = true, value_parser = pflag::integer)]
    burst_limit: Option<i64>,
    #[arg(long, hide = true, value_parser = pflag::float)]
    qps: Option<f32>,
    #[arg(long, hide = true, alias = "colour", value_parser = ["never", "auto", "always"])]
    color: Option<String>,
    #[arg(long, hide = true)]
    content_cache: Option<String>,
    #[arg(long, hide = true)]
    kube_apiserver: Option<String>,
    #[arg(long, hide = true)]
    kube_as_group: Vec<String>,
    #[arg(long, hide = true)]
    kube_as_user: Option<String>,
    #[arg(long, hide = true)]
    kube_ca_file: Option<String>,
    /// Context of the kubeconfig whose namespace is taken where no other is given
    #[arg(long, value_name = "NAME")]
    kube_context: Option<String>,
    #[arg(long, hide = true)]
    kube_insecure_skip_tls_verify: bool,
    #[arg(long, hide = true)]
    kube_tls_server_name: Option<String>,
    #[arg(long, hide = true)]
    kube_token: Option<String>,
    /// Kubeconfig whose namespace is taken where no other is given
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<std::path::PathBuf>,
    #[arg(long, hide = true)]
    registry_config: Option<String>,
    #[arg(long, hide = true)]
    repository_cache: Option<String>,
    #[arg(long, hide = true)]
    repository_config: Option<String>,
}

impl UnusedArgs {
    /// Refuses what would have an effect.
    pub(super) fn check(&self, helm4: bool) -> Result<(), Failure> {
        if let Some(program) = self.post_renderer.as_ref().filter(|program| !program.is_empty()) {
            return Err(template::refused(format!(
                "--post-renderer {program} is not supported: `install` renders where that program is not, so an export could not show what it makes; pipe the output instead"
            )));
        }
        if self.validate {
            return Err(template::refused("--validate needs a cluster, and `template` asks none: `kubectl offline install --dry-run` does".to_owned()));
        }
        if let Some(text) = &self.wait {
            wait(text, helm4).map_err(|reason| template::invalid_argument(text, "--wait", &reason))?;
        }
        match self.dry_run.as_deref() {
            None | Some("" | "client" | "true") => Ok(()),
            Some("server") => Err(server("server")),
            Some(other @ ("none" | "false")) if !helm4 => Err(server(other)),
            Some(other) if helm4 && matches!(pflag::switch(other), Ok(true)) => Ok(()),
            Some(other) if helm4 && (other == "none" || pflag::switch(other).is_ok()) => {
                Err(template::refused(format!("invalid dry-run value ({other:?}). Must be \"server\" or \"client\"")))
            }
            Some(other) if helm4 => Err(template::refused(format!("invalid dry-run value ({other:?}). Must be \"none\", \"server\", or \"client\""))),
            Some(_) => Err(template::refused("Invalid dry-run flag. Flag must one of the following: false, true, none, client, server".to_owned())),
        }
    }

    /// The namespace where no flag says one: `HELM_NAMESPACE`, the kubeconfig's, `default` (pkg/cli, environment.go, `Namespace`).
    pub(super) fn namespace(&self, context: &Context) -> String {
        if let Some(namespace) = &context.helm_namespace {
            return namespace.clone();
        }
        let kubeconfigs = self.kubeconfig.clone().map_or_else(|| context.kubeconfig(), |file| vec![file]);
        let named = self.kube_context.clone().or_else(|| context.helm_context.clone());
        kubeconfig_namespace(&ConnectOptions { kubeconfigs, context: named, ..ConnectOptions::default() }).unwrap_or_else(|| "default".to_owned())
    }
}

fn server(how: &str) -> Failure {
    template::refused(format!("--dry-run={how} lets `lookup` ask a cluster, and `template` asks none: `kubectl offline install --dry-run` does"))
}

/// A switch in Helm 3, a strategy in Helm 4.
fn wait(text: &str, helm4: bool) -> Result<(), String> {
    match pflag::switch(text) {
        Ok(_) => Ok(()),
        Err(_) if helm4 && ["watcher", "hookOnly", "legacy"].contains(&text) => Ok(()),
        Err(_) if helm4 => Err(format!("invalid wait input {text:?}. Valid inputs are watcher, hookOnly, and legacy")),
        Err(reason) => Err(reason),
    }
}

//! Groups of flags that several commands share.

use std::{path::PathBuf, sync::Arc};

use crate::{
    cluster::{Cluster, ConnectOptions},
    context::Context,
    failure::Failure,
    ops::{Ask, ChartAccess, install, verify::TrustOptions},
    redact::Secret,
    registry::Patience,
    report::{Format, Printer},
    store::{STORE_MAX, Store},
};

/// How data is printed.
#[derive(Debug, clap::Args)]
pub(super) struct FormatArgs {
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: Format,
}

/// Whom to trust.
#[derive(Debug, clap::Args)]
pub(super) struct TrustArgs {
    /// Public key that must have signed the archive
    #[arg(long, value_name = "PUB")]
    key: Vec<PathBuf>,
    /// Accept an archive that nobody signed, or whose signer is not known; what was accepted is printed and recorded
    #[arg(long, conflicts_with = "key")]
    allow_unsigned: bool,
}

impl TrustArgs {
    pub(super) fn resolve(self) -> TrustOptions {
        TrustOptions { keys: self.key, allow_unsigned: self.allow_unsigned }
    }
}

/// Where charts are kept once they were downloaded.
#[derive(Debug, clap::Args)]
pub(super) struct CacheArgs {
    /// Download charts anew, and keep nothing of them
    #[arg(long)]
    no_cache: bool,
}

/// Where layers are kept once they were pulled.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    /// Folder in which pulled layers are kept for the next export, up to 10 GiB; left out: the user's cache folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Pull all layers, and keep none
    #[arg(long, conflicts_with = "store")]
    no_store: bool,
}

impl StoreArgs {
    /// Puts the choice into what is needed to reach images.
    pub(super) fn put(self, access: ChartAccess, context: &Context) -> ChartAccess {
        let folder = self.store.or_else(|| Some(context.cache()?.join("layers"))).filter(|_| !self.no_store);
        ChartAccess { store: folder.map(|folder| Store::new(folder, STORE_MAX)), ..access }
    }
}

impl CacheArgs {
    /// What of this machine is needed to reach charts and images.
    pub(super) fn access(self, context: &Context) -> ChartAccess {
        let access = access(context);
        ChartAccess { cache: access.cache.filter(|_| !self.no_cache), ..access }
    }
}

/// The same where there is no choice about the cache.
pub(super) fn access(context: &Context) -> ChartAccess {
    ChartAccess {
        docker_config: context.docker_config(),
        helm_repositories: context.helm_repositories(),
        helm_registries: context.helm_registries(),
        cache: context.cache(),
        reach: context.reach(),
        docker_host: context.docker_host.clone(),
        store: None,
        patience: Patience::default(),
    }
}

/// Which cluster, as kubectl is told.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterArgs {
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Name of the kubeconfig context
    #[arg(long, visible_alias = "kube-context", value_name = "NAME")]
    context: Option<String>,
    /// Name of the kubeconfig cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Name of the kubeconfig user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

impl ClusterArgs {
    pub(super) fn resolve(self, context: &Context) -> ConnectOptions {
        ConnectOptions {
            kubeconfigs: self.kubeconfig.map_or_else(|| context.kubeconfig(), |file| vec![file]),
            context: self.context.or_else(|| context.helm_context.clone()),
            cluster: self.cluster,
            user: self.user,
            in_cluster: context.in_cluster,
            https_proxy: context.proxy.https.clone(),
            http_proxy: context.proxy.http.clone(),
            no_proxy: context.proxy.none.clone(),
            ..ConnectOptions::default()
        }
    }
}

/// Connects to the cluster, with its failures as this program tells them.
pub(super) async fn connect(options: &ConnectOptions) -> Result<Cluster, Failure> {
    Cluster::connect(options).await.map_err(install::cluster_failure)
}

/// Who is asked about guesses: whoever sits at the terminal, nobody where there is none.
pub(super) fn ask(printer: &Printer) -> Option<Ask> {
    let printer = printer.clone();
    printer.is_interactive().then(|| -> Ask {
        Arc::new(move |guesses| {
            let mut question = String::from("These may be needed, and their registries have them:\n");
            for guess in guesses {
                question.extend(["  ", &guess.reference.to_string(), "  (", &guess.reason, ")\n"]);
            }
            question.push_str("Take them along? [y/N] ");
            printer.ask(&question)
        })
    })
}

/// The password for a private key, where the environment has one.
pub(super) fn key_password(context: &Context) -> Option<Secret<String>> {
    context.key_password().map(|password| Secret::new(password.to_owned()))
}

//! Groups of flags that several commands share.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    cluster::{Cluster, ConnectOptions},
    context::Context,
    failure::Failure,
    ops::{
        Ask, ChartAccess, install,
        verify::{Elsewhere, TrustOptions},
    },
    redact::Secret,
    registry::Patience,
    report::{Format, Printer},
    semver::Version,
    signing::KeySource,
    source::ContainerdPlace,
    store::{STORE_MAX, Store},
    transport::Reach,
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
    /// Public key that must have signed the archive: a file, `env://NAME`, or `exec:PROGRAM`. May be given more than once; left out, the keys of `trust list`
    #[arg(long, value_name = "PUB")]
    key: Vec<OsString>,
    /// How many different keys must have signed it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=10))]
    require: u8,
    /// Refuse a delivery that is older than this version
    #[arg(long, value_name = "VERSION", value_parser = version)]
    minimum_version: Option<String>,
    /// Accept an archive that nobody signed, or whose signer is not known; what was accepted is printed and recorded
    #[arg(long, conflicts_with_all = ["key", "require"])]
    allow_unsigned: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

/// How to reach archives that lie elsewhere.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReachArgs {
    /// File with a bearer token for the web server of an archive; left out, the token in `KUBECTL_OFFLINE_TOKEN`
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with further certificate authorities for where the archive is
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Reach the server of the archive, or of --blobs-from, without TLS
    #[arg(long)]
    plain_http: bool,
}

impl ReachArgs {
    pub(super) fn resolve(&self, context: &Context) -> Reach {
        Reach {
            token: context.token(),
            token_file: self.token_file.clone(),
            ca_file: self.ca_file.clone(),
            plain_http: self.plain_http,
            docker_config: context.docker_config(),
            machine: context.reach(),
        }
    }
}

impl TrustArgs {
    pub(super) fn resolve(&self, context: &Context) -> TrustOptions {
        let keys = key_sources(context, &self.key);
        TrustOptions {
            keys,
            reach: self.reach.resolve(context),
            allow_unsigned: self.allow_unsigned,
            require: self.require.into(),
            pinned: context.trust_folder(),
            minimum_version: self.minimum_version.clone(),
        }
    }
}

/// Where more of an archive is than beside its name.
#[derive(Debug, clap::Args)]
pub(super) struct ElsewhereArgs {
    /// Further folder with volumes of the archive; may be given more than once
    #[arg(long, value_name = "DIR")]
    volumes: Vec<PathBuf>,
    /// The archive that a delta archive was made over; if that leaves out layers as well, its base too, with another --base
    #[arg(long, value_name = "ARCHIVE")]
    base: Vec<PathBuf>,
}

impl ElsewhereArgs {
    pub(super) fn resolve(self) -> Elsewhere {
        Elsewhere { volumes: self.volumes, bases: self.base, blobs_from: Vec::new() }
    }
}

/// Who else has what a delta archive leaves out.
#[derive(Debug, clap::Args)]
pub(super) struct BlobsArgs {
    /// A registry that has the images already, asked for the layers that a delta archive leaves out and no --base holds. Below PREFIX images are looked for
    /// under the names that `spec.registry` gives them. May be given more than once
    #[arg(long, value_name = "REGISTRY[/PREFIX]")]
    blobs_from: Vec<String>,
}

impl BlobsArgs {
    pub(super) fn put(self, elsewhere: Elsewhere) -> Elsewhere {
        Elsewhere { blobs_from: self.blobs_from, ..elsewhere }
    }
}

fn version(text: &str) -> Result<String, String> {
    Version::parse(text).map(|_| text.to_owned()).ok_or_else(|| format!("`{text}` is no semantic version: wanted for example 1.2.3"))
}

/// Where a key is, by what was written on the command line.
pub(super) fn key_source(context: &Context, text: &OsStr) -> KeySource {
    KeySource::parse(text, |name| context.key_variable(name))
}

/// The same for several.
pub(super) fn key_sources(context: &Context, texts: &[OsString]) -> Vec<KeySource> {
    texts.iter().map(|text| key_source(context, text)).collect()
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
        containerd: ContainerdPlace { address: context.containerd_address.clone(), namespace: context.containerd_namespace.clone() },
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

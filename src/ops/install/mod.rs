//! `install`: a verified archive becomes running pods.
//!
//! Everything is rendered, renamed, proven against the archive and looked up in the cluster before the first write. Then come the images,
//! then the apps, each waited for; what fails takes back everything that this run changed.

mod error;
mod holdings;
mod images;
pub(in crate::ops) mod manifests;
mod prepare;
mod replay;
mod run;
mod schemas;

use std::{collections::BTreeSet, error::Error, fmt, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

pub use error::InstallError;
pub(crate) use error::{app_failure, cluster_failure};
pub(crate) use holdings::inventory;

use crate::{
    archive::Archive,
    chart::{
        Chart, RenderOptions, Rendered,
        engine::{KubeVersion, Lookup},
        kube_version, render,
        values::Kind as SetKind,
    },
    cluster::{
        Cluster, Placement, WaitOptions,
        deploy::Change,
        nodes::{ImportOptions, NodeSelection},
    },
    failure::{Failure, Kind},
    progress::SharedReporter,
};

/// How images get to where pods find them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Via {
    /// Straight into the nodes.
    #[default]
    Nodes,
    /// Into a registry of the other side.
    Registry,
}

/// Values that the person who installs gives, in the order given; later ones win.
#[derive(Debug, Clone, PartialEq)]
pub enum Override {
    /// `--values APP=FILE`, read.
    Values {
        /// The app.
        app: String,
        /// What the file holds.
        values: Map<String, Value>,
    },
    /// `--set APP.key=value` and its siblings.
    Set {
        /// The app.
        app: String,
        /// Which of the siblings.
        kind: SetKind,
        /// `key=value`, without the app.
        text: String,
    },
}

impl Override {
    fn app(&self) -> &str {
        match self {
            Self::Values { app, .. } | Self::Set { app, .. } => app,
        }
    }
}

/// What a chart is rendered for.
#[derive(Clone)]
pub struct RenderRequest {
    /// Name of the release.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its revision.
    pub revision: u32,
    /// Whether it is there already.
    pub upgrade: bool,
    /// Version of the cluster, as in `v1.34.1`.
    pub kube_version: String,
    /// `.Capabilities.APIVersions`.
    pub api_versions: Vec<String>,
    /// What `lookup` asks: the cluster that is installed into.
    pub lookup: Option<Arc<dyn Lookup>>,
}

impl fmt::Debug for RenderRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderRequest").field("name", &self.name).field("namespace", &self.namespace).field("revision", &self.revision).finish_non_exhaustive()
    }
}

type RenderFn = dyn Fn(&Chart, &Map<String, Value>, &RenderRequest) -> Result<Rendered, Box<dyn Error + Send + Sync>> + Send + Sync;

/// The chart engine, as the caller has set it up: budgets and dialect.
#[derive(Clone)]
pub struct Renderer(Arc<RenderFn>);

impl Renderer {
    /// Wraps a way to render.
    pub fn new(render: impl Fn(&Chart, &Map<String, Value>, &RenderRequest) -> Result<Rendered, Box<dyn Error + Send + Sync>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }

    /// The engine with its own limits, as Helm 3.
    pub fn engine() -> Self {
        Self::new(|chart, values, request| {
            let mut options = RenderOptions::new(&request.name, &request.namespace);
            options.release.revision = request.revision.into();
            options.release.is_install = !request.upgrade;
            options.release.is_upgrade = request.upgrade;
            if let Ok(version) = kube_version(&request.kube_version) {
                // Of a live cluster Helm keeps the version as it is, `-gke.100` and all (pkg/action, action.go, `getCapabilities`).
                options.capabilities.kube_version = KubeVersion { version: request.kube_version.clone(), ..version };
            }
            options.capabilities.api_versions.clone_from(&request.api_versions);
            options.lookup.clone_from(&request.lookup);
            let absent = Arc::new(schemas::AbsentSchemas::default());
            options.remote_schemas = absent.clone();
            let mut rendered = render(chart, values, &options)?;
            rendered.warnings.extend(absent.warnings());
            Ok(rendered)
        })
    }

    pub(in crate::ops) fn render(&self, chart: &Chart, values: &Map<String, Value>, request: &RenderRequest) -> Result<Rendered, Box<dyn Error + Send + Sync>> {
        (self.0)(chart, values, request)
    }
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renderer")
    }
}

/// What `install` is asked.
#[derive(Debug, Clone)]
pub struct InstallOptions {
    /// The archive, verified.
    pub archive: Arc<Archive>,
    /// Renders the charts.
    pub renderer: Renderer,
    /// How images travel the last part.
    pub via: Via,
    /// Values for apps.
    pub overrides: Vec<Override>,
    /// Which nodes get the images.
    pub nodes: NodeSelection,
    /// How long each app may take until it is ready.
    pub timeout: Duration,
    /// How long the import of all images may take.
    pub import_timeout: Duration,
    /// Do everything up to the first write.
    pub dry_run: bool,
    /// Take an archive that is older than what was installed before.
    pub allow_downgrade: bool,
    /// Revisions of a release that are kept.
    pub history_max: usize,
    /// Turns true when the user wants to stop; then what was changed is taken back.
    pub cancel: Option<watch::Receiver<bool>>,
}

impl InstallOptions {
    /// The usual way, for an archive.
    pub fn new(archive: Arc<Archive>, renderer: Renderer) -> Self {
        Self {
            archive,
            renderer,
            via: Via::Nodes,
            overrides: vec![],
            nodes: NodeSelection::All,
            timeout: WaitOptions::default().timeout,
            import_timeout: ImportOptions::default().timeout,
            dry_run: false,
            allow_downgrade: false,
            history_max: crate::cluster::release::HISTORY_MAX,
            cancel: None,
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallOutcome {
    /// Name of the delivery.
    pub delivery: String,
    /// Its version.
    pub version: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// What each node got.
    pub nodes: Vec<NodeResult>,
    /// Bytes of blobs sent to the cluster.
    pub bytes_sent: u64,
    /// The apps, in the order of their installation.
    pub apps: Vec<AppResult>,
    /// What was odd, and is no error.
    pub warnings: Vec<String>,
}

/// What a node got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeResult {
    /// Its name.
    pub node: String,
    /// Its container runtime.
    pub runtime: String,
    /// Bytes sent to it.
    pub bytes_sent: u64,
    /// Bytes that it took from other nodes.
    pub bytes_from_peers: u64,
    /// Image names that its kubelet will find; all that were asked for.
    pub names: usize,
}

/// What became of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppResult {
    /// Its name, and its release's.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Chart and version.
    pub chart: String,
    /// What was done, or, in a dry run, would be.
    pub change: Change,
    /// The revision in force.
    pub revision: u32,
    /// State of the release, in Helm's words.
    pub status: String,
    /// Its pods.
    pub pods: Vec<Placement>,
    /// NOTES.txt, rendered.
    pub notes: String,
}

/// Installs a delivery, or upgrades to it.
pub async fn run(cluster: &Cluster, options: &InstallOptions, reporter: &SharedReporter) -> Result<InstallOutcome, Failure> {
    refuse(options)?;
    replay::check(cluster, options, reporter).await?;
    let ready = prepare::prepare(cluster, options, reporter).await?;
    let outcome = run::run(cluster, options, ready, reporter).await?;
    if !options.dry_run {
        replay::remember(cluster, options.archive.record()).await?;
    }
    Ok(outcome)
}

/// What needs no cluster to be refused.
fn refuse(options: &InstallOptions) -> Result<(), Failure> {
    if options.via == Via::Registry {
        return Err(Failure::new(Kind::Usage, InstallError::NotBuilt("`--via registry` is not built yet".to_owned())));
    }
    let known: BTreeSet<&str> = options.archive.record().apps.iter().map(|app| app.name.as_str()).collect();
    match options.overrides.iter().find(|o| !known.contains(o.app())) {
        Some(unknown) => {
            let known = known.into_iter().map(str::to_owned).collect();
            Err(Failure::new(Kind::Usage, InstallError::UnknownApp { app: unknown.app().to_owned(), known }))
        }
        None => Ok(()),
    }
}

//! The charts of a delivery, from wherever they are; before anything is rendered.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tokio::task::JoinSet;

use super::{prepare, several};
use crate::{
    delivery::{AppSource, ChartSource, Delivery},
    failure::{Failure, Kind},
    progress::{Event, SharedReporter},
    registry::{HostOptions, Patience, Reach, Registries},
    source::{Cache, ChartLocation, ChartPin, ChartRequest, Charts, ChartsOptions, ContainerdPlace, DependencyProblem, ResolvedChart, SourceError},
    store::Store,
};

/// What of this machine is needed to reach charts and images.
#[derive(Debug, Clone, Default)]
pub struct ChartAccess {
    /// Docker's config.json, where credentials are.
    pub docker_config: Option<PathBuf>,
    /// Helm's repositories.yaml.
    pub helm_repositories: Option<PathBuf>,
    /// Helm's file of registry credentials.
    pub helm_registries: Option<PathBuf>,
    /// Where downloads are kept; nowhere if left out.
    pub cache: Option<PathBuf>,
    /// Proxies, and further files with credentials.
    pub reach: Reach,
    /// Where a running docker listens, as `DOCKER_HOST` says; its usual socket if left out.
    pub docker_host: Option<String>,
    /// Where a running containerd listens, and in which namespace its images are.
    pub containerd: ContainerdPlace,
    /// Where layers are kept once they were pulled; nowhere if left out.
    pub store: Option<Store>,
    /// How much of a registry with images is put up with.
    pub patience: Patience,
}

/// Charts by app, each with what it needs.
pub(super) type ChartSet = BTreeMap<String, ResolvedChart>;

/// How the hosts of a delivery are reached, with paths that can be opened.
pub(super) fn hosts(delivery: &Delivery) -> BTreeMap<String, HostOptions> {
    let host = |(name, o): (&String, &crate::delivery::SourceOptions)| {
        let ca_file = o.ca_file.as_ref().map(|path| delivery.resolve(path));
        let client = o.client.as_ref().map(|(certificate, key)| (delivery.resolve(certificate), delivery.resolve(key)));
        (name.clone(), HostOptions { mirror: o.mirror.clone(), ca_file, plain_http: o.plain_http, client, ..HostOptions::default() })
    };
    delivery.spec.sources.iter().map(host).collect()
}

impl ChartAccess {
    /// The registries of a delivery, reached as this machine reaches them.
    pub(super) fn registries(&self, delivery: &Delivery) -> Registries {
        Registries::new(hosts(delivery), self.docker_config.clone()).reached(&self.reach).patient(self.patience)
    }

    /// Charts, reached as these files and the hosts' options say.
    pub(super) fn charts(&self, hosts: BTreeMap<String, HostOptions>) -> Result<Arc<Charts>, Failure> {
        let options = ChartsOptions {
            hosts,
            docker_config: self.docker_config.clone(),
            helm_repositories: self.helm_repositories.clone(),
            helm_registries: self.helm_registries.clone(),
            cache: self.cache.clone().map(Cache::new),
            reach: self.reach.clone(),
        };
        Charts::new(options).map(Arc::new).map_err(prepare::source_failure)
    }
}

/// The chart that `helm template` would find by these words, with what it needs. Whether it is complete, rendering tells.
pub async fn locate(request: &ChartRequest, access: &ChartAccess) -> Result<ResolvedChart, Failure> {
    let host = request.chart.strip_prefix("oci://").and_then(|rest| rest.split('/').next()).filter(|_| request.plain_http);
    let hosts = host.map(|host| (host.to_owned(), HostOptions { plain_http: true, ..HostOptions::default() })).into_iter().collect();
    access.charts(hosts)?.locate(request).await.map_err(prepare::source_failure)
}

/// Gets the charts of all apps; all that fail are reported. With pins exactly those are taken; where that is not `strict`, a chart beside the
/// delivery that needs others by now gets them anew.
pub(super) async fn fetch(
    delivery: &Delivery,
    charts: &Arc<Charts>,
    pins: Option<&BTreeMap<String, ChartPin>>,
    strict: bool,
    reporter: &SharedReporter,
) -> Result<ChartSet, Failure> {
    if delivery.spec.apps.iter().any(|app| matches!(&app.source, AppSource::Chart(source) if !matches!(source, ChartSource::Path(_)))) {
        reporter.step("getting the charts");
    }
    let mut tasks = JoinSet::new();
    for app in &delivery.spec.apps {
        let AppSource::Chart(source) = &app.source else { continue };
        let (charts, reporter, name) = (charts.clone(), reporter.clone(), app.name.clone());
        let keyring = app.keyring.as_ref().map(|path| delivery.resolve(path));
        let (location, pin) = (location(delivery, source), pins.and_then(|pins| pins.get(&name)).cloned());
        let policy = app.tag_policy.clone().filter(|_| pin.is_none());
        tasks.spawn(async move {
            let task = format!("chart of {name}");
            let remote = !matches!(location, ChartLocation::Path(_));
            if remote {
                reporter.event(Event::Started { task: task.clone(), total: None });
            }
            let found = async {
                let location = match &policy {
                    Some(policy) => charts.choose(&location, policy).await?,
                    None => location,
                };
                let found = charts.resolve(&location, pin.as_ref(), keyring.as_deref()).await;
                if !strict && pin.is_some() && found.as_ref().is_err_and(needs_others) {
                    return charts.resolve(&location, None, keyring.as_deref()).await;
                }
                found
            };
            let found = found.await;
            if let Ok(found) = &found {
                tell(&reporter, task, remote, found);
            }
            (name, found)
        });
    }
    let (mut found, mut failures) = (ChartSet::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((app, Ok(chart))) => {
                found.insert(app, chart);
            }
            Ok((app, Err(error))) => failures.push(prepare::about(&app, None, prepare::source_failure(error))),
            Err(error) => failures.push(Failure::new(Kind::Other, error)),
        }
    }
    // They came in the order of the network.
    failures.sort_by_cached_key(ToString::to_string);
    several::all("charts cannot be had", failures)?;
    Ok(found)
}

fn needs_others(error: &SourceError) -> bool {
    matches!(error, SourceError::Dependencies { problem, .. } if matches!(**problem, DependencyProblem::NotLocked(_)))
}

fn tell(reporter: &SharedReporter, task: String, remote: bool, found: &ResolvedChart) {
    if remote {
        let from = found.origin.as_ref().map_or_else(String::new, |origin| format!(" of {}", origin.source));
        reporter.event(Event::Finished { task, note: format!("{} {}{from}", found.chart.name(), found.chart.version()) });
    }
    if let Some(signer) = &found.signer {
        let name = signer.identities.first().map_or_else(String::new, |name| format!(" ({name})"));
        reporter.note(format!("{} {}: signed by {}{name}", found.chart.name(), found.chart.version(), signer.fingerprint));
    }
    for dependency in &found.dependencies {
        reporter.note(format!("{}: {} {} of {}", found.chart.name(), dependency.name, dependency.version, dependency.repository));
    }
}

pub(super) fn location(delivery: &Delivery, source: &ChartSource) -> ChartLocation {
    match source.clone() {
        ChartSource::Path(path) => ChartLocation::Path(delivery.resolve(&path)),
        ChartSource::Repository { repository, name, version } => ChartLocation::Repository { repository, name, version },
        ChartSource::Registry { chart, version } => ChartLocation::Registry { chart, version },
    }
}

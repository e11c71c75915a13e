//! The part of an installation that writes.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    AppResult, InstallError, InstallOptions, InstallOutcome, NodeResult, app_failure, cluster_failure, holdings, images::ArchiveBlobs, prepare::Ready,
};
use crate::{
    cluster::{
        Cluster, ClusterError, WaitOptions,
        deploy::{Change, Deployment},
        nodes::{self, ImportOptions, ImportOutcome},
        placements,
    },
    failure::{Failure, Kind},
    progress::SharedReporter,
};

pub(super) async fn run(cluster: &Cluster, options: &InstallOptions, mut ready: Ready, reporter: &SharedReporter) -> Result<InstallOutcome, Failure> {
    let record = options.archive.record();
    let mut outcome = InstallOutcome {
        delivery: record.name.clone(),
        version: record.version.clone(),
        dry_run: options.dry_run,
        nodes: vec![],
        bytes_sent: 0,
        apps: vec![],
        warnings: std::mem::take(&mut ready.warnings),
    };
    if !options.dry_run {
        let imported = import(cluster, options, &ready, reporter).await?;
        outcome.bytes_sent = imported.nodes.iter().map(|node| node.bytes_sent).sum();
        outcome.nodes = imported.nodes.into_iter().map(node_result).collect();
        deploy_all(cluster, options, &mut ready.deployments, reporter).await?;
    }
    if let Some(base) = options.archive.base().filter(|_| options.dry_run && !options.archive.is_complete()) {
        let layers = options.archive.missing().len();
        outcome.warnings.push(format!("the archive leaves out {layers} layers of {base}; a dry run does not ask the nodes whether they hold them"));
    }
    for deployment in &ready.deployments {
        outcome.apps.push(app_result(cluster, deployment, options.dry_run).await?);
    }
    Ok(outcome)
}

fn node_result(node: nodes::NodeOutcome) -> NodeResult {
    NodeResult { node: node.node, runtime: node.runtime, bytes_sent: node.bytes_sent, bytes_from_peers: node.bytes_from_peers, names: node.names_proven }
}

/// Images first: a pod that starts without them waits minutes for its next try.
async fn import(cluster: &Cluster, options: &InstallOptions, ready: &Ready, reporter: &SharedReporter) -> Result<ImportOutcome, Failure> {
    if ready.images.is_empty() {
        return Ok(ImportOutcome { nodes: vec![] });
    }
    let passed_on = holdings::to_pass_on(cluster, &options.archive, &ready.images, &ready.import, options.cancel.clone(), reporter).await?;
    let import = ImportOptions { passed_on, ..ready.import.clone() };
    reporter.step(format!("importing {} images into the nodes", ready.images.len()));
    let blobs = Arc::new(ArchiveBlobs(Arc::clone(&options.archive)));
    let work = nodes::import(cluster.client(), blobs, &ready.images, &import, Arc::clone(reporter));
    tokio::select! {
        outcome = work => outcome.map_err(|e| Failure::new(Kind::Cluster, e)),
        () = cancelled(options.cancel.clone()) => {
            reporter.step("stopping: removing what the import made in the cluster");
            nodes::cleanup(cluster.client(), &ready.import).await.map_err(|e| Failure::new(Kind::Partial, e))?;
            Err(Failure::new(Kind::Other, InstallError::Interrupted { app: "(the import of images)".to_owned() }))
        }
    }
}

/// Never comes back where nobody can ask to stop.
pub(super) async fn cancelled(cancel: Option<watch::Receiver<bool>>) {
    if let Some(mut cancel) = cancel
        && cancel.wait_for(|stop| *stop).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Why an app did not come up.
enum Stop {
    Failed(ClusterError),
    Cancelled,
}

async fn deploy_all(cluster: &Cluster, options: &InstallOptions, deployments: &mut [Deployment], reporter: &SharedReporter) -> Result<(), Failure> {
    let wait = WaitOptions { timeout: options.timeout };
    for index in 0..deployments.len() {
        let deployment = &mut deployments[index];
        let name = deployment.app.name.clone();
        reporter.step(match deployment.change {
            Change::Unchanged => format!("app {name} is unchanged"),
            Change::Installed => format!("installing app {name} into namespace {}", deployment.app.namespace),
            Change::Upgraded => format!("upgrading app {name} in namespace {} to revision {}", deployment.app.namespace, deployment.revision()),
        });
        let stop = tokio::select! {
            outcome = deployment.run(cluster, wait, reporter) => outcome.err().map(Stop::Failed),
            () = cancelled(options.cancel.clone()) => Some(Stop::Cancelled),
        };
        if let Some(stop) = stop {
            return Err(take_back(cluster, &mut deployments[..=index], &name, stop, reporter).await);
        }
    }
    for deployment in deployments {
        deployment.prune(cluster, options.history_max).await.map_err(|e| app_failure(Kind::Partial, &deployment.app.name, e))?;
    }
    Ok(())
}

/// Takes back what was done, the last first, and says what that leaves to be told.
async fn take_back(cluster: &Cluster, deployments: &mut [Deployment], app: &str, stop: Stop, reporter: &SharedReporter) -> Failure {
    reporter.step("taking back what this run changed");
    let mut left = Vec::new();
    for deployment in deployments.iter_mut().rev() {
        left.extend(deployment.undo(cluster).await);
    }
    let app = app.to_owned();
    match (stop, left.is_empty()) {
        (Stop::Failed(source), clean) => {
            let hints = source.hints();
            let source = Box::new(source);
            let failure = if clean {
                Failure::new(Kind::Cluster, InstallError::RolledBack { app, source })
            } else {
                Failure::new(Kind::Partial, InstallError::LeftOver { app, left, source })
            };
            hints.into_iter().fold(failure, Failure::hint)
        }
        (Stop::Cancelled, true) => Failure::new(Kind::Other, InstallError::Interrupted { app }),
        (Stop::Cancelled, false) => Failure::new(Kind::Partial, InstallError::InterruptedLeftOver { app, left }),
    }
}

async fn app_result(cluster: &Cluster, deployment: &Deployment, dry_run: bool) -> Result<AppResult, Failure> {
    let app = &deployment.app;
    let of_chart = |field: &str| app.chart.pointer(&format!("/metadata/{field}")).and_then(serde_json::Value::as_str).unwrap_or_default();
    let pods = if dry_run { vec![] } else { placements(cluster.client(), deployment.objects()).await.map_err(cluster_failure)? };
    Ok(AppResult {
        name: app.name.clone(),
        namespace: app.namespace.clone(),
        chart: format!("{}-{}", of_chart("name"), of_chart("version")),
        change: deployment.change,
        revision: deployment.revision(),
        status: if dry_run && deployment.change != Change::Unchanged { "planned" } else { "deployed" }.to_owned(),
        pods,
        notes: app.notes.clone(),
    })
}

//! `export`: renders, finds, resolves, lays out, signs, and then pulls every layer straight into its place.

mod assemble;
mod fill;
pub(super) mod resolve;

use std::{path::PathBuf, sync::Arc, time::Instant};

use serde::Serialize;

use super::{
    charts::{self, ChartAccess},
    lock,
    prepare::{self, folder_of},
    tags,
    verify::archive_failure,
};
use crate::{
    archive::{Layout, Writer},
    cluster::nodes::AgentBinary,
    delivery::Delivery,
    failure::{Failure, Kind},
    oci::{Digest, Platform, Reference},
    progress::SharedReporter,
    registry::Registries,
    signing::PrivateKey,
};

/// What to export.
#[derive(Debug)]
pub struct ExportOptions {
    /// The delivery.
    pub delivery: Delivery,
    /// The archive; NAME-VERSION.offline.tar in the current folder if left out.
    pub output: Option<PathBuf>,
    /// Who signs; nobody if left out.
    pub signer: Option<PrivateKey>,
    /// Platforms instead of the delivery's.
    pub platforms: Option<Vec<Platform>>,
    /// What of this machine is needed to reach charts and images.
    pub access: ChartAccess,
    /// Agents that can travel along.
    pub agents: Vec<AgentBinary>,
    /// Resolve and lay out, write nothing.
    pub dry_run: bool,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportOutcome {
    /// The archive; none after a dry run.
    pub path: Option<PathBuf>,
    /// Digest of its index.json: what the signature covers.
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
    /// Whether delivery.lock decided what is in it.
    pub locked: bool,
    /// Bytes of layers, each once.
    pub layers_size: u64,
    /// Whether it carries a signature.
    pub signed: bool,
    /// Platforms whose images it holds.
    pub platforms: Vec<String>,
    /// Its apps in the order of installation.
    pub apps: Vec<String>,
    /// Its images.
    pub images: Vec<ExportedImage>,
    /// How long it took.
    pub elapsed_seconds: f64,
}

/// One image of an export.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportedImage {
    /// Its full name.
    pub reference: Reference,
    /// Digest of its index or manifest.
    pub digest: Digest,
    /// Bytes of its layers, shared ones included.
    pub size: u64,
}

/// Makes an archive. Whatever fails, and whenever this future is dropped, no file stays behind.
pub async fn run(options: ExportOptions, reporter: SharedReporter) -> Result<ExportOutcome, Failure> {
    let started = Instant::now();
    let ExportOptions { delivery, output, signer, platforms, access, agents, dry_run } = options;
    let platforms = platforms.unwrap_or_else(|| delivery.spec.platforms.clone());
    let agents = assemble::agents_for(&platforms, &agents)?;
    let path = output.unwrap_or_else(|| PathBuf::from(format!("{}-{}.offline.tar", delivery.name, delivery.version)));
    let locked = lock::read(&delivery)?;
    let registries = Arc::new(Registries::new(charts::hosts(&delivery), access.docker_config.clone()));
    let mut delivery = delivery;
    tags::settle(&mut delivery, locked.as_ref(), &registries, &reporter).await?;
    let delivery = Arc::new(delivery);

    let charts = access.charts(charts::hosts(&delivery))?;
    let pins = locked.as_ref().map(lock::pins);
    let found = charts::fetch(&delivery, &charts, pins.as_ref(), &reporter).await?;
    if let Some(locked) = &locked {
        lock::agree_on_charts(&delivery, locked, &found)?;
    }
    reporter.step(format!("rendering {} apps", delivery.spec.apps.len()));
    let (prepared, archives) = blocking({
        let (delivery, platforms, reporter, scratch) = (delivery.clone(), platforms.clone(), reporter.clone(), folder_of(&path).to_owned());
        move || {
            let prepared = prepare::prepare(&delivery, &found, &*reporter)?;
            Ok((prepared, super::images::open_archives(&delivery, &platforms, &scratch)?))
        }
    })
    .await?;

    let digests = locked.as_ref().map(crate::delivery::Lock::image_digests);
    if let Some(locked) = &locked {
        let named = resolve::names(&prepared.images, &archives);
        lock::agree_on_images(&delivery, locked, named.iter())?;
    }
    let resolved = resolve::resolve(prepared.images.clone(), archives, &platforms, digests.as_ref(), &registries, &reporter).await?;
    let images = resolved.summary();
    let apps = prepared.apps.iter().map(|app| app.app.name.clone()).collect();
    let is_locked = locked.is_some();
    let assembled = blocking({
        let (delivery, platforms) = (delivery.clone(), platforms.clone());
        move || assemble::assemble(&delivery, locked.as_ref(), &prepared, &resolved, &platforms, &agents).map(|layout| (layout, resolved))
    });
    let (layout, resolved) = assembled.await?;

    let outcome = ExportOutcome {
        path: (!dry_run).then(|| path.clone()),
        digest: Digest::of(layout.index_json()),
        size: layout.size(),
        locked: is_locked,
        layers_size: layout.pending().map(|(_, size)| size).sum(),
        signed: signer.is_some() && !dry_run,
        platforms: platforms.iter().map(ToString::to_string).collect(),
        apps,
        images,
        elapsed_seconds: 0.0,
    };
    if !dry_run {
        write(path, layout, signer, resolved, registries, &reporter).await?;
    }
    Ok(ExportOutcome { elapsed_seconds: started.elapsed().as_secs_f64(), ..outcome })
}

async fn write(
    path: PathBuf,
    layout: Layout,
    signer: Option<PrivateKey>,
    resolved: resolve::Resolved,
    registries: Arc<Registries>,
    reporter: &SharedReporter,
) -> Result<(), Failure> {
    reporter.step("writing the archive");
    let writer = blocking(move || {
        let signature = signer.map(|key| layout.sign(&key)).transpose().map_err(archive_failure)?;
        Writer::create(&path, &layout, signature.as_deref()).map_err(archive_failure)
    })
    .await?;
    fill::fill(&writer, resolved, registries, reporter).await?;
    blocking(move || writer.finish().map_err(archive_failure)).await
}

/// Work that computes or reads files, off the threads that wait for the network.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::new(Kind::Other, error)),
    }
}

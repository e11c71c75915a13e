//! `export`: renders, finds, resolves, lays out, signs, and then pulls every layer straight into its place.

mod assemble;
pub(super) mod attached;
mod base;
mod fill;
pub(super) mod resolve;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use serde::Serialize;
use tokio::task::JoinHandle;

use super::{
    charts::{self, ChartAccess, ChartSet},
    guesses::{Ask, Guess},
    lock, prepare,
    sign::SigningKeys,
    tags,
    verify::archive_failure,
};
use crate::{
    archive::{Base, Layout, Signer, VolumeSize, Writer},
    cluster::nodes::AgentBinary,
    delivery::{Delivery, Lock, record::Origin},
    failure::{Failure, Kind},
    io,
    oci::{Digest, Platform, Reference},
    progress::SharedReporter,
    signing::{PrivateKey, Signers},
    source::LocalArchive,
};

use attached::AttachmentMode;
use fill::Sources;
use resolve::{GuessMode, Resolver};

/// What to export.
pub struct ExportOptions {
    /// The delivery.
    pub delivery: Delivery,
    /// The archive; NAME-VERSION.offline.tar in the current folder if left out.
    pub output: Option<PathBuf>,
    /// Who signs; nobody if left out.
    pub signer: Option<SigningKeys>,
    /// Platforms instead of the delivery's.
    pub platforms: Option<Vec<Platform>>,
    /// What of this machine is needed to reach charts and images.
    pub access: ChartAccess,
    /// Agents that can travel along.
    pub agents: Vec<AgentBinary>,
    /// Resolve and lay out, write nothing.
    pub dry_run: bool,
    /// Take exactly what delivery.lock says, and fail where it does not fit.
    pub locked: bool,
    /// Who is asked about guesses; nobody if left out.
    pub ask: Option<Ask>,
}

impl std::fmt::Debug for ExportOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { delivery, output, dry_run, locked, .. } = self;
        let mut shown = f.debug_struct("ExportOptions");
        shown.field("delivery", &delivery.path).field("output", output).field("dry_run", dry_run).field("locked", locked).finish_non_exhaustive()
    }
}

/// How an archive is laid out on the disk.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// In volumes of this size.
    pub volume: Option<VolumeSize>,
    /// Without the layers that this holds: another archive, or an inventory of nodes.
    pub base: Option<PathBuf>,
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
    /// Whether delivery.lock alone decided what is in it (`--locked`).
    pub locked: bool,
    /// Bytes of layers, each once.
    pub layers_size: u64,
    /// What holds the layers that are not in it; none if it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<ExportedBase>,
    /// Whether it carries a signature.
    pub signed: bool,
    /// Platforms whose images it holds.
    pub platforms: Vec<String>,
    /// Its apps in the order of installation.
    pub apps: Vec<String>,
    /// Its images.
    pub images: Vec<ExportedImage>,
    /// Guesses that no registry has for us.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Guess>,
    /// Guesses that stay behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Guess>,
    /// How long it took.
    pub elapsed_seconds: f64,
}

/// What an archive was made over.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportedBase {
    /// Who it is.
    #[serde(flatten)]
    pub base: Base,
    /// Layers that were left out.
    pub blobs: usize,
    /// Their bytes.
    pub left_out: u64,
}

fn exported_base(layout: &Layout) -> Option<ExportedBase> {
    layout.base().map(|base| ExportedBase { base: base.clone(), blobs: layout.left_out().len(), left_out: layout.left_out().values().sum() })
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

/// Makes an archive. If this future is dropped, or what fails will fail again, no file stays behind; where running again can go on, what is
/// written stays.
pub async fn run(options: ExportOptions, reporter: SharedReporter) -> Result<ExportOutcome, Failure> {
    run_shaped(options, Shape::default(), reporter).await
}

/// The same in volumes, or over a base.
pub async fn run_shaped(options: ExportOptions, shape: Shape, reporter: SharedReporter) -> Result<ExportOutcome, Failure> {
    let started = Instant::now();
    let Shape { volume, base } = shape;
    let base = blocking(move || base.map(|path| base::read(&path)).transpose()).await?;
    let ExportOptions { delivery, output, signer, platforms, access, agents, dry_run, locked: strict, ask } = options;
    // The password's check takes longer than finding the images does.
    let opening = signer.map(|keys| begin(move || keys.open()));
    let platforms = platforms.unwrap_or_else(|| delivery.spec.platforms.clone());
    let agents = assemble::agents_for(&platforms, &agents)?;
    let path = output.unwrap_or_else(|| PathBuf::from(format!("{}-{}.offline.tar", delivery.name, delivery.version)));
    let locked = lock::read(&delivery)?;
    let registries = Arc::new(access.registries(&delivery));
    if strict {
        lock::must_fit(&delivery, locked.as_ref())?;
    }
    let mut delivery = delivery;
    let tags = tags::settle(&mut delivery, locked.as_ref(), &registries, &reporter).await?;
    let delivery = Arc::new(delivery);

    let charts = access.charts(charts::hosts(&delivery))?;
    let pins = locked.as_ref().map(|locked| lock::pins(&delivery, locked));
    let found = Arc::new(charts::fetch(&delivery, &charts, pins.as_ref(), strict, &reporter).await?);
    if let Some(locked) = locked.as_ref().filter(|_| strict) {
        lock::agree_on_charts(&delivery, locked, &found)?;
    }
    let (mut prepared, archives) = render(&delivery, &found, &access, &platforms, &path, &reporter).await?;

    let digests = locked.as_ref().map(Lock::image_digests);
    if let Some(locked) = locked.as_ref().filter(|_| strict && prepared.failures.is_empty()) {
        lock::agree_on_images(&delivery, locked, &prepared.images, &resolve::local_names(&archives))?;
    }
    let evidence = prepared.images.digest();
    let guesses = match (&locked, &digests) {
        (Some(_), _) if strict => GuessMode::Locked,
        // Nothing is new since somebody decided.
        (Some(locked), Some(before)) if locked.evidence.as_ref() == Some(&evidence) => GuessMode::AsBefore(before),
        _ => GuessMode::Decide(ask.as_ref()),
    };
    let attachments = locked.as_ref().filter(|_| strict).map_or(AttachmentMode::Find, AttachmentMode::Locked);
    let asked = Resolver { delivery: &delivery, platforms: &platforms, locked: digests.as_ref(), registries: &registries, guesses, attachments };
    let failures = std::mem::take(&mut prepared.failures);
    let resolved = asked.resolve(prepared.images.clone(), archives, failures, &reporter).await?;
    resolved.tell_guesses(&reporter);
    let base = match base {
        Some(named) => Some(named.held(&resolved, &registries, &platforms, &reporter).await?),
        None => None,
    };
    let (current, changed) = match locked {
        Some(old) if !strict => {
            let new = lock::of(&delivery, &found, &resolved, evidence)?.with_tags(tags);
            (Some(new.clone()), Some((old, new)))
        }
        locked => (locked, None),
    };
    let images = resolved.summary();
    let (dropped, left) = (resolved.dropped.clone(), resolved.left.clone());
    let apps = prepared.apps.iter().map(|app| app.app.name.clone()).collect();
    let assembled = blocking({
        let (delivery, platforms) = (delivery.clone(), platforms.clone());
        move || assemble::assemble(&delivery, current.as_ref(), &prepared, &found, &resolved, &platforms, (&agents, base)).map(|layout| (layout, resolved))
    });
    let (layout, resolved) = assembled.await?;

    let outcome = ExportOutcome {
        path: (!dry_run).then(|| path.clone()),
        digest: Digest::of(layout.index_json()),
        size: layout.size(),
        locked: strict,
        base: exported_base(&layout),
        layers_size: layout.pending().map(|(_, size)| size).sum(),
        signed: opening.is_some() && !dry_run,
        platforms: platforms.iter().map(ToString::to_string).collect(),
        apps,
        images,
        dropped,
        left,
        elapsed_seconds: 0.0,
    };
    let opened = async || match opening {
        Some(opening) => done(opening).await,
        None => Ok(None),
    };
    if dry_run {
        opened().await?;
    } else {
        let sources = Sources { resolved, registries, store: access.store };
        // The first layers come while keys are still being opened. Whatever else is written waits for them: a wrong password changes nothing.
        let keys = async {
            let signers = opened().await?;
            changed.map_or(Ok(()), |(old, new)| lock::keep_current(&delivery, &old, &new, &reporter))?;
            Ok(signers)
        };
        write((path, volume), layout, keys, sources, &reporter).await?;
    }
    Ok(ExportOutcome { elapsed_seconds: started.elapsed().as_secs_f64(), ..outcome })
}

/// Renders all apps and opens the image archives.
async fn render(
    delivery: &Arc<Delivery>,
    found: &Arc<ChartSet>,
    access: &ChartAccess,
    platforms: &[Platform],
    path: &Path,
    reporter: &SharedReporter,
) -> Result<(prepare::Prepared, Vec<(LocalArchive, Origin)>), Failure> {
    reporter.step(format!("rendering {} apps", delivery.spec.apps.len()));
    let (delivery, found, access, platforms) = (delivery.clone(), found.clone(), access.clone(), platforms.to_vec());
    let (reporter, scratch) = (reporter.clone(), io::folder_of(path).to_owned());
    blocking(move || {
        let prepared = prepare::prepare(&delivery, &found, &*reporter);
        let archives = super::images::open_archives(&delivery, &access, &platforms, &scratch)?;
        Ok((prepared, archives))
    })
    .await
}

async fn write(
    (path, volume): (PathBuf, Option<VolumeSize>),
    layout: Layout,
    keys: impl Future<Output = Result<Option<Signers>, Failure>>,
    sources: Sources,
    reporter: &SharedReporter,
) -> Result<(), Failure> {
    reporter.step("writing the archive");
    let writer = blocking(move || Writer::create_in(&path, &layout, volume).map_err(archive_failure)).await?;
    let signing = async {
        let Some(signers) = keys.await.inspect_err(|_| writer.leave_if_taken_up())? else { return Ok(()) };
        let signers: Vec<&dyn Signer> = signers.keys().iter().map(|key: &PrivateKey| -> &dyn Signer { key }).collect();
        writer.sign(&signers).map_err(archive_failure)
    };
    tokio::try_join!(fill::fill(&writer, sources, reporter), signing)?;
    blocking(move || writer.finish().map_err(fill::writing_failure)).await
}

/// Work that computes or reads files, off the threads that wait for the network.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    done(begin(work)).await
}

/// The same, to be waited for later.
fn begin<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> JoinHandle<Result<T, Failure>> {
    tokio::task::spawn_blocking(work)
}

async fn done<T>(work: JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    work.await.unwrap_or_else(|error| Err(Failure::new(Kind::Other, error)))
}

//! `extract`: what is in a verified archive, in the forms that other tools take. Charts for helm, images for docker, podman, ctr and skopeo, values,
//! the delivery's files, or one plain folder that installs with nothing but helm and ctr.
//!
//! First everything is decided: which pieces, under which names, and whether all of it can be read. Then it is written under a name of its own beside its
//! place, and renamed once it is whole. What is there already stays as it is: then nothing is written.

mod choose;
mod error;
mod names;
mod plain;
mod plan;
mod renamed;
mod stage;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use self::{error::ExtractError, plan::Plan};
use super::verify::{self, Elsewhere, TrustOptions};
use crate::{
    archive::{Archive, Standing},
    failure::Failure,
    oci::{Digest, Platform, Reference},
    progress::{Reporter, SharedReporter},
};

/// How images are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// `images.tar`, as `docker save` of Docker 25 writes it: docker's list and an OCI layout in one tar.
    DockerArchive,
    /// `images.tar` with an OCI layout.
    OciArchive,
    /// The folder `images` with an OCI layout.
    Oci,
}

/// Which parts of an archive are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own, and any of them may go together")]
pub struct Parts {
    /// Charts, and the files of apps that are plain manifests.
    pub charts: bool,
    /// The values of apps.
    pub values: bool,
    /// Images.
    pub images: Option<ImageFormat>,
    /// delivery.yaml, the lock, values files and `spec.files`.
    pub files: bool,
    /// All of it as one folder with an install script; the others say nothing then.
    pub plain: bool,
}

/// What to extract.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// The archive.
    pub archive: PathBuf,
    /// Whom to trust.
    pub trust: TrustOptions,
    /// Where to; left out, a folder of the delivery's name and version.
    pub folder: Option<PathBuf>,
    /// Which parts.
    pub parts: Parts,
    /// Only these apps; none for all.
    pub apps: Vec<String>,
    /// Only these images; none for those of the apps.
    pub images: Vec<Reference>,
    /// Only what this platform needs of the images; none for all that is there.
    pub platform: Option<Platform>,
}

/// What was extracted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Outcome of `kubectl offline extract --format json`")]
pub struct ExtractOutcome {
    /// The archive.
    pub archive: PathBuf,
    /// The delivery's name.
    pub name: String,
    /// The delivery's version.
    pub version: String,
    /// Who vouches for it.
    pub signature: Standing,
    /// Where everything was put.
    pub folder: PathBuf,
    /// What was written, by path.
    pub written: Vec<Written>,
    /// What the person who uses it should know.
    pub notes: Vec<String>,
}

/// What kind of thing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WrittenKind")]
pub enum Kind {
    /// A packaged chart.
    Chart,
    /// A file of an app that is plain manifests.
    Manifests,
    /// An app's values.
    Values,
    /// Images.
    Images,
    /// Signatures, attestations and SBOMs of images, by themselves.
    Attachments,
    /// A file of the delivery.
    File,
    /// The script that installs, and what belongs to it.
    Script,
}

/// A piece that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// What it is.
    pub kind: Kind,
    /// Where, below the folder.
    pub path: String,
    /// Of whom: the app, the images, the file's path in the delivery.
    pub of: Vec<String>,
    /// Its bytes; of a folder, of all files in it.
    pub size: u64,
    /// Digest of its bytes; none for a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A verified archive, and what of it is to be written where. Nothing has been written yet.
#[derive(Debug)]
pub struct Ready {
    archive: Archive,
    folder: PathBuf,
    plan: Plan,
}

/// Verifies the archive and decides what to write. Whatever can be known to be wrong is an error here.
pub fn prepare(options: &ExtractOptions, elsewhere: &Elsewhere, reporter: &dyn Reporter) -> Result<Ready, Failure> {
    if options.archive == Path::new("-") {
        return Err(ExtractError::Stream.into());
    }
    let archive = verify::open_with(&options.archive, elsewhere, &options.trust, reporter)?;
    let chosen = choose::choose(&archive, options)?;
    let plan = Plan::new(&archive, options, &chosen)?;
    let record = archive.record();
    let folder = match &options.folder {
        Some(folder) => folder.clone(),
        None => PathBuf::from(names::leaf(&format!("{}-{}", record.name, record.version))?.as_str()),
    };
    Ok(Ready { archive, folder, plan })
}

impl Ready {
    /// Writes it. Where `stop` turns true, nothing of it stays.
    pub fn write(self, stop: &watch::Receiver<bool>, reporter: &SharedReporter) -> Result<ExtractOutcome, Failure> {
        let Self { archive, folder, plan } = self;
        for note in &plan.notes {
            reporter.note(note.clone());
        }
        let written = stage::write(&archive, &folder, &plan, stop, &**reporter)?;
        let record = archive.record();
        Ok(ExtractOutcome {
            archive: archive.path().to_owned(),
            name: record.name.clone(),
            version: record.version.clone(),
            signature: archive.standing().clone(),
            folder,
            written,
            notes: plan.notes,
        })
    }
}

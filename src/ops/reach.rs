//! Opening an archive wherever it is, and handing one on: files, web servers, registries.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::verify::archive_failure;
use crate::{
    archive::{self, Archive, Limits, Trust, Unverified},
    failure::{Failure, Kind},
    oci::Reference,
    progress::{Event, SharedReporter},
    redact::SafeUrl,
    transport::{self, Method, PART_SIZE, Place, Pushed, Reach, TransportError, TransportProblem, Upload, UploadError},
};

/// What registries show of an artifact (image-spec, annotations.md).
const CREATED_BY: (&str, &str) = ("org.opencontainers.image.title", "org.opencontainers.image.version");

/// Opens an archive: a file, `https://…`, or `oci://…`. One that lies elsewhere is read in place.
pub fn open(path: &Path, reach: &Reach) -> Result<Unverified, Failure> {
    open_in(path, &[], reach)
}

/// The same with further folders in which volumes of a file may be.
pub fn open_in(path: &Path, folders: &[PathBuf], reach: &Reach) -> Result<Unverified, Failure> {
    let place = Place::parse(path).map_err(transport_failure)?;
    let opened = match transport::open(&place, reach).map_err(transport_failure)? {
        Some((name, medium)) => archive::open_medium(&name, medium, Limits::default()),
        None => archive::open_in(path, folders),
    };
    opened.map_err(archive_failure)
}

/// What an error on the way means to whoever ran the command.
pub(crate) fn transport_failure(error: TransportError) -> Failure {
    use transport::TransportProblem as Problem;
    let kind = match &*error.problem {
        Problem::Url | Problem::Reference(_) | Problem::PlainHttp => Kind::Usage,
        Problem::File(_) | Problem::System(_) => Kind::Other,
        Problem::Volumes(_) => Kind::Untrusted,
        _ => Kind::Source,
    };
    let refused = matches!(&*error.problem, Problem::Status { status: 401 | 403, .. });
    let failure = Failure::new(kind, error);
    if refused { failure.hint("a bearer token is read from KUBECTL_OFFLINE_TOKEN, or from the file that --token-file names") } else { failure }
}

/// Where an archive is handed to once it is made.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A web server.
    Web {
        /// Its URL; one that ends with a slash is a folder.
        url: SafeUrl,
        /// How.
        method: Method,
    },
    /// A registry.
    Registry(Reference),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Handed {
    /// It was put to a web server.
    Web {
        /// Where it is, without secrets; of one in volumes, where its list is.
        url: String,
        /// Where its volumes are.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        volumes: Vec<String>,
    },
    /// It was put into a registry.
    Registry(Pushed),
}

#[derive(Debug, thiserror::Error)]
enum VolumesError {
    #[error("volumes are several files, and `{0}` is the name of one")]
    OneName(SafeUrl),
    #[error("a registry keeps an archive in parts of its own, whatever files it comes from")]
    Registry,
}

/// What can be known to be wrong before an archive is made: a URL that is none, a file that is not there, volumes where they cannot be.
pub fn check(to: &Destination, in_volumes: bool, reach: &Reach) -> Result<(), Failure> {
    match to {
        Destination::Web { url, method } => {
            Upload::reached(url.expose(), *method, reach).map_err(upload_failure)?;
            if in_volumes && method.names() && !url.expose().ends_with('/') {
                let failure = Failure::new(Kind::Usage, VolumesError::OneName(url.clone()));
                return Err(failure.hint("give the URL of a folder, which ends with a slash"));
            }
            Ok(())
        }
        Destination::Registry(_) if in_volumes => Err(Failure::new(Kind::Usage, VolumesError::Registry).hint("leave --volume-size out")),
        Destination::Registry(_) => Ok(()),
    }
}

/// Hands an archive on, after every byte on the disk was read again and found to be right.
pub async fn hand_on(archive: &Path, to: &Destination, reach: &Reach, reporter: &SharedReporter) -> Result<Handed, Failure> {
    let (path, told) = (archive.to_owned(), reporter.clone());
    let verifying = tokio::task::spawn_blocking(move || {
        let unverified = archive::open(&path)?;
        unverified.verify(&Trust::AllowUnsigned, &*told)
    });
    let verified: Archive = verifying.await.map_err(|e| Failure::new(Kind::Other, e))?.map_err(archive_failure)?;
    match to {
        Destination::Web { url, method } => {
            let upload = Upload::reached(url.expose(), *method, reach).map_err(upload_failure)?.remembering();
            reporter.step("sending the archive");
            // Its list comes last: where that is, all of it is.
            let files = archive::volumes::files_of(archive).map_err(|error| archive_failure(error.into()))?;
            let files = files.unwrap_or_else(|| vec![archive.to_owned()]);
            let mut urls = Vec::new();
            for file in &files {
                let url = upload.send(file, reporter).await.map_err(upload_failure)?.to_string();
                reporter.event(Event::Note(format!("{}: put to {url}", file.display())));
                urls.push(url);
            }
            // Not before all of them are there: a later run would send those again that were.
            files.iter().try_for_each(|file| upload.forget(file)).map_err(upload_failure)?;
            let url = urls.pop().unwrap_or_default();
            Ok(Handed::Web { url, volumes: urls })
        }
        Destination::Registry(reference) => {
            let record = verified.record();
            let annotations = [(CREATED_BY.0, record.name.clone()), (CREATED_BY.1, record.version.clone())];
            let annotations: BTreeMap<String, String> = annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let pushed = transport::push(archive, reference, annotations, PART_SIZE, reach, reporter).await;
            Ok(Handed::Registry(pushed.map_err(transport_failure)?))
        }
    }
}

fn upload_failure(error: UploadError) -> Failure {
    let kind = match &error {
        UploadError::Url(_) => Kind::Usage,
        UploadError::Transport { source: TransportProblem::File(_) | TransportProblem::System(_), .. } => Kind::Other,
        UploadError::Transport { .. } | UploadError::Status { .. } => Kind::Source,
    };
    let failure = Failure::new(kind, error);
    if kind != Kind::Source {
        return failure;
    }
    failure.hint("the archive is whole and stays where it is; the same command goes on where the server speaks tus, or send it by other means")
}

//! Opening an archive wherever it is, and handing one on: files, web servers, registries.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::verify::archive_failure;
use crate::{
    archive::{self, Archive, Limits, Trust, Unverified},
    failure::{Failure, Kind},
    oci::Reference,
    progress::{Event, SharedReporter},
    redact::SafeUrl,
    transport::{self, Method, PART_SIZE, Place, Pushed, Reach, TransportError, Upload, UploadError},
};

/// What registries show of an artifact (image-spec, annotations.md).
const CREATED_BY: (&str, &str) = ("org.opencontainers.image.title", "org.opencontainers.image.version");

/// Opens an archive: a file, `https://…`, or `oci://…`. One that lies elsewhere is read in place.
pub fn open(path: &Path, reach: &Reach) -> Result<Unverified, Failure> {
    let place = Place::parse(path).map_err(transport_failure)?;
    let opened = match transport::open(&place, reach).map_err(transport_failure)? {
        Some((name, medium)) => archive::open_medium(&name, medium, Limits::default()),
        None => archive::open(path),
    };
    opened.map_err(archive_failure)
}

/// What an error on the way means to whoever ran the command.
pub(crate) fn transport_failure(error: TransportError) -> Failure {
    use transport::TransportProblem as Problem;
    let kind = match &*error.problem {
        Problem::Url | Problem::Reference(_) | Problem::PlainHttp => Kind::Usage,
        Problem::File(_) | Problem::System(_) => Kind::Other,
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
        /// Where it is, without secrets.
        url: String,
    },
    /// It was put into a registry.
    Registry(Pushed),
}

/// What can be known to be wrong before an archive is made: a URL that is none, a file that is not there.
pub fn check(to: &Destination, reach: &Reach) -> Result<(), Failure> {
    match to {
        Destination::Web { url, method } => Upload::reached(url.expose(), *method, reach).map(|_| ()).map_err(upload_failure),
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
            let upload = Upload::reached(url.expose(), *method, reach).map_err(upload_failure)?;
            reporter.step("sending the archive");
            let url = upload.send(archive).await.map_err(upload_failure)?.to_string();
            reporter.event(Event::Note(format!("{}: put to {url}", archive.display())));
            Ok(Handed::Web { url })
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
        UploadError::File { .. } => Kind::Other,
        UploadError::Transport { .. } | UploadError::Status { .. } => Kind::Source,
    };
    let failure = Failure::new(kind, error);
    if kind == Kind::Source { failure.hint("the archive is whole and stays where it is; it can be sent by other means") } else { failure }
}

//! Images of a running containerd, asked through its socket. Nothing is copied before it is wanted: layers are read from its content store when they
//! are written into the archive.

#[cfg(unix)]
mod content;
#[cfg(unix)]
mod grpc;
#[cfg(unix)]
mod messages;

use std::{path::PathBuf, sync::mpsc::sync_channel};

use bytes::Bytes;

use super::{SourceError, error::ImageProblem};
use crate::{
    oci::{Digest, Platform, Reference},
    registry::Image,
};

/// Where containerd listens, where nothing says otherwise (containerd, `defaults/defaults_unix.go`).
const SOCKET: &str = "/run/containerd/containerd.sock";
/// Where images are looked for, where nothing says otherwise: those of Kubernetes, then those of who said nothing (ctr's own default).
const NAMESPACES: [&str; 2] = ["k8s.io", "default"];
/// Pieces of a layer that wait to be taken. None: one that is taken and one that comes are enough, as each is a message of containerd's, of 4 MiB or less as
/// a rule.
const PIECES: usize = 0;

/// Where containerd listens and keeps images, as ctr and nerdctl read it from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerdPlace {
    /// The path of its socket, as `CONTAINERD_ADDRESS` says; its usual one if left out.
    pub address: Option<String>,
    /// The namespace, as `CONTAINERD_NAMESPACE` says; `k8s.io`, then `default` if left out.
    pub namespace: Option<String>,
}

/// Why a running containerd does not give an image.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdProblem {
    /// Not a socket of this machine.
    #[error("CONTAINERD_ADDRESS is `{0}`; wanted the path of a socket, as in {SOCKET}")]
    Address(String),
    /// Not what a namespace may be called.
    #[error("CONTAINERD_NAMESPACE is `{0}`; wanted letters, digits, `.`, `_` and `-`")]
    Namespace(String),
    /// Nobody can be talked to there.
    #[error("cannot connect to containerd at `{}`: {reason}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It has no image of that name.
    #[error("it has no image of that name in the namespace {}; `ctr -n {} images pull {image}` gets it", namespaces.join(" or "), namespaces.first().map_or("default", String::as_str))]
    NotFound {
        /// Its name.
        image: Reference,
        /// Where it was looked for.
        namespaces: Vec<String>,
    },
    /// The name has another digest than what it stands for.
    #[error("there the name stands for {found}")]
    Elsewhere {
        /// What it stands for.
        found: Digest,
    },
    /// Content that the image consists of and that is not there.
    #[error(
        "its {what} is not in containerd's content store: that platform was never pulled, or its layers were discarded after they were unpacked; `{get}` gets it"
    )]
    Absent {
        /// What it is: `layer` or `document`, with its digest and its platform where that is known.
        what: String,
        /// The command.
        get: String,
    },
    /// Content that is not what it should be.
    #[error("{digest} has {found} there, wanted {wanted}")]
    Content {
        /// What was asked for.
        digest: Digest,
        /// What is there.
        found: String,
        /// What should be.
        wanted: String,
    },
    /// It answered with an error.
    #[error("containerd answered with status {code}{}", if .message.is_empty() { String::new() } else { format!(" ({message})") })]
    Answer {
        /// Status of gRPC.
        code: u32,
        /// What it said.
        message: String,
    },
    /// The transfer broke.
    #[error("the transfer broke: {0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("nothing came for {0} seconds")]
    Stalled(u64),
}

impl ContainerdPlace {
    fn socket(&self) -> Result<PathBuf, ContainerdProblem> {
        let Some(address) = &self.address else { return Ok(SOCKET.into()) };
        // containerd, pkg/dialer/dialer_unix.go, takes both.
        let path = address.strip_prefix("unix://").unwrap_or(address);
        if path.starts_with('/') { Ok(path.into()) } else { Err(ContainerdProblem::Address(address.clone())) }
    }

    fn namespaces(&self) -> Result<Vec<String>, ContainerdProblem> {
        let Some(namespace) = &self.namespace else { return Ok(NAMESPACES.map(str::to_owned).into()) };
        // containerd, pkg/identifiers/validate.go.
        let usable = !namespace.is_empty() && namespace.len() <= 76 && namespace.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if usable { Ok(vec![namespace.clone()]) } else { Err(ContainerdProblem::Namespace(namespace.clone())) }
    }
}

/// Where the content of an image is.
#[derive(Debug, Clone)]
pub(super) struct Held {
    socket: PathBuf,
    namespace: String,
    image: Reference,
    /// What gets content that is not there.
    get: String,
}

/// An image for the wanted platforms; all its layers are there. It blocks, and may be called from any thread.
pub(super) fn find(place: &ContainerdPlace, image: &Reference, wanted: &[Platform]) -> Result<(Image, Held), SourceError> {
    let failed = |problem| failure(image, problem);
    let (socket, namespaces) = (place.socket().map_err(failed)?, place.namespaces().map_err(failed)?);
    // A thread of its own: who calls may be one that must not wait for another runtime.
    let found =
        std::thread::scope(|scope| scope.spawn(|| content::find(&socket, &namespaces, image, wanted)).join().expect("asking containerd does not panic"));
    found.map_err(|problem| match problem {
        ImageProblem::Source(error) => error,
        problem @ ImageProblem::Image(_) => {
            SourceError::Image { path: format!("containerd: {image}").into(), image: image.to_string(), source: Box::new(problem) }
        }
    })
}

impl Held {
    /// Hands content of `size` bytes on, from `start` to its end.
    pub(super) fn each(&self, digest: &Digest, (start, size): (u64, u64), take: &mut dyn FnMut(&[u8]) -> Result<(), SourceError>) -> Result<(), SourceError> {
        let failed = |problem| failure(&self.image, problem);
        let (sender, pieces) = sync_channel::<Result<Bytes, ContainerdProblem>>(PIECES);
        std::thread::scope(|scope| {
            // It ends when nobody takes what it reads.
            scope.spawn(move || content::read(self, digest, start, &sender));
            let mut done = start;
            for piece in pieces {
                let piece = piece.map_err(failed)?;
                done += piece.len() as u64;
                if done > size {
                    break;
                }
                take(&piece)?;
            }
            if done == size {
                return Ok(());
            }
            let found = format!("{} {done} bytes", if done > size { "more than" } else { "only" });
            Err(failed(ContainerdProblem::Content { digest: digest.clone(), found, wanted: format!("{size} bytes") }))
        })
    }

    fn absent(&self, what: String) -> ContainerdProblem {
        ContainerdProblem::Absent { what, get: self.get.clone() }
    }
}

fn failure(image: &Reference, problem: ContainerdProblem) -> SourceError {
    SourceError::Containerd { image: image.to_string(), problem: Box::new(problem) }
}

/// What gets all of an image into the content store, without unpacking it.
fn command(namespace: &str, image: &Reference, wanted: &[Platform]) -> String {
    let platforms = wanted.iter().flat_map(|platform| ["--platform ".to_owned(), platform.to_string(), " ".to_owned()]).collect::<String>();
    format!("ctr -n {namespace} content fetch {platforms}{image}")
}

#[cfg(not(unix))]
mod content {
    //! There are no Unix sockets here.

    use std::{path::Path, sync::mpsc::SyncSender};

    use super::{Bytes, ContainerdProblem, Digest, Held, Image, ImageProblem, Platform, Reference, failure};

    fn nobody(socket: &Path) -> ContainerdProblem {
        ContainerdProblem::Connect { socket: socket.into(), reason: "this system has no Unix sockets".to_owned() }
    }

    pub(super) fn find(socket: &Path, _: &[String], image: &Reference, _: &[Platform]) -> Result<(Image, Held), ImageProblem> {
        Err(failure(image, nobody(socket)).into())
    }

    pub(super) fn read(held: &Held, _: &Digest, _: u64, to: &SyncSender<Result<Bytes, ContainerdProblem>>) {
        let _ = to.send(Err(nobody(&held.socket)));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn place(address: Option<&str>, namespace: Option<&str>) -> ContainerdPlace {
        ContainerdPlace { address: address.map(str::to_owned), namespace: namespace.map(str::to_owned) }
    }

    #[test]
    fn the_environment_says_where_it_is() {
        assert_eq!(place(None, None).socket().unwrap(), Path::new(SOCKET));
        assert_eq!(place(None, None).namespaces().unwrap(), ["k8s.io", "default"]);
        for address in ["/run/k3s/containerd/containerd.sock", "unix:///run/k3s/containerd/containerd.sock"] {
            assert_eq!(place(Some(address), None).socket().unwrap(), Path::new("/run/k3s/containerd/containerd.sock"));
        }
        assert_eq!(place(None, Some("build")).namespaces().unwrap(), ["build"]);
        for address in ["tcp://10.0.0.1:1", "containerd.sock", "unix://relative", "\\\\.\\pipe\\containerd"] {
            assert!(matches!(place(Some(address), None).socket(), Err(ContainerdProblem::Address(_))), "{address}");
        }
        for namespace in ["a b", "a/b", "a\r\nb", "ü"] {
            assert!(matches!(place(None, Some(namespace)).namespaces(), Err(ContainerdProblem::Namespace(_))), "{namespace}");
        }
    }

    #[test]
    fn a_containerd_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("none.sock");
        let place = place(socket.to_str(), None);
        let error = find(&place, &"busybox:1".parse().unwrap(), &[Platform::linux_amd64()]).unwrap_err().to_string();
        assert!(error.contains("docker.io/library/busybox:1") && error.contains("none.sock"), "{error}");
    }
}

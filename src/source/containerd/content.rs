//! The conversation: which image a name stands for, what of it is there, and its bytes.

use std::{path::Path, sync::mpsc::SyncSender};

use bytes::Bytes;

use super::{
    ContainerdProblem, Held, ImageProblem, command, failure,
    grpc::Connection,
    messages::{GetImage, GetInfo, GotImage, GotInfo, Piece, Read},
};
use crate::{
    oci::{Descriptor, Digest, MANIFEST_MAX, Platform, Reference},
    registry::{Documents, Image, gather},
};

const IMAGE: &str = "/containerd.services.images.v1.Images/Get";
const INFO: &str = "/containerd.services.content.v1.Content/Info";
const READ: &str = "/containerd.services.content.v1.Content/Read";

/// The image, its documents in memory, and where the rest is.
pub(super) fn find(socket: &Path, namespaces: &[String], image: &Reference, wanted: &[Platform]) -> Result<(Image, Held), ImageProblem> {
    let failed = |problem| ImageProblem::from(failure(image, problem));
    let runtime = runtime(socket).map_err(failed)?;
    runtime.block_on(async {
        let connection = Connection::open(socket).await.map_err(failed)?;
        let (root, namespace) = target(&connection, namespaces, image).await.map_err(failed)?;
        let held = Held { socket: socket.into(), image: image.clone(), get: command(&namespace, image, wanted), namespace };
        let source = Source { connection: &connection, held: &held };
        let bytes = source.document(&root).await?;
        let content = gather(root, bytes, wanted, &source).await?;
        for layer in &content.layers {
            source.check(layer).await.map_err(failed)?;
        }
        Ok((content, held))
    })
}

/// Reads content from an offset on, until its end or until nobody takes it any more.
pub(super) fn read(held: &Held, digest: &Digest, start: u64, to: &SyncSender<Result<Bytes, ContainerdProblem>>) {
    let run = || {
        runtime(&held.socket)?.block_on(async {
            let connection = Connection::open(&held.socket).await?;
            let absent = || held.absent(format!("layer {digest}"));
            let question = Read { digest: digest.to_string(), offset: i64::try_from(start).unwrap_or(i64::MAX) };
            let mut pieces = connection.stream::<Piece>(&held.namespace, READ, &question).await?.ok_or_else(absent)?;
            while let Some(piece) = pieces.next().await? {
                if to.send(Ok(piece.data)).is_err() {
                    return Ok(());
                }
            }
            if pieces.found() { Ok(()) } else { Err(absent()) }
        })
    };
    if let Err(problem) = run() {
        // Who does not listen any more does not need to know.
        let _ = to.send(Err(problem));
    }
}

fn runtime(socket: &Path) -> Result<tokio::runtime::Runtime, ContainerdProblem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| ContainerdProblem::Connect { socket: socket.into(), reason: error.to_string() })
}

/// What a name stands for, and in which namespace.
async fn target(connection: &Connection, namespaces: &[String], image: &Reference) -> Result<(Descriptor, String), ContainerdProblem> {
    for namespace in namespaces {
        let found: Option<GotImage> = connection.ask(namespace, IMAGE, &GetImage { name: image.to_string() }).await?;
        let Some(target) = found.and_then(|found| found.image).and_then(|image| image.target) else { continue };
        let unusable = |reason: String| ContainerdProblem::Broken(format!("what it says of the image cannot be used: {reason}"));
        let digest: Digest = target.digest.parse().map_err(|error| unusable(format!("{error}")))?;
        if image.digest().is_some_and(|wanted| *wanted != digest) {
            return Err(ContainerdProblem::Elsewhere { found: digest });
        }
        let size = u64::try_from(target.size).map_err(|error| unusable(error.to_string()))?;
        return Ok((Descriptor::new(&target.media_type, digest, size), namespace.clone()));
    }
    Err(ContainerdProblem::NotFound { image: image.clone(), namespaces: namespaces.to_vec() })
}

/// Documents from the content store.
struct Source<'a> {
    connection: &'a Connection,
    held: &'a Held,
}

impl Source<'_> {
    fn absent(&self, what: &str, descriptor: &Descriptor) -> ContainerdProblem {
        let platform = descriptor.platform.as_ref().map_or_else(String::new, |platform| format!(" for {platform}"));
        self.held.absent(format!("{what} {}{platform}", descriptor.digest))
    }

    /// Whether a layer is there, of the size that it should have.
    async fn check(&self, layer: &Descriptor) -> Result<(), ContainerdProblem> {
        let question = GetInfo { digest: layer.digest.to_string() };
        let found: Option<GotInfo> = self.connection.ask(&self.held.namespace, INFO, &question).await?;
        let info = found.and_then(|found| found.info).ok_or_else(|| self.absent("layer", layer))?;
        if u64::try_from(info.size).is_ok_and(|size| size == layer.size) {
            return Ok(());
        }
        let (found, wanted) = (format!("{} bytes", info.size), format!("{} bytes", layer.size));
        Err(ContainerdProblem::Content { digest: layer.digest.clone(), found, wanted })
    }

    async fn read(&self, descriptor: &Descriptor) -> Result<Bytes, ContainerdProblem> {
        let absent = || self.absent("document", descriptor);
        let wrong = |found: String, wanted: String| ContainerdProblem::Content { digest: descriptor.digest.clone(), found, wanted };
        let question = Read { digest: descriptor.digest.to_string(), offset: 0 };
        let mut pieces = self.connection.stream::<Piece>(&self.held.namespace, READ, &question).await?.ok_or_else(absent)?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await? {
            bytes.extend_from_slice(&piece.data);
            if bytes.len() as u64 > MANIFEST_MAX {
                return Err(wrong(format!("more than {} bytes", bytes.len()), format!("at most {MANIFEST_MAX} of such a document")));
            }
        }
        if !pieces.found() {
            return Err(absent());
        }
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            return Err(wrong(format!("the digest {found}"), "its own".to_owned()));
        }
        Ok(bytes.into())
    }
}

impl Documents for Source<'_> {
    type Error = ImageProblem;

    async fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ImageProblem> {
        self.read(descriptor).await.map_err(|problem| failure(&self.held.image, problem).into())
    }
}

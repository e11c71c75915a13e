//! Layers into their places: several at a time, each byte once, hashed on the way.

use std::{error::Error, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    blocking,
    resolve::{Origins, Resolved},
};
use crate::{
    archive::{LayerWriter, Writer},
    failure::{Failure, Kind},
    oci::{Descriptor, Digest},
    ops::{
        prepare::{registry_failure, source_failure},
        verify::archive_failure,
    },
    progress::{Event, SharedReporter},
    registry::{BlobSink, Registries},
};

/// Files that are copied at a time.
const COPIES: usize = 2;
/// Bytes between two reports of a layer.
const REPORT: u64 = 1 << 20;

/// A layer's place, telling how far it is.
struct Place {
    writer: LayerWriter,
    reporter: SharedReporter,
    task: String,
    told: u64,
}

impl BlobSink for Place {
    fn write(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.writer.write(chunk)?;
        let done = self.writer.written();
        if done - self.told >= REPORT || done == self.writer.size() {
            self.told = done;
            self.reporter.event(Event::Advanced { task: self.task.clone(), done });
        }
        Ok(())
    }

    fn written(&self) -> u64 {
        self.writer.written()
    }

    fn restart(&mut self) {
        self.told = 0;
        self.writer.restart();
    }

    fn digest(&self) -> Digest {
        self.writer.digest()
    }
}

/// A layer whose source nobody knows: a fault of ours, never of a person.
#[derive(Debug, thiserror::Error)]
#[error("nothing says where the layer {0} comes from")]
struct NoSource(Digest);

/// Fills all places. The first failure ends it, and so does dropping the future: no task outlives it.
pub(super) async fn fill(writer: &Writer, resolved: Resolved, registries: Arc<Registries>, reporter: &SharedReporter) -> Result<(), Failure> {
    let copies = Arc::new(Semaphore::new(COPIES));
    let mut tasks = JoinSet::new();
    for (digest, size) in writer.pending() {
        let origin = resolved.layers.get(&digest).cloned().ok_or_else(|| Failure::new(Kind::Other, NoSource(digest.clone())))?;
        let task = digest.short().to_owned();
        let place = Place { writer: writer.layer(&digest).map_err(archive_failure)?, reporter: reporter.clone(), task, told: 0 };
        let (registries, copies) = (registries.clone(), copies.clone());
        // Only the digest counts for pulling; what the layer is was written into the manifests.
        let layer = Descriptor::new("", digest, size);
        tasks.spawn(async move {
            match origin {
                Origins::Registry(image) => remote(place, &image, &layer, &registries).await,
                Origins::Local(archive) => {
                    let _permit = copies.acquire_owned().await.expect("the semaphore is never closed");
                    blocking(move || {
                        let mut place = place;
                        begin(&place);
                        archive.layer(&layer.digest, &mut place).map_err(source_failure)?;
                        end(place)
                    })
                    .await
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| Failure::new(Kind::Other, error))??;
    }
    Ok(())
}

async fn remote(mut place: Place, image: &crate::oci::Reference, layer: &Descriptor, registries: &Registries) -> Result<(), Failure> {
    begin(&place);
    registries.layer(image, layer, &mut place).await.map_err(registry_failure)?;
    end(place)
}

fn begin(place: &Place) {
    place.reporter.event(Event::Started { task: place.task.clone(), total: Some(place.writer.size()) });
}

/// The writer holds digest and size against the descriptor; a source that sends something else has failed.
fn end(place: Place) -> Result<(), Failure> {
    let Place { writer, reporter, task, .. } = place;
    let size = writer.size();
    writer.finish().map_err(|error| Failure::new(Kind::Source, error))?;
    reporter.event(Event::Finished { task, note: format!("{size} bytes") });
    Ok(())
}

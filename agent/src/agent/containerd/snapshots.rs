//! Layers become file systems: all mounting happens inside containerd.

use tonic::{Code, Status};

use super::{Containerd, Descriptor, messages, unless_exists};
use crate::error::{Error, Result};

impl Containerd {
    /// The snapshotter of our own container, which is the one that CRI uses on this node.
    ///
    /// Asking is exact; the alternatives (the configuration, CRI's verbose status) changed between versions.
    pub(crate) async fn snapshotter(&self, pod: &str) -> Result<String> {
        let filters = vec![format!("labels.\"io.kubernetes.pod.name\"==\"{pod}\"")];
        let answer: std::result::Result<messages::Containers, Status> =
            self.unary("/containerd.services.containers.v1.Containers/List", messages::Filters { filters }).await;
        let containers = answer.map_err(|e| Error::runtime(format!("looking for the containers of pod {pod}"), &e))?.containers;
        containers
            .into_iter()
            .map(|c| c.snapshotter)
            .find(|s| !s.is_empty())
            .ok_or_else(|| Error::unusable(format!("containerd knows no container of pod {pod}: is its socket that of the runtime that the kubelet uses?")))
    }

    /// Whether a committed snapshot of that name is there.
    pub(crate) async fn has_snapshot(&self, snapshotter: &str, key: &str) -> Result<bool> {
        let question = messages::SnapshotKey { snapshotter: snapshotter.to_owned(), key: key.to_owned() };
        match self.unary::<_, ()>("/containerd.services.snapshots.v1.Snapshots/Stat", question).await {
            Ok(()) => Ok(true),
            Err(e) if e.code() == Code::NotFound => Ok(false),
            Err(e) => Err(Error::runtime(format!("looking for snapshot {key}"), &e)),
        }
    }

    /// Unpacks a layer on top of its parent and names the result by its chain id. Compares what came out with what the config promises.
    pub(crate) async fn unpack(&self, snapshotter: &str, layer: &Descriptor, parent: &str, diff_id: &str, chain_id: &str) -> Result<()> {
        // Of this run and process alone: what a dead one left under its own key must not be taken for ours.
        let key = format!("{}-{}-{chain_id}", self.lease.as_deref().unwrap_or("offline"), std::process::id());
        let doing = |what: &str| format!("{what} layer {}", layer.digest);
        // Snapshotters that bring layers by other ways know by this label what is wanted, and answer AlreadyExists.
        let labels = [("containerd.io/snapshot.ref".to_owned(), chain_id.to_owned())].into();
        let question = messages::Prepare { snapshotter: snapshotter.to_owned(), key: key.clone(), parent: parent.to_owned(), labels };
        let prepared: std::result::Result<messages::Mounts, Status> = self.unary("/containerd.services.snapshots.v1.Snapshots/Prepare", question).await;
        let Some(mounts) = unless_exists(prepared).map_err(|e| Error::runtime(doing("preparing a snapshot for"), &e))? else {
            let there = self.has_snapshot(snapshotter, chain_id).await?;
            return if there { Ok(()) } else { Err(Error::unusable(doing("there is a half-made snapshot of that name for"))) };
        };
        let question = messages::Apply { diff: Some(layer.clone()), mounts: mounts.mounts };
        let applied: std::result::Result<messages::Applied, Status> = self.unary("/containerd.services.diff.v1.Diff/Apply", question).await;
        let applied = applied.map_err(|e| Error::runtime(doing("unpacking"), &e)).and_then(|a| {
            let got = a.applied.unwrap_or_default().digest;
            if got == diff_id { Ok(()) } else { Err(Error::content(format!("layer {} unpacks to {got}, its image's config says {diff_id}", layer.digest))) }
        });
        if let Err(e) = applied {
            self.remove_snapshot(snapshotter, &key).await;
            return Err(e);
        }
        let question = messages::CommitSnapshot { snapshotter: snapshotter.to_owned(), name: chain_id.to_owned(), key: key.clone() };
        match unless_exists(self.unary::<_, ()>("/containerd.services.snapshots.v1.Snapshots/Commit", question).await) {
            Ok(Some(())) => Ok(()),
            // Somebody else was first.
            Ok(None) => {
                self.remove_snapshot(snapshotter, &key).await;
                Ok(())
            }
            Err(e) => Err(Error::runtime(doing("keeping the snapshot of"), &e)),
        }
    }

    async fn remove_snapshot(&self, snapshotter: &str, key: &str) {
        let question = messages::SnapshotKey { snapshotter: snapshotter.to_owned(), key: key.to_owned() };
        // If it cannot be removed the lease's end lets containerd collect it.
        let _: std::result::Result<(), Status> = self.unary("/containerd.services.snapshots.v1.Snapshots/Remove", question).await;
    }
}

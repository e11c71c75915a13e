//! Which blob goes to which node, and by which way: up the API server once, from there on from node to node.
//!
//! Any stream of any node takes the first blob that its node lacks and that nobody has or sends; any node takes from another what that has.
//! So uploads spread over the nodes by themselves, each byte goes up once, and a node that is quick serves the others.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::oci::{Descriptor, Digest};

/// A node's place in the plan.
pub(super) type NodeIndex = usize;

/// How often a blob may fail on its way to a node before that fails the import.
const ATTEMPTS: u32 = 3;

#[derive(Debug, Default)]
struct BlobState {
    holders: Vec<NodeIndex>,
    sender: Option<NodeIndex>,
}

#[derive(Debug, Default)]
struct NodeState {
    pending: Vec<Descriptor>,
    busy: usize,
    unreachable: HashSet<NodeIndex>,
    attempts: HashMap<Digest, u32>,
}

#[derive(Debug, Default)]
struct State {
    blobs: HashMap<Digest, BlobState>,
    nodes: HashMap<NodeIndex, NodeState>,
}

/// The table of all nodes and blobs of a run.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    state: Mutex<State>,
    changed: Notify,
}

/// What a worker may do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// This.
    Do(T),
    /// Nothing now; something may come.
    Wait,
    /// The node has all its blobs.
    Done,
}

impl Schedule {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node begins, or begins anew: it has these blobs and lacks those.
    pub(super) fn begin(&self, node: NodeIndex, present: &[Descriptor], missing: Vec<Descriptor>) {
        let mut state = self.lock();
        for blob in state.blobs.values_mut() {
            blob.holders.retain(|&n| n != node);
            blob.sender = blob.sender.filter(|&n| n != node);
        }
        for blob in present {
            state.blobs.entry(blob.digest.clone()).or_default().holders.push(node);
        }
        let entry = state.nodes.entry(node).or_default();
        entry.pending = missing;
        entry.busy = 0;
        drop(state);
        self.changed.notify_waiters();
    }

    /// A node leaves before it is done: what it was sending is free for others.
    pub(super) fn leave(&self, node: NodeIndex) {
        self.begin(node, &[], Vec::new());
    }

    /// What to upload to a node next.
    pub(super) fn next_upload(&self, node: NodeIndex) -> Next<Descriptor> {
        let mut state = self.lock();
        let State { blobs, nodes } = &mut *state;
        let Some(own) = nodes.get_mut(&node) else { return Next::Done };
        let free = |digest: &Digest| blobs.get(digest).is_none_or(|b| b.sender.is_none() && b.holders.iter().all(|holder| own.unreachable.contains(holder)));
        if let Some(at) = own.pending.iter().position(|blob| free(&blob.digest)) {
            let blob = own.pending.remove(at);
            own.busy += 1;
            blobs.entry(blob.digest.clone()).or_default().sender = Some(node);
            return Next::Do(blob);
        }
        if own.pending.is_empty() && own.busy == 0 { Next::Done } else { Next::Wait }
    }

    /// What a node takes from which other node next.
    pub(super) fn next_fetch(&self, node: NodeIndex) -> Next<(Descriptor, NodeIndex)> {
        let mut state = self.lock();
        let State { blobs, nodes } = &mut *state;
        let Some(own) = nodes.get_mut(&node) else { return Next::Done };
        for at in 0..own.pending.len() {
            let Some(blob) = blobs.get(&own.pending[at].digest) else { continue };
            let reachable: Vec<NodeIndex> = blob.holders.iter().copied().filter(|holder| !own.unreachable.contains(holder)).collect();
            if reachable.is_empty() {
                continue;
            }
            // Spread over all who have it.
            let holder = reachable[node % reachable.len()];
            own.busy += 1;
            return Next::Do((own.pending.remove(at), holder));
        }
        if own.pending.is_empty() && own.busy == 0 { Next::Done } else { Next::Wait }
    }

    /// A node has a blob now.
    pub(super) fn arrived(&self, node: NodeIndex, digest: &Digest) {
        let mut state = self.lock();
        let blob = state.blobs.entry(digest.clone()).or_default();
        blob.sender = blob.sender.filter(|&n| n != node);
        if !blob.holders.contains(&node) {
            blob.holders.push(node);
        }
        if let Some(own) = state.nodes.get_mut(&node) {
            own.busy = own.busy.saturating_sub(1);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A blob did not arrive. `peer`: who could not be reached. False: it has failed too often.
    pub(super) fn failed(&self, node: NodeIndex, blob: Descriptor, peer: Option<NodeIndex>) -> bool {
        let mut state = self.lock();
        if let Some(entry) = state.blobs.get_mut(&blob.digest) {
            entry.sender = entry.sender.filter(|&n| n != node);
        }
        let own = state.nodes.entry(node).or_default();
        own.busy = own.busy.saturating_sub(1);
        let again = if let Some(peer) = peer {
            own.unreachable.insert(peer);
            true
        } else {
            let attempts = own.attempts.entry(blob.digest.clone()).or_default();
            *attempts += 1;
            *attempts < ATTEMPTS
        };
        own.pending.insert(0, blob);
        drop(state);
        self.changed.notify_waiters();
        again
    }

    /// Asks until there is something to do. None: the node has all its blobs.
    pub(super) async fn wait<T>(&self, mut next: impl FnMut(&Self) -> Next<T>) -> Option<T> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            match next(self) {
                Next::Do(work) => return Some(work),
                Next::Done => return None,
                Next::Wait => changed.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::OCI_LAYER_GZIP;

    fn blobs(names: &[&str]) -> Vec<Descriptor> {
        names.iter().map(|n| Descriptor::of(OCI_LAYER_GZIP, n.as_bytes())).collect()
    }

    #[test]
    fn each_blob_goes_up_once_and_then_from_node_to_node() {
        let [a, b]: [Descriptor; 2] = blobs(&["a", "b"]).try_into().unwrap();
        let table = Schedule::default();
        table.begin(0, &[], vec![a.clone(), b.clone()]);
        table.begin(1, &[], vec![a.clone(), b.clone()]);
        assert_eq!(table.next_upload(0), Next::Do(a.clone()));
        assert_eq!(table.next_upload(1), Next::Do(b.clone()));
        assert_eq!(table.next_upload(0), Next::Wait);
        assert_eq!(table.next_fetch(1), Next::Wait);
        table.arrived(0, &a.digest);
        assert_eq!(table.next_upload(1), Next::Wait);
        assert_eq!(table.next_fetch(1), Next::Do((a.clone(), 0)));
        table.arrived(1, &a.digest);
        table.arrived(1, &b.digest);
        assert_eq!(table.next_fetch(0), Next::Do((b.clone(), 1)));
        table.arrived(0, &b.digest);
        assert_eq!(table.next_upload(0), Next::Done);
        assert_eq!(table.next_fetch(1), Next::Done);
    }

    #[test]
    fn what_a_node_has_already_is_not_uploaded_at_all() {
        let all = blobs(&["a"]);
        let table = Schedule::default();
        table.begin(0, &all, Vec::new());
        table.begin(1, &[], all.clone());
        assert_eq!(table.next_upload(1), Next::Wait);
        assert_eq!(table.next_fetch(1), Next::Do((all[0].clone(), 0)));
    }

    #[test]
    fn a_peer_that_cannot_be_reached_is_left_out() {
        let all = blobs(&["a", "b"]);
        let table = Schedule::default();
        table.begin(0, &all, Vec::new());
        table.begin(1, &[], all.clone());
        assert_eq!(table.next_fetch(1), Next::Do((all[0].clone(), 0)));
        assert!(table.failed(1, all[0].clone(), Some(0)));
        assert_eq!(table.next_fetch(1), Next::Wait);
        assert_eq!(table.next_upload(1), Next::Do(all[0].clone()));
        assert_eq!(table.next_upload(1), Next::Do(all[1].clone()));
    }

    #[test]
    fn who_leaves_frees_what_it_was_sending_and_a_blob_may_fail_twice() {
        let all = blobs(&["a"]);
        let table = Schedule::default();
        table.begin(0, &[], all.clone());
        table.begin(1, &[], all.clone());
        assert_eq!(table.next_upload(0), Next::Do(all[0].clone()));
        assert_eq!(table.next_upload(1), Next::Wait);
        table.leave(0);
        for again in [true, true, false] {
            assert_eq!(table.next_upload(1), Next::Do(all[0].clone()));
            assert_eq!(table.failed(1, all[0].clone(), None), again);
        }
    }
}

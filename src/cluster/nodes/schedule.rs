//! Which blob goes to which node, and by which way: up the API server once, from there on from node to node.
//!
//! Any stream of any node takes the first blob that its node lacks and that nobody has or sends; any node takes from another what that has.
//! So uploads spread over the nodes by themselves, each byte goes up once, and a node that is quick serves the others.
//!
//! Some blobs are only on nodes, and not on this side. They are passed on and never uploaded; who has them stays until nobody needs them any more.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
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
    /// Nodes that are taking it from another.
    takers: HashSet<NodeIndex>,
}

#[derive(Debug, Default)]
struct NodeState {
    /// Whether it has said what it has.
    known: bool,
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
    /// How many nodes there will be.
    count: usize,
    /// Blobs that are on some node and not on this side.
    passed_on: BTreeSet<Digest>,
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
    /// For so many nodes, and with blobs that only nodes have.
    pub(super) fn new(count: usize, passed_on: BTreeSet<Digest>) -> Self {
        Self { count, passed_on, ..Self::default() }
    }

    /// Whether a blob cannot be uploaded.
    pub(super) fn is_passed_on(&self, digest: &Digest) -> bool {
        self.passed_on.contains(digest)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node begins, or begins anew: it has these blobs and lacks those.
    pub(super) fn begin(&self, node: NodeIndex, present: &[Descriptor], missing: Vec<Descriptor>) {
        self.enter(node, present, missing, true);
    }

    fn enter(&self, node: NodeIndex, present: &[Descriptor], missing: Vec<Descriptor>, known: bool) {
        let mut state = self.lock();
        for blob in state.blobs.values_mut() {
            blob.holders.retain(|&n| n != node);
            blob.sender = blob.sender.filter(|&n| n != node);
            blob.takers.remove(&node);
        }
        for blob in present {
            state.blobs.entry(blob.digest.clone()).or_default().holders.push(node);
        }
        let entry = state.nodes.entry(node).or_default();
        entry.pending = missing;
        entry.busy = 0;
        entry.known = known;
        drop(state);
        self.changed.notify_waiters();
    }

    /// A node leaves before it is done: what it was sending is free for others. It may come back and have what others need.
    pub(super) fn leave(&self, node: NodeIndex) {
        self.enter(node, &[], Vec::new(), false);
    }

    /// What to upload to a node next.
    pub(super) fn next_upload(&self, node: NodeIndex) -> Next<Descriptor> {
        let mut state = self.lock();
        let State { blobs, nodes } = &mut *state;
        let Some(own) = nodes.get_mut(&node) else { return Next::Done };
        let free = |digest: &Digest| blobs.get(digest).is_none_or(|b| b.sender.is_none() && b.holders.iter().all(|holder| own.unreachable.contains(holder)));
        if let Some(at) = own.pending.iter().position(|blob| !self.passed_on.contains(&blob.digest) && free(&blob.digest)) {
            let blob = own.pending.remove(at);
            own.busy += 1;
            blobs.entry(blob.digest.clone()).or_default().sender = Some(node);
            return Next::Do(blob);
        }
        if own.pending.is_empty() && own.busy == 0 { Next::Done } else { Next::Wait }
    }

    /// What a node takes from which other node next; from none, if it can be had nowhere any more.
    pub(super) fn next_fetch(&self, node: NodeIndex) -> Next<(Descriptor, Option<NodeIndex>)> {
        let mut state = self.lock();
        let nowhere = self.nowhere(&state, node);
        let State { blobs, nodes } = &mut *state;
        let Some(own) = nodes.get_mut(&node) else { return Next::Done };
        for at in 0..own.pending.len() {
            let Some(blob) = blobs.get_mut(&own.pending[at].digest) else { continue };
            let reachable: Vec<NodeIndex> = blob.holders.iter().copied().filter(|holder| !own.unreachable.contains(holder)).collect();
            if reachable.is_empty() {
                continue;
            }
            // Spread over all who have it.
            let holder = reachable[node % reachable.len()];
            own.busy += 1;
            blob.takers.insert(node);
            return Next::Do((own.pending.remove(at), Some(holder)));
        }
        if let Some(blob) = nowhere {
            return Next::Do((blob, None));
        }
        if own.pending.is_empty() && own.busy == 0 { Next::Done } else { Next::Wait }
    }

    /// A blob that a node waits for and that no node that it can reach has, or will have.
    fn nowhere(&self, state: &State, node: NodeIndex) -> Option<Descriptor> {
        let own = state.nodes.get(&node)?;
        own.pending.iter().find(|blob| self.passed_on.contains(&blob.digest) && !self.may_come(state, node, &blob.digest)).cloned()
    }

    /// Whether a node may still get a blob, be it by way of others that wait for it as well.
    fn may_come(&self, state: &State, node: NodeIndex, digest: &Digest) -> bool {
        let unknown = (0..self.count).filter(|index| state.nodes.get(index).is_none_or(|node| !node.known));
        let blob = state.blobs.get(digest);
        let mut sources: HashSet<NodeIndex> = blob.into_iter().flat_map(|blob| blob.holders.iter().chain(&blob.takers).copied()).chain(unknown).collect();
        loop {
            let reaches = |own: &NodeState| sources.iter().any(|source| !own.unreachable.contains(source));
            let waits = |own: &NodeState| own.pending.iter().any(|blob| blob.digest == *digest);
            let more: Vec<NodeIndex> =
                state.nodes.iter().filter(|(index, own)| !sources.contains(index) && waits(own) && reaches(own)).map(|(index, _)| *index).collect();
            if more.is_empty() {
                return sources.contains(&node);
            }
            sources.extend(more);
        }
    }

    /// Whether a node may go: it may be the only one that has what another still needs.
    pub(super) fn may_go(&self) -> Next<()> {
        let state = self.lock();
        let known = (0..self.count).all(|index| state.nodes.get(&index).is_some_and(|node| node.known));
        let waits = |node: &NodeState| node.pending.iter().any(|blob| self.passed_on.contains(&blob.digest));
        let takes = |digest| state.blobs.get(digest).is_some_and(|blob| !blob.takers.is_empty());
        let needed = !known || state.nodes.values().any(waits) || self.passed_on.iter().any(takes);
        if needed && !self.passed_on.is_empty() { Next::Wait } else { Next::Done }
    }

    /// A node has a blob now.
    pub(super) fn arrived(&self, node: NodeIndex, digest: &Digest) {
        let mut state = self.lock();
        let blob = state.blobs.entry(digest.clone()).or_default();
        blob.sender = blob.sender.filter(|&n| n != node);
        blob.takers.remove(&node);
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
            entry.takers.remove(&node);
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
        assert_eq!(table.next_fetch(1), Next::Do((a.clone(), Some(0))));
        table.arrived(1, &a.digest);
        table.arrived(1, &b.digest);
        assert_eq!(table.next_fetch(0), Next::Do((b.clone(), Some(1))));
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
        assert_eq!(table.next_fetch(1), Next::Do((all[0].clone(), Some(0))));
    }

    #[test]
    fn a_peer_that_cannot_be_reached_is_left_out() {
        let all = blobs(&["a", "b"]);
        let table = Schedule::default();
        table.begin(0, &all, Vec::new());
        table.begin(1, &[], all.clone());
        assert_eq!(table.next_fetch(1), Next::Do((all[0].clone(), Some(0))));
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

    fn passing(count: usize, blobs: &[Descriptor]) -> Schedule {
        Schedule::new(count, blobs.iter().map(|blob| blob.digest.clone()).collect())
    }

    #[test]
    fn what_only_nodes_have_is_passed_on_and_never_uploaded() {
        let all = blobs(&["a", "b"]);
        let table = passing(2, &all[..1]);
        table.begin(1, &[], all.clone());
        assert_eq!(table.next_upload(1), Next::Do(all[1].clone()));
        assert_eq!((table.next_upload(1), table.next_fetch(1)), (Next::Wait, Next::Wait), "node 0 may have it");
        assert_eq!(table.may_go(), Next::Wait);
        table.begin(0, &all, Vec::new());
        assert_eq!(table.may_go(), Next::Wait, "node 1 needs it");
        assert_eq!(table.next_fetch(1), Next::Do((all[0].clone(), Some(0))));
        assert_eq!(table.may_go(), Next::Wait, "node 1 takes it");
        table.arrived(1, &all[0].digest);
        assert_eq!(table.may_go(), Next::Done);
        assert_eq!(passing(2, &[]).may_go(), Next::Done, "nobody waits for nothing");
    }

    #[test]
    fn what_can_be_had_nowhere_is_told() {
        let all = blobs(&["a"]);
        let table = passing(3, &all);
        table.begin(0, &all, Vec::new());
        table.begin(1, &[], all.clone());
        assert_eq!(table.next_fetch(1), Next::Do((all[0].clone(), Some(0))));
        assert!(table.failed(1, all[0].clone(), Some(0)));
        assert_eq!(table.next_fetch(1), Next::Wait, "node 2 may have it");
        table.begin(2, &[], all.clone());
        assert_eq!(table.next_fetch(1), Next::Wait, "node 2 may get it");
        assert_eq!(table.next_fetch(2), Next::Do((all[0].clone(), Some(0))));
        assert_eq!(table.next_fetch(1), Next::Wait, "node 2 takes it");
        assert!(table.failed(2, all[0].clone(), Some(0)));
        for node in [1, 2] {
            assert_eq!(table.next_fetch(node), Next::Do((all[0].clone(), None)), "both wait for each other");
        }
        // Who lost its connection may come back with it.
        table.leave(2);
        assert_eq!(table.next_fetch(1), Next::Wait);
        table.begin(2, &all, Vec::new());
        assert_eq!(table.next_fetch(1), Next::Do((all[0].clone(), Some(2))));
    }
}

//! One node's part of an import, from its Job to the proof that the kubelet finds every name.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use kube::Client;
use offline_agent::{Blob, FailureCode, Outcome, PEER_PORT, Progress, Task};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::sleep,
};
use tracing::debug;

use super::{
    Blobs, Holdings, ImportOptions, NodeOutcome, NodesError,
    bootstrap::{AgentSecrets, RunningPod, Site},
    control::{Control, Place, Trouble},
    exec,
    plan::NodePlan,
    schedule::{NodeIndex, Schedule},
    upload::{Fate, SMALL, Upload},
};
use crate::{
    oci::Descriptor,
    progress::{Event, SharedReporter},
};

/// How often a node may lose its connection; each time the import goes on where it stopped.
const ATTEMPTS: u32 = 4;

/// Blobs that a node takes from others at a time.
const LANES: usize = 2;

/// What all nodes of a run share.
pub(super) struct Run {
    pub(super) client: Client,
    pub(super) options: ImportOptions,
    pub(super) site: Site,
    pub(super) blobs: Arc<dyn Blobs>,
    pub(super) reporter: SharedReporter,
    pub(super) schedule: Schedule,
    pub(super) peers: Mutex<HashMap<NodeIndex, String>>,
    pub(super) nodes: usize,
    /// When containerd may drop the lease by itself, should we not come to it.
    pub(super) expires: String,
}

/// Bytes, counted.
#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    from_peers: AtomicU64,
    /// Bytes that are where they should be, however they got there.
    done: AtomicU64,
    total: AtomicU64,
    /// Whether anything was said about unpacking.
    unpacking: AtomicBool,
}

/// One node at work.
pub(super) struct NodeRun {
    pub(super) run: Arc<Run>,
    pub(super) plan: NodePlan,
    pub(super) index: NodeIndex,
    tally: Arc<Tally>,
}

impl NodeRun {
    pub(super) fn new(run: Arc<Run>, plan: NodePlan, index: NodeIndex) -> Self {
        Self { run, plan, index, tally: Arc::default() }
    }

    /// Does all of it.
    pub(super) async fn import(self, secrets: &AgentSecrets) -> Result<NodeOutcome, NodesError> {
        let started = Instant::now();
        let RunningPod { name: pod, mut stream } = self.run.site.start(self.index, &self.plan, secrets).await?;
        debug!(node = self.plan.node, pod, "the agent runs");
        let mut attempt = 1;
        let done = loop {
            match self.session(&pod, stream.take()).await {
                Ok(done) => break done,
                Err(trouble) => {
                    self.run.schedule.leave(self.index);
                    match trouble {
                        Trouble::Again(e) if attempt < ATTEMPTS => {
                            self.run.site.still_runs(&pod, &self.plan.node).await?;
                            self.run.reporter.warn(format!("{e}; going on where it stopped"));
                        }
                        Trouble::Again(e) | Trouble::Fatal(e) => return Err(e),
                    }
                }
            }
            sleep(Duration::from_secs(1 << attempt.min(4)) / 2).await;
            attempt += 1;
        };
        let outcome = NodeOutcome {
            node: self.plan.node.clone(),
            runtime: self.plan.runtime.clone(),
            bytes_sent: self.tally.sent.load(Ordering::Relaxed),
            bytes_from_peers: self.tally.from_peers.load(Ordering::Relaxed),
            blobs: done.blobs,
            changes: done.changes,
            names_proven: self.plan.work.names.len(),
            names_pinned: done.pinned,
            elapsed: started.elapsed(),
        };
        self.event(|task| Event::Finished { task, note: note(&outcome) });
        Ok(outcome)
    }

    /// Asks what it holds of what it would get, and does nothing.
    pub(super) async fn look(self, secrets: &AgentSecrets) -> Result<Holdings, NodesError> {
        let RunningPod { name: pod, stream } = self.run.site.start(self.index, &self.plan, secrets).await?;
        let lacking = self.ask_holdings(&pod, stream).await.map_err(|(Trouble::Again(error) | Trouble::Fatal(error))| error)?;
        let all = self.plan.work.blobs.iter().map(|blob| blob.digest.clone());
        let (lacking, held) = all.partition(|digest| lacking.contains(digest.as_str()));
        Ok(Holdings { node: self.plan.node.clone(), platform: self.plan.platform.clone(), held, lacking })
    }

    async fn ask_holdings(&self, pod: &str, stream: Option<exec::Stream>) -> Result<BTreeSet<String>, Trouble> {
        let control = self.control(pod, stream).await?;
        control.call(Task::Begin { lease: self.lease(), expires: self.run.expires.clone() }).await?;
        let blobs = self.plan.work.blobs.iter().map(name).collect();
        let found = match control.call(Task::Missing { lease: self.lease(), blobs }).await? {
            Outcome::Missing { blobs } => blobs,
            other => return Err(control.place.confused(&other)),
        };
        control.call(Task::End { lease: self.lease(), collect: false }).await?;
        Ok(found.into_iter().map(|blob| blob.digest).collect())
    }

    async fn control(&self, pod: &str, stream: Option<exec::Stream>) -> Result<Control, Trouble> {
        let place = Place { node: self.plan.node.clone(), namespace: self.run.site.namespace().to_owned(), pod: pod.to_owned() };
        match stream {
            Some(stream) => Ok(Control::over(stream, place)),
            None => Control::open(&self.run.client, place).await,
        }
    }

    fn lease(&self) -> String {
        format!("offline-{}", self.run.options.run)
    }

    fn event(&self, event: impl FnOnce(String) -> Event) {
        self.run.reporter.event(event(self.plan.node.clone()));
    }

    /// `stream`: a control stream that is open already.
    async fn session(&self, pod: &str, stream: Option<exec::Stream>) -> Result<Done, Trouble> {
        let control = self.control(pod, stream).await?;
        let place = control.place.clone();
        if let Some(ip) = control.address.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()) {
            let address = SocketAddr::new(ip, PEER_PORT).to_string();
            self.run.peers.lock().unwrap_or_else(PoisonError::into_inner).insert(self.index, address);
        }
        debug!(node = self.plan.node, "connected");
        control.call(Task::Begin { lease: self.lease(), expires: self.run.expires.clone() }).await?;
        let missing = self.missing(&control).await?;
        let blobs = missing.len();
        debug!(node = self.plan.node, blobs, "missing");
        let (small, large): (Vec<Descriptor>, Vec<Descriptor>) =
            missing.into_iter().partition(|b| b.size <= SMALL && !self.run.schedule.is_passed_on(&b.digest));
        let present = self.plan.work.blobs.iter().filter(|b| !large.contains(b) && !small.contains(b)).cloned().collect::<Vec<_>>();
        self.run.schedule.begin(self.index, &present, large.clone());
        let import = control
            .ask(Task::Import { lease: self.lease(), images: self.plan.work.images.clone(), parallel: self.run.options.unpack }, Some(self.unpack_progress()));
        let imported = async {
            match import.await? {
                Outcome::Imported { unpacked, recorded } => Ok(unpacked + recorded),
                Outcome::Failed(failure) => Err(place.failed(failure)),
                other => Err(place.confused(&other)),
            }
        };
        let (changes, ()) = match tokio::try_join!(imported, self.transfer(&control, &small, large.is_empty())) {
            Ok(done) => done,
            Err(trouble) => {
                if let Trouble::Fatal(NodesError::Full { .. }) = trouble {
                    // Other failures leave what has arrived for the next attempt, for a day. A full disk must get its space back now.
                    // Should that fail as well, the lease runs out by itself.
                    let _ = control.call(Task::End { lease: self.lease(), collect: true }).await;
                }
                return Err(trouble);
            }
        };
        debug!(node = self.plan.node, changes, "imported");
        if self.tally.unpacking.load(Ordering::Relaxed) {
            self.event(|node| Event::Finished { task: format!("{node}: unpacking"), note: "unpacked".to_owned() });
        }
        let pinned = self.prove(&control).await?;
        debug!(node = self.plan.node, pinned, "proven");
        // What it has, another may still need.
        self.run.schedule.wait(Schedule::may_go).await;
        // Last: until here nothing else may hold what was imported.
        control.call(Task::End { lease: self.lease(), collect: false }).await?;
        Ok(Done { blobs, changes, pinned })
    }

    /// Which blobs the node lacks, in the order in which they shall come.
    async fn missing(&self, control: &Control) -> Result<Vec<Descriptor>, Trouble> {
        let blobs = self.plan.work.blobs.iter().map(name).collect();
        let found = match control.call(Task::Missing { lease: self.lease(), blobs }).await? {
            Outcome::Missing { blobs } => blobs,
            other => return Err(control.place.confused(&other)),
        };
        let missing: Vec<Descriptor> = self.plan.work.blobs.iter().filter(|b| found.iter().any(|f| f.digest == b.digest.as_str())).cloned().collect();
        let left: u64 = missing.iter().map(|b| b.size).sum();
        let first = self.tally.total.fetch_max(left, Ordering::Relaxed);
        let total = first.max(left);
        self.tally.done.store(total - left, Ordering::Relaxed);
        if first == 0 {
            self.event(|task| Event::Started { task, total: Some(left) });
        }
        Ok(missing)
    }

    fn advance(&self, bytes: u64) {
        let done = self.tally.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let done = done.min(self.tally.total.load(Ordering::Relaxed));
        self.event(|task| Event::Advanced { task, done });
    }

    fn unpack_progress(&self) -> Box<dyn Fn(Progress) + Send> {
        let (reporter, task) = (Arc::clone(&self.run.reporter), format!("{}: unpacking", self.plan.node));
        let tally = Arc::clone(&self.tally);
        let total: u64 = self.plan.work.blobs.iter().map(|b| b.size).sum();
        Box::new(move |progress| {
            if !tally.unpacking.swap(true, Ordering::Relaxed) {
                reporter.event(Event::Started { task: task.clone(), total: Some(total.max(progress.total)) });
            }
            reporter.event(Event::Advanced { task: task.clone(), done: progress.done });
        })
    }

    /// Brings everything that is missing, by uploads and from other nodes, side by side.
    async fn transfer(&self, control: &Control, small: &[Descriptor], only_small: bool) -> Result<(), Trouble> {
        if only_small && small.is_empty() {
            return Ok(());
        }
        let streams = if only_small { 1 } else { self.run.options.streams.clamp(1, 16) };
        let (tell, fates) = mpsc::unbounded_channel();
        // The settling ends when the last upload has dropped its end of the channel.
        let uploads = try_join_all((0..streams).map(|i| self.uploads(control, if i == 0 { small } else { &[] }, tell.clone())));
        drop(tell);
        let alone = self.run.nodes == 1 && self.run.options.passed_on.is_empty();
        let lanes = if alone { 0 } else { LANES };
        let fetches = try_join_all((0..lanes).map(|_| self.fetches(control)));
        tokio::try_join!(uploads, fetches, self.settle(control, fates)).map(|_| ())
    }

    async fn uploads(&self, control: &Control, small: &[Descriptor], fates: UnboundedSender<Fate>) -> Result<(), Trouble> {
        let advance = |bytes: u64, sent: bool| {
            if sent {
                self.tally.sent.fetch_add(bytes, Ordering::Relaxed);
            }
            self.advance(bytes);
        };
        let mut open: Option<Upload> = None;
        if !small.is_empty() {
            let mut upload = self.open(control, &fates).await?;
            upload.small(small, &advance).await?;
            control.tell(Task::Arrived { digests: small.iter().map(|b| b.digest.to_string()).collect() }).await?;
            open = Some(upload);
        }
        loop {
            let next = self.run.schedule.wait(|schedule| schedule.next_upload(self.index));
            let next = match &mut open {
                Some(upload) if upload.waits() => tokio::select! {
                    // What became of the last ones first: the schedule waits for that, too.
                    biased;
                    heard = upload.listen() => {
                        heard?;
                        None
                    }
                    next = next => Some(next),
                },
                _ => Some(next.await),
            };
            match next {
                Some(None) => break,
                Some(Some(blob)) => {
                    let upload = match &mut open {
                        Some(upload) => upload,
                        none => none.insert(self.open(control, &fates).await?),
                    };
                    upload.blob(blob, &advance).await?;
                }
                None => {}
            }
        }
        if let Some(upload) = open {
            upload.close().await;
        }
        Ok(())
    }

    async fn open(&self, control: &Control, fates: &UnboundedSender<Fate>) -> Result<Upload, Trouble> {
        Upload::open(&self.run.client, control.place.clone(), self.lease(), Arc::clone(&self.run.blobs), fates.clone()).await
    }

    /// Writes down what became of blobs, and tells the import.
    async fn settle(&self, control: &Control, mut fates: UnboundedReceiver<Fate>) -> Result<(), Trouble> {
        while let Some(fate) = fates.recv().await {
            match fate {
                Fate::Stored(blob) => {
                    self.run.schedule.arrived(self.index, &blob.digest);
                    control.tell(Task::Arrived { digests: vec![blob.digest.to_string()] }).await?;
                }
                Fate::Failed(blob, failure) => {
                    let again = failure.code == FailureCode::Content && self.run.schedule.failed(self.index, blob, None);
                    if !again {
                        return Err(control.place.failed(failure));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes blobs from other nodes as long as there are any to be had.
    async fn fetches(&self, control: &Control) -> Result<(), Trouble> {
        while let Some((blob, holder)) = self.run.schedule.wait(|schedule| schedule.next_fetch(self.index)).await {
            let Some(holder) = holder else {
                return Err(Trouble::Fatal(NodesError::NotPassedOn { node: self.plan.node.clone(), digest: blob.digest }));
            };
            let peer = self.run.peers.lock().unwrap_or_else(PoisonError::into_inner).get(&holder).cloned();
            let Some(peer) = peer else {
                self.run.schedule.failed(self.index, blob, Some(holder));
                continue;
            };
            let task = Task::Fetch { lease: self.lease(), peer: peer.clone(), token: self.run.site.token().to_owned(), blob: name(&blob) };
            match control.ask(task, None).await? {
                Outcome::Fetched { bytes } => {
                    self.tally.from_peers.fetch_add(bytes, Ordering::Relaxed);
                    self.advance(blob.size);
                    self.run.schedule.arrived(self.index, &blob.digest);
                }
                Outcome::Failed(failure) => {
                    let peer = (failure.code == FailureCode::Peer).then_some(holder);
                    if peer.is_some() {
                        let instead = if self.run.schedule.is_passed_on(&blob.digest) { "" } else { "; its blobs come through the API server" };
                        self.run.reporter.note(format!("{}: {}{instead}", self.plan.node, failure.message));
                    }
                    if !matches!(failure.code, FailureCode::Peer | FailureCode::Content) || !self.run.schedule.failed(self.index, blob, peer) {
                        return Err(control.place.failed(failure));
                    }
                }
                other => return Err(control.place.confused(&other)),
            }
        }
        Ok(())
    }

    /// Asks CRI for every name. Returns how many are pinned.
    async fn prove(&self, control: &Control) -> Result<usize, Trouble> {
        let proofs = match control.call(Task::Prove { names: self.plan.work.names.clone() }).await? {
            Outcome::Proven { proofs } => proofs,
            other => return Err(control.place.confused(&other)),
        };
        let found = |name: &String| proofs.iter().any(|p| p.name == *name && p.id.is_some());
        let lacking: Vec<String> = self.plan.work.names.iter().filter(|n| !found(n)).cloned().collect();
        if lacking.is_empty() {
            return Ok(proofs.iter().filter(|p| p.pinned).count());
        }
        Err(Trouble::Fatal(NodesError::NotProven { node: self.plan.node.clone(), names: lacking.join(", ") }))
    }
}

struct Done {
    blobs: usize,
    changes: u64,
    pinned: usize,
}

fn name(blob: &Descriptor) -> Blob {
    Blob { digest: blob.digest.to_string(), size: blob.size }
}

fn note(outcome: &NodeOutcome) -> String {
    let moved = outcome.bytes_sent + outcome.bytes_from_peers;
    let names = outcome.names_proven;
    if moved == 0 && outcome.changes == 0 {
        return format!("has everything; {names} names proven");
    }
    format!("{} bytes sent, {} from other nodes, {names} names proven in {:.1} s", outcome.bytes_sent, outcome.bytes_from_peers, outcome.elapsed.as_secs_f64())
}

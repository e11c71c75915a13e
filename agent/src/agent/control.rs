//! The control stream: requests in, answers out, as many at a time as are asked.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use offline_agent::{Found, Frame, Image, Outcome, Progress, Proof, Request, Response, Task, kind};
use tokio::time::{Instant, interval, sleep};

use crate::{
    containerd::{Containerd, Descriptor},
    error::{Error, Result},
    flush,
    import::{Arrivals, Importer, Meter},
    peer,
    stdio::{self, Input, Output},
};

/// How long CRI may take to see a new name: it follows containerd's events.
const VISIBLE: Duration = Duration::from_secs(15);
/// After which a name that is not seen is written again, for another event.
const NUDGE: Duration = Duration::from_secs(2);

/// What the requests of a stream share.
#[derive(Clone)]
struct Control {
    containerd: Containerd,
    pod: String,
    arrivals: Arrivals,
    output: Output,
}

/// Runs until the other side quits or goes.
pub(crate) async fn run(socket: &str, pod: String) -> Result<()> {
    let mut input = Input::open()?;
    let containerd = Containerd::connect(socket).await?;
    let (output, writer) = Output::open()?;
    let control = Control { containerd, pod, arrivals: Arrivals::new(), output: output.clone() };
    while let Some(frame) = input.next().await? {
        match frame.kind {
            kind::REQUEST => {
                let request: Request = frame.as_json().map_err(|e| Error::protocol(e.to_string()))?;
                let control = control.clone();
                tokio::spawn(async move {
                    let id = request.id;
                    let outcome = control.answer(request).await.unwrap_or_else(|e| Outcome::Failed(e.into_failure()));
                    control.output.send(Frame::json(kind::RESPONSE, &Response { id, outcome })).await;
                });
            }
            kind::QUIT => break,
            kind::ALIVE => {}
            other => return Err(Error::protocol(format!("frame {:?} does not belong on a control stream", char::from(other)))),
        }
    }
    drop(control);
    stdio::finish(output, writer).await;
    Ok(())
}

impl Control {
    async fn answer(&self, request: Request) -> Result<Outcome> {
        match request.task {
            Task::Begin { lease, expires } => {
                self.containerd.create_lease(&lease, &expires).await?;
                Ok(Outcome::Begun { version: self.containerd.version().await?, snapshotter: self.containerd.snapshotter(&self.pod).await? })
            }
            Task::Missing { lease, blobs } => {
                let mut missing = Vec::new();
                for blob in blobs {
                    if self.containerd.size(&blob.digest).await?.is_some() {
                        self.containerd.hold(&lease, &blob.digest).await?;
                    } else {
                        missing.push(Found { offset: self.containerd.ingested(&blob.digest).await, digest: blob.digest });
                    }
                }
                Ok(Outcome::Missing { blobs: missing })
            }
            Task::Import { lease, images, parallel } => self.import(request.id, &lease, images, parallel).await,
            Task::Arrived { digests } => {
                self.arrivals.add(digests);
                Ok(Outcome::Done)
            }
            Task::Fetch { lease, peer, token, blob } => {
                let id = request.id;
                let total = blob.size;
                let tell = |done| self.output.offer(Frame::json(kind::PROGRESS, &Progress { id, done, total }));
                let bytes = peer::fetch(&self.containerd.under(&lease), &peer, &token, &blob, tell).await?;
                self.containerd.hold(&lease, &blob.digest).await?;
                self.arrivals.add([blob.digest]);
                Ok(Outcome::Fetched { bytes })
            }
            Task::Prove { names } => self.prove(names).await,
            Task::End { lease, collect } => self.containerd.delete_lease(&lease, collect).await.map(|()| Outcome::Done),
        }
    }

    async fn import(&self, id: u64, lease: &str, images: Vec<Image>, parallel: usize) -> Result<Outcome> {
        let snapshotter = self.containerd.snapshotter(&self.pod).await?;
        let meter = Arc::new(Meter::default());
        let importer = Importer::new(self.containerd.under(lease), snapshotter, self.arrivals.clone(), parallel, Arc::clone(&meter));
        let tell = async {
            let mut tick = interval(Duration::from_millis(250));
            let mut last = 0;
            loop {
                tick.tick().await;
                let (done, total) = (meter.done.load(Ordering::Relaxed), meter.total.load(Ordering::Relaxed));
                if done != last {
                    last = done;
                    self.output.offer(Frame::json(kind::PROGRESS, &Progress { id, done, total }));
                }
            }
        };
        tokio::select! {
            done = importer.run(images) => done?,
            () = tell => {}
            never = flush::now_and_then() => never,
        }
        let (unpacked, recorded) = meter.outcome();
        if unpacked + recorded > 0 {
            flush::begin();
        }
        Ok(Outcome::Imported { unpacked, recorded })
    }

    async fn prove(&self, names: Vec<String>) -> Result<Outcome> {
        let started = Instant::now();
        let mut nudged = false;
        let mut proofs = Vec::with_capacity(names.len());
        for name in names {
            let mut image = self.containerd.image_status(&name).await?;
            while image.is_none() && started.elapsed() < VISIBLE {
                if !nudged && started.elapsed() > NUDGE {
                    nudged = true;
                    self.nudge(&name).await;
                }
                sleep(Duration::from_millis(25)).await;
                image = self.containerd.image_status(&name).await?;
            }
            proofs.push(Proof { pinned: image.as_ref().is_some_and(|i| i.pinned), id: image.map(|i| i.id), name });
        }
        Ok(Outcome::Proven { proofs })
    }

    /// Writes a record again as it is. Should that fail, the proof fails anyway and says so.
    async fn nudge(&self, name: &str) {
        let target: Option<Descriptor> = self.containerd.target(name).await.ok().flatten();
        if let Some(target) = target {
            let _ = self.containerd.touch(name, &target).await;
        }
    }
}

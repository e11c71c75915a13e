//! The control stream: requests to an agent, any number at a time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use kube::Client;
use offline_agent::{Failure, FailureCode, Frame, Outcome, Progress, Request, Response, Task, kind};
use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    task::JoinHandle,
};

use super::{
    NodesError,
    exec::{self, Broken, Purpose},
};

/// Starts further agents from the one that runs: its memory file is the program of process 1. Nothing is joined and hashed again.
pub(super) const AGENT: &str = "/proc/1/exe";

/// What opens a control stream.
pub(super) const COMMAND: [&str; 2] = [AGENT, "control"];

/// How an attempt on a node ended.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Trying again, from where it stopped, may help.
    Again(NodesError),
    /// It will not.
    Fatal(NodesError),
}

/// Where an agent is, for errors.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) node: String,
    pub(super) namespace: String,
    pub(super) pod: String,
}

impl Place {
    pub(super) fn broken(&self, broken: Broken) -> Trouble {
        Trouble::Again(NodesError::Lost { node: self.node.clone(), pod: format!("{}/{}", self.namespace, self.pod), reason: broken.0 })
    }

    pub(super) fn failed(&self, failure: Failure) -> Trouble {
        let (node, reason) = (self.node.clone(), failure.message);
        match failure.code {
            FailureCode::Full => Trouble::Fatal(NodesError::Full { node, reason }),
            FailureCode::Runtime | FailureCode::Peer => Trouble::Again(NodesError::Agent { node, reason }),
            FailureCode::Content | FailureCode::Protocol => Trouble::Fatal(NodesError::Agent { node, reason }),
        }
    }

    /// An answer that does not belong to its question.
    pub(super) fn confused(&self, outcome: &Outcome) -> Trouble {
        Trouble::Fatal(NodesError::Agent { node: self.node.clone(), reason: format!("the agent gives an answer that was not asked for: {outcome:?}") })
    }
}

type OnProgress = Box<dyn Fn(Progress) + Send>;

struct Waiting {
    answer: oneshot::Sender<Outcome>,
    progress: Option<OnProgress>,
}

/// Requests that wait for their answers. `Err`: none will come any more.
type Table = Result<HashMap<u64, Waiting>, Broken>;

/// A control stream.
pub(super) struct Control {
    pub(super) place: Place,
    /// Address of the agent's pod.
    pub(super) address: Option<String>,
    sender: AsyncMutex<exec::Sender>,
    waiting: Arc<Mutex<Table>>,
    next: AtomicU64,
    reader: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Control {
    /// Opens a control stream in an agent's pod.
    pub(super) async fn open(client: &Client, place: Place) -> Result<Self, Trouble> {
        let stream = exec::open(client, &place.namespace, &place.pod, &COMMAND, Purpose::Control).await;
        Ok(Self::over(stream.map_err(|e| place.broken(e))?, place))
    }

    /// Takes a stream that was opened by [`COMMAND`].
    pub(super) fn over(stream: exec::Stream, place: Place) -> Self {
        let exec::Stream { sender, receiver, address } = stream;
        let waiting: Arc<Mutex<Table>> = Arc::new(Mutex::new(Ok(HashMap::new())));
        let reader = tokio::spawn(read(receiver, Arc::clone(&waiting)));
        Self { place, address, sender: AsyncMutex::new(sender), waiting, next: AtomicU64::new(1), reader }
    }

    /// Asks and waits for the answer.
    pub(super) async fn call(&self, task: Task) -> Result<Outcome, Trouble> {
        match self.ask(task, None).await? {
            Outcome::Failed(failure) => Err(self.place.failed(failure)),
            outcome => Ok(outcome),
        }
    }

    /// Asks, hears how it goes, and waits for the answer, which may be a failure.
    pub(super) async fn ask(&self, task: Task, progress: Option<OnProgress>) -> Result<Outcome, Trouble> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        match &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            Ok(table) => table.insert(id, Waiting { answer, progress }),
            Err(broken) => return Err(self.place.broken(broken.clone())),
        };
        self.send(id, task).await?;
        match answered.await {
            Ok(outcome) => Ok(outcome),
            Err(_) => Err(self.place.broken(self.end())),
        }
    }

    /// Says something whose answer does not matter.
    pub(super) async fn tell(&self, task: Task) -> Result<(), Trouble> {
        self.send(0, task).await
    }

    async fn send(&self, id: u64, task: Task) -> Result<(), Trouble> {
        let frame = Frame::json(kind::REQUEST, &Request { id, task });
        self.sender.lock().await.send(&frame).await.map_err(|e| self.place.broken(e))
    }

    fn end(&self) -> Broken {
        match &*self.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            Err(broken) => broken.clone(),
            Ok(_) => Broken("the stream ended".to_owned()),
        }
    }
}

async fn read(mut receiver: exec::Receiver, waiting: Arc<Mutex<Table>>) {
    let broken = loop {
        let frame = match receiver.next().await {
            Ok(frame) => frame,
            Err(broken) => break broken,
        };
        if let Err(e) = dispatch(&frame, &waiting) {
            break Broken(e.to_string());
        }
    };
    // Dropping those who wait tells them.
    *waiting.lock().unwrap_or_else(PoisonError::into_inner) = Err(broken);
}

fn dispatch(frame: &Frame, waiting: &Mutex<Table>) -> Result<(), offline_agent::FrameError> {
    let mut table = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(table) = &mut *table else { return Ok(()) };
    match frame.kind {
        kind::RESPONSE => {
            let response: Response = frame.as_json()?;
            if let Some(waiting) = table.remove(&response.id) {
                // Who asked may have given up.
                let _ = waiting.answer.send(response.outcome);
            }
        }
        kind::PROGRESS => {
            let progress: Progress = frame.as_json()?;
            if let Some(tell) = table.get(&progress.id).and_then(|w| w.progress.as_ref()) {
                tell(progress);
            }
        }
        _ => {}
    }
    Ok(())
}

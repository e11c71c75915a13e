//! `watch`: hears what registries say was pushed, decides whether it concerns a delivery, and exports it, one delivery at a time.
//!
//! Events arrive at the server, wait in the queue and its journal, and leave it as exports. What a sender says decides only whether and
//! which export begins, never what is in it or what is run.

mod desk;
mod event;
mod interest;
mod job;
mod journal;
mod learn;
mod queue;
mod secret;
mod server;
mod tls;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{net::TcpListener, sync::watch::Receiver};

pub use crate::transport::{Upload, UploadError};
pub use event::{EventError, Push, Sender};
pub use job::Then;
pub use journal::JournalError;
pub use tls::TlsFiles;

use self::{
    desk::Desk,
    journal::{Claim, Journal},
    learn::Learned,
    queue::Pauses,
    secret::SharedSecret,
};
use super::charts::ChartAccess;
use crate::{
    cluster::nodes::AgentBinary,
    failure::{Failure, Kind},
    progress::{Event, SharedReporter},
    redact::Secret,
    signing::KeySource,
};

/// What a command that is being run gets to end, once the process is asked to stop.
const GRACE: Duration = Duration::from_secs(30);

/// How often it is looked whether a delivery has changed on the disk.
const LOOK: Duration = Duration::from_secs(30);

/// What to watch.
#[derive(Debug)]
pub struct WatchOptions {
    /// Deliveries, each a delivery.yaml.
    pub deliveries: Vec<PathBuf>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// With what it speaks TLS; without it a proxy does, or nobody.
    pub tls: Option<TlsFiles>,
    /// What every sender must know; without it everybody may send.
    pub secret: Option<Secret<String>>,
    /// What registries are called in the deliveries, by what they call themselves.
    pub aliases: BTreeMap<String, String>,
    /// The archive: a file's name, in which `{name}`, `{version}` and `{time}` are put in.
    pub output: Option<String>,
    /// Private keys to sign with.
    pub keys: Vec<KeySource>,
    /// Their password.
    pub password: Option<Secret<String>>,
    /// What of this machine is needed to reach charts and images.
    pub access: ChartAccess,
    /// Agents that can travel along.
    pub agents: Vec<AgentBinary>,
    /// What follows an export.
    pub then: Then,
    /// Where the queue is kept.
    pub journal: PathBuf,
    /// How long after a push the export waits for others.
    pub quiet: Duration,
    /// How long after a failure it is tried again; doubled each time.
    pub retry: Duration,
}

/// What was done until the process was asked to stop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchOutcome {
    /// Exports that were made and handed on.
    pub exports: u64,
    /// Exports that failed, each try counted.
    pub failures: u64,
    /// Deliveries that still wait; the next run exports them.
    pub waiting: Vec<String>,
}

/// Something about how it was started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the shared secret has {0} characters; wanted at least {min}", min = secret::SECRET_MIN)]
    ShortSecret(usize),
    #[error("{0}")]
    Template(String),
}

/// Watches until it is asked to stop.
pub async fn run(options: WatchOptions, reporter: SharedReporter, mut stop: Receiver<bool>) -> Result<WatchOutcome, Failure> {
    let usage = |error| Failure::new(Kind::Usage, error);
    let short = options.secret.as_ref().map(|secret| secret.expose().len()).filter(|length| *length < secret::SECRET_MIN);
    if let Some(length) = short {
        return Err(usage(StartError::ShortSecret(length)));
    }
    if let Some(template) = &options.output {
        job::check_template(template, options.deliveries.len()).map_err(|text| usage(StartError::Template(text)))?;
    }
    let tls = options.tls.as_ref().map(tls::acceptor).transpose().map_err(|error| Failure::new(Kind::Usage, error))?;
    let names: Vec<String> = options.deliveries.iter().map(|file| file.display().to_string()).collect();
    let journal_failed = |error| Failure::new(Kind::Other, error);
    // Given back when this returns, however long the last connection takes to end.
    let _claim = Claim::of(&options.journal).map_err(journal_failed)?;
    let (journal, mut queue) = Journal::open(&options.journal).map_err(journal_failed)?;
    for gone in queue.retain(&names) {
        reporter.warn(format!("{gone} waited in the journal and is no longer watched"));
    }
    let (mut learned, interests) = tokio::select! {
        learned = Learned::all(&options.deliveries, &options.access) => learned?,
        () = asked(&mut stop) => return Ok(WatchOutcome { waiting: queue.waiting(), ..WatchOutcome::default() }),
    };
    let listen = |source| usage(StartError::Listen { address: options.listen, source });
    let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let pauses = Pauses { quiet: options.quiet.as_secs(), retry: options.retry.as_secs().max(1) };
    let secret = options.secret.as_ref().map(SharedSecret::new);
    let desk = Arc::new(Desk::new((journal, queue), interests, secret, options.aliases.clone(), pauses, reporter.clone()));
    reporter.step(format!("watching {} deliveries, listening on {address}", names.len()));
    let mut outcome = WatchOutcome::default();
    tokio::select! {
        () = server::serve(listener, tls, desk.clone()) => {}
        () = work(&options, &desk, &mut learned, &reporter, stop, &mut outcome) => {}
    }
    outcome.waiting = desk.waiting();
    Ok(outcome)
}

/// Exports what is due, one delivery after the other, until it is asked to stop.
async fn work(options: &WatchOptions, desk: &Desk, learned: &mut Learned, reporter: &SharedReporter, mut stop: Receiver<bool>, outcome: &mut WatchOutcome) {
    loop {
        let Some((name, waiting)) = desk.next() else {
            let pause = desk.due_in().map_or(LOOK, |seconds| Duration::from_secs(seconds.max(1)).min(LOOK));
            tokio::select! {
                () = asked(&mut stop) => return,
                () = desk.woken.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                () = asked(&mut stop) => return,
                () = learned.changed(desk, &options.access, reporter) => {}
            }
            continue;
        };
        let more = if waiting.more > 0 { format!(" and {} more pushes", waiting.more) } else { String::new() };
        reporter.step(format!("exporting {name}, because of {}{more}", waiting.reasons.join(", ")));
        let file = PathBuf::from(&name);
        let done = tokio::select! {
            done = job::export(&file, options, reporter) => done,
            // Dropped, the export leaves no file; the journal has it for the next run.
            () = asked(&mut stop) => return desk.put_back(),
        };
        let handed = match done {
            Ok(exported) => {
                let handing = job::hand_on(&file, &exported, &options.then, reporter);
                tokio::select! {
                    handed = handing => handed.map(|()| exported),
                    () = overdue(&mut stop) => return desk.put_back(),
                }
            }
            Err(failure) => Err(failure),
        };
        match handed {
            Ok(exported) => {
                outcome.exports += 1;
                desk.done();
                let path = exported.path.as_deref().unwrap_or(Path::new("")).display().to_string();
                reporter.event(Event::Note(format!("{path}: {} images, {} bytes", exported.images.len(), exported.size)));
                tokio::select! {
                    () = asked(&mut stop) => return,
                    () = learned.anew(&file, desk, &options.access, reporter) => {}
                }
            }
            Err(failure) => {
                outcome.failures += 1;
                let next = desk.failed().map_or_else(|| "it is given up until the next push".to_owned(), |pause| format!("tried again in {pause} seconds"));
                reporter.warn(format!("{name}: {failure}; {next}"));
            }
        }
    }
}

/// Ends when the process is asked to stop.
async fn asked(stop: &mut Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could ask.
        std::future::pending::<()>().await;
    }
}

/// Ends when the process was asked to stop and what runs has had its time.
async fn overdue(stop: &mut Receiver<bool>) {
    asked(stop).await;
    tokio::time::sleep(GRACE).await;
}

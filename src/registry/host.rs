//! One registry host: the connection with its own TLS options, who asks, how much is asked at a time, and how long is waited.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout},
};

use super::{
    Problem,
    credentials::Credentials,
    endpoint::{Endpoint, HostOptions, is_loopback},
    web::Web,
};

/// Requests to one host at a time; registries limit connections per address.
const PER_HOST: usize = 6;

/// The longest that a document may take, however slowly it drips.
const DOCUMENT_TIME: Duration = Duration::from_mins(2);

/// What comes of asking for a document, which takes its time at most.
pub(super) async fn in_time<T>(asked: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    timeout(DOCUMENT_TIME, asked).await.unwrap_or(Err(Problem::Stalled(DOCUMENT_TIME.as_secs())))
}

/// How much of a registry is put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// No byte for so long, and a transfer counts as stalled.
    pub stall: Duration,
    /// Before the second attempt; doubled before each one after it, up to sixteen times this.
    pub pause: Duration,
    /// The longest wait that a server may ask for.
    pub longest: Duration,
    /// Attempts without progress.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { stall: Duration::from_mins(1), pause: Duration::from_millis(500), longest: Duration::from_mins(2), attempts: 6 }
    }
}

impl Patience {
    /// How long to wait after an attempt that failed, counted from one; none where it is not worth waiting.
    pub(super) fn wait(&self, attempt: u32, problem: &Problem) -> Option<Duration> {
        let own = self.pause * (1 << attempt.saturating_sub(1).min(4));
        let wait = problem.wanted_wait().unwrap_or_default().max(own);
        (attempt < self.attempts && wait <= self.longest.max(own)).then_some(wait)
    }
}

/// A host and the connection to it, made when it is first needed.
pub(super) struct Host {
    name: String,
    options: HostOptions,
    configs: Vec<PathBuf>,
    session: OnceCell<Session>,
    pub(super) patience: Patience,
    /// Whether it has ever answered: what worked once is worth another attempt.
    answered: AtomicBool,
    /// It has asked to be left alone until then.
    rest: Mutex<Option<Instant>>,
    /// Bounds the requests at a time.
    pub(super) slots: Arc<Semaphore>,
}

/// A client that can be used, and for whom.
pub(super) struct Session {
    pub(super) web: Web,
    pub(super) credentials: Credentials,
}

impl Host {
    pub(super) fn new(endpoint: &Endpoint, configs: Vec<PathBuf>, patience: Patience) -> Self {
        Self {
            name: endpoint.host.clone(),
            options: endpoint.options.clone(),
            configs,
            session: OnceCell::new(),
            patience,
            answered: AtomicBool::new(false),
            rest: Mutex::default(),
            slots: Arc::new(Semaphore::new(PER_HOST)),
        }
    }

    /// What an attempt gives, which is made anew while that is decent and may help.
    pub(super) async fn patiently<T, F>(&self, once: impl Fn() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match once().await {
                Err(problem) if self.again(attempt, &problem).await => {}
                ended => return ended,
            }
        }
    }

    /// Whether to try again after an attempt that failed, counted from one; where so, after waiting as long as is decent. A server that has
    /// said how long it wants to be left alone is left alone by everybody.
    pub(super) async fn again(&self, attempt: u32, problem: &Problem) -> bool {
        let worthwhile = problem.is_transient() || (self.answered.load(Ordering::Relaxed) && problem.is_connection());
        let Some(wait) = self.patience.wait(attempt, problem).filter(|_| worthwhile) else { return false };
        tracing::debug!(host = self.name, attempt, ?wait, %problem, "trying again");
        let until = Instant::now() + wait;
        if problem.wanted_wait().is_some() {
            let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
            *rest = Some(rest.map_or(until, |other| other.max(until)));
        }
        tokio::time::sleep_until(until).await;
        true
    }

    /// Waits until the host may be asked.
    pub(super) async fn rested(&self) {
        loop {
            let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
            match rest {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Remembers that it has answered.
    pub(super) fn has_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// The session, made when it is first needed.
    pub(super) async fn session(&self) -> Result<&Session, Problem> {
        self.session.get_or_try_init(|| self.connect()).await
    }

    /// A session of its own for somebody whose account is not kept yet.
    pub(super) async fn session_without_account(&self) -> Result<Session, Problem> {
        self.connect_as(Credentials::default()).await
    }

    async fn connect(&self) -> Result<Session, Problem> {
        let (configs, host, account) = (self.configs.clone(), self.name.clone(), self.options.account.clone());
        // A credential helper is a process that is waited for.
        let found = tokio::task::spawn_blocking(move || Credentials::look_up(&configs, &host, account.as_deref())).await;
        self.connect_as(found.expect("looking up credentials does not panic").map_err(Problem::Credentials)?).await
    }

    async fn connect_as(&self, credentials: Credentials) -> Result<Session, Problem> {
        let plain = self.options.plain_http;
        let mut web = Web::new(&self.name, &self.options, plain, self.patience.stall)?;
        if !plain && self.options.ca_file.is_none() && self.options.client.is_none() && is_loopback(&self.name) {
            // On this machine registries without TLS are common; TLS is tried first, as docker does.
            if web.reached().await.is_err_and(|problem| may_be_plain(&problem)) {
                let other = Web::new(&self.name, &self.options, true, self.patience.stall)?;
                if other.reached().await.is_ok() {
                    web = other;
                }
            }
        }
        Ok(Session { web, credentials })
    }
}

/// Some servers say that they do not speak TLS, others just hang up.
fn may_be_plain(problem: &Problem) -> bool {
    matches!(problem, Problem::NotTls | Problem::Protocol(_))
}

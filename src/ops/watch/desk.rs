//! Where events arrive and exports are fetched from: the queue, its journal, and what each delivery waits for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{
    event::Push,
    interest::Interest,
    journal::{Journal, JournalError},
    queue::{Pauses, Queue, Waiting},
    secret::SharedSecret,
};
use crate::progress::{Event, SharedReporter};

/// What became of the events of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Taken {
    /// They concern a delivery.
    pub(super) concerning: usize,
    /// They concern none.
    pub(super) ignored: usize,
    /// They were here before.
    pub(super) replayed: usize,
}

/// The one place where both sides meet.
pub(super) struct Desk {
    state: Mutex<State>,
    journal: Journal,
    secret: Option<SharedSecret>,
    aliases: BTreeMap<String, String>,
    pauses: Pauses,
    reporter: SharedReporter,
    /// Something is in the queue that was not.
    pub(super) woken: Notify,
}

struct State {
    queue: Queue,
    interests: BTreeMap<String, Interest>,
}

impl Desk {
    pub(super) fn new(
        (journal, queue): (Journal, Queue),
        interests: BTreeMap<String, Interest>,
        secret: Option<SharedSecret>,
        aliases: BTreeMap<String, String>,
        pauses: Pauses,
        reporter: SharedReporter,
    ) -> Self {
        Self { state: Mutex::new(State { queue, interests }), journal, secret, aliases, pauses, reporter, woken: Notify::new() }
    }

    /// Whether a sender may send: the secret is in the header, or at the end of the path. Without a secret everybody may.
    pub(super) fn knows(&self, header: Option<&[u8]>, path: Option<&str>) -> bool {
        let Some(secret) = &self.secret else { return true };
        header.is_some_and(|header| secret.in_header(header)) || path.is_some_and(|word| secret.in_path(word))
    }

    /// Takes pushes; those that concern a delivery are in the journal when this returns.
    pub(super) fn take(&self, pushes: Vec<Push>) -> Result<Taken, JournalError> {
        let (mut taken, mut is_new, mut said) = (Taken::default(), false, Vec::new());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.queue.clone();
        for push in pushes {
            if push.id.as_ref().is_some_and(|id| state.queue.is_replay(id)) {
                taken.replayed += 1;
                continue;
            }
            let concerned: Vec<String> =
                state.interests.iter().filter(|(_, interest)| interest.concerns(&push, &self.aliases)).map(|(name, _)| name.clone()).collect();
            if concerned.is_empty() {
                taken.ignored += 1;
                continue;
            }
            taken.concerning += 1;
            let reason = format!("{}{}:{}", push.registry.map_or_else(String::new, |host| format!("{host}/")), push.repository, push.tag);
            for delivery in concerned {
                if state.queue.offer(&delivery, reason.clone(), now(), self.pauses) {
                    is_new = true;
                    said.push(format!("{delivery}: {reason} was pushed"));
                }
            }
            if let Some(id) = push.id {
                state.queue.remember(id);
            }
        }
        // What only adds to a delivery that waits already is not worth a write: a flood would be one of the disk's.
        if is_new && let Err(error) = self.journal.write(&state.queue) {
            state.queue = before;
            self.reporter.warn(format!("an event was not taken: {error}"));
            return Err(error);
        }
        drop(state);
        for line in said {
            self.reporter.note(line);
        }
        if is_new {
            self.woken.notify_one();
        }
        Ok(taken)
    }

    /// The next delivery to export, if one is due.
    pub(super) fn next(&self) -> Option<(String, Waiting)> {
        self.change(|queue| queue.next(now()))
    }

    /// Seconds until something is due.
    pub(super) fn due_in(&self) -> Option<u64> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).queue.due_in(now())
    }

    /// What was running has ended well.
    pub(super) fn done(&self) {
        self.change(Queue::done);
    }

    /// What was running was interrupted.
    pub(super) fn put_back(&self) {
        self.change(Queue::put_back);
    }

    /// What was running has failed; in how many seconds it is tried again.
    pub(super) fn failed(&self) -> Option<u64> {
        self.change(|queue| queue.failed(now(), self.pauses))
    }

    /// Deliveries that wait.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).queue.waiting()
    }

    /// What a delivery waits for from now on.
    pub(super) fn learn(&self, delivery: &str, interest: Interest) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).interests.insert(delivery.to_owned(), interest);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.queue.clone();
        let found = change(&mut state.queue);
        // If the disk is full, a restart exports once more than needed, which is better than to stop here.
        if state.queue != before
            && let Err(error) = self.journal.write(&state.queue)
        {
            self.reporter.event(Event::Warning(format!("the journal cannot be written: {error}")));
        }
        found
    }
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

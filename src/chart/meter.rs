//! What a run may still use: one account for everything that a chart can make large.
//!
//! Steps are time: one is an evaluation, or [`BYTES_A_STEP`] bytes that a function reads. Bytes are memory: every value made counts,
//! whether it is kept or not. Secrets are what takes long by its purpose: keys, certificates and hashes of passwords.
//!
//! A run is one thread, so the account is the thread's: functions that walk through values charge it where they are, before they
//! allocate. Whoever begins opens it: rendering before values are coalesced, else the engine. While none is open there is no limit.

use std::cell::Cell;
use std::time::Instant;

use super::engine::Budget;

/// Bytes read that count as one step.
const BYTES_A_STEP: u64 = 64;
/// What a step may take where time is measured.
const STEP_NANOSECONDS: u64 = 250;
/// Time is measured every so often.
const TICKS: u32 = 32;

/// Which part of the budget was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chart) enum Limit {
    /// Time.
    Steps,
    /// Memory.
    Bytes,
    /// Keys, certificates and hashes of passwords.
    Secrets,
    /// Nested templates.
    Depth,
}

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(u64::MAX) };
    static BYTES: Cell<u64> = const { Cell::new(u64::MAX) };
    static SECRETS: Cell<u64> = const { Cell::new(u64::MAX) };
    static USED_UP: Cell<Option<Limit>> = const { Cell::new(None) };
    static OPEN: Cell<bool> = const { Cell::new(false) };
}

/// An open account: it is closed with this.
#[must_use]
pub(in crate::chart) struct Account {
    /// Whether it was opened here, not further out.
    own: bool,
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.own {
            OPEN.set(false);
            fill(u64::MAX, u64::MAX, u64::MAX);
        }
    }
}

fn fill(steps: u64, bytes: u64, secrets: u64) {
    STEPS.set(steps);
    BYTES.set(bytes);
    SECRETS.set(secrets);
    USED_UP.set(None);
}

/// Opens this thread's account, unless it is open.
pub(in crate::chart) fn open(budget: &Budget) -> Account {
    let own = !OPEN.replace(true);
    if own {
        fill(budget.steps, budget.max_bytes, budget.secrets);
    }
    Account { own }
}

/// The limit that ended the run, if one did.
pub(in crate::chart) fn used_up() -> Option<Limit> {
    USED_UP.get()
}

/// Ends the run: nothing can be taken any more. The first limit is the one that is told.
pub(in crate::chart) fn end(limit: Limit) -> String {
    let first = USED_UP.get().or(Some(limit));
    fill(0, 0, 0);
    USED_UP.set(first);
    "the chart has used up its budget".to_owned()
}

fn take(from: &'static std::thread::LocalKey<Cell<u64>>, amount: u64, limit: Limit) -> Result<(), String> {
    match from.get().checked_sub(amount) {
        Some(left) => {
            from.set(left);
            Ok(())
        }
        None => Err(end(limit)),
    }
}

/// Takes steps.
pub(in crate::chart) fn steps(count: u64) -> Result<(), String> {
    take(&STEPS, count, Limit::Steps)
}

/// Takes the steps of reading so many bytes.
pub(in crate::chart) fn reading(bytes: u64) -> Result<(), String> {
    steps(bytes / BYTES_A_STEP)
}

/// Takes the steps of copying so many bytes, which is the quickest that one can do with them.
pub(in crate::chart) fn copying(bytes: u64) -> Result<(), String> {
    reading(bytes / 16)
}

/// For what takes a time that its input does not tell: an expression may read a text to its end for every match.
#[derive(Debug)]
pub(in crate::chart) struct Clock {
    since: Instant,
    ticks: u32,
}

impl Clock {
    /// Begins to measure.
    pub(in crate::chart) fn start() -> Self {
        Self { since: Instant::now(), ticks: 0 }
    }

    /// Takes the steps of the time since the last that was measured; short texts end before the first.
    pub(in crate::chart) fn tick(&mut self) -> Result<(), String> {
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS) { self.spent() } else { steps(1) }
    }

    /// Takes the steps of the time since.
    pub(in crate::chart) fn spent(&mut self) -> Result<(), String> {
        let now = Instant::now();
        let nanoseconds = now.duration_since(std::mem::replace(&mut self.since, now)).as_nanos();
        steps(u64::try_from(nanoseconds).unwrap_or(u64::MAX) / STEP_NANOSECONDS)
    }
}

/// Takes bytes, before they are made.
pub(in crate::chart) fn bytes(count: u64) -> Result<(), String> {
    take(&BYTES, count, Limit::Bytes)
}

/// Takes the making of a secret, in units of about two milliseconds.
pub(in crate::chart) fn secrets(count: u64) -> Result<(), String> {
    take(&SECRETS, count, Limit::Secrets)
}

/// Bytes that are left.
pub(in crate::chart) fn room() -> u64 {
    BYTES.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_stays_used_up() {
        let budget = Budget { steps: 10, max_bytes: 100, secrets: 1, max_depth: 1 };
        let account = open(&budget);
        assert_eq!((steps(10), reading(63), bytes(100), used_up()), (Ok(()), Ok(()), Ok(()), None));
        assert!(bytes(1).is_err() && steps(1).is_err() && secrets(1).is_err());
        let inner = open(&Budget::default());
        assert_eq!((used_up(), steps(1).is_err()), (Some(Limit::Bytes), true));
        drop(inner);
        assert_eq!(used_up(), Some(Limit::Bytes));
        drop(account);
        assert_eq!((steps(1), bytes(1 << 40), used_up()), (Ok(()), Ok(()), None));
    }
}

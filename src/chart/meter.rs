//! What a run may still use: one account for everything that a chart can make large.
//!
//! Steps are time: one is an evaluation, or [`BYTES_A_STEP`] bytes that a function reads. Bytes are memory: every value made counts,
//! whether it is kept or not. Secrets are what takes long by its purpose: keys, certificates and hashes of passwords.
//!
//! A run is one thread, so the account is the thread's: functions that walk through values charge it where they are, before they
//! allocate. Outside of a run there is no limit.

use std::cell::Cell;

use super::engine::Budget;

/// Bytes read that count as one step.
const BYTES_A_STEP: u64 = 64;

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
}

/// Begins a run on this thread.
pub(in crate::chart) fn begin(budget: &Budget) {
    STEPS.set(budget.steps);
    BYTES.set(budget.max_bytes);
    SECRETS.set(budget.secrets);
    USED_UP.set(None);
}

/// The limit that ended the run, if one did.
pub(in crate::chart) fn used_up() -> Option<Limit> {
    USED_UP.get()
}

/// Ends the run; the first limit is the one that is told.
pub(in crate::chart) fn end(limit: Limit) -> String {
    USED_UP.set(USED_UP.get().or(Some(limit)));
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

/// Takes bytes, before they are made.
pub(in crate::chart) fn bytes(count: u64) -> Result<(), String> {
    take(&BYTES, count, Limit::Bytes)
}

/// Takes the making of a secret, in units of about five milliseconds.
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
        begin(&Budget { steps: 10, max_bytes: 100, secrets: 1, max_depth: 1 });
        assert_eq!((steps(10), reading(63), bytes(100), used_up()), (Ok(()), Ok(()), Ok(()), None));
        assert!(bytes(1).is_err() && steps(1).is_err() && secrets(1).is_ok());
        assert_eq!(used_up(), Some(Limit::Bytes));
        begin(&Budget::default());
        assert_eq!((steps(1), used_up()), (Ok(()), None));
    }
}

//! What is to be exported: one entry a delivery however many pushes came, each id once, retries with pauses. Pure; who calls tells the time.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Ids of events that are remembered.
const SEEN_MAX: usize = 4096;
/// Reasons of one entry that are remembered.
const REASONS_MAX: usize = 20;
/// Times that an export is tried.
const ATTEMPTS_MAX: u32 = 6;
/// The longest pause before the next try, in seconds.
const PAUSE_MAX: u64 = 15 * 60;

/// How long to wait, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    /// After a push, so that those that come with it are one.
    pub(super) quiet: u64,
    /// After a failure; doubled each time.
    pub(super) retry: u64,
}

/// The queue, as it is kept in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Queue {
    /// By delivery.
    waiting: BTreeMap<String, Waiting>,
    /// What is being exported; it is exported again if that does not end.
    running: Option<(String, Waiting)>,
    /// Ids, the oldest first.
    seen: VecDeque<String>,
}

/// Why a delivery is to be exported, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Waiting {
    /// The first pushes that made it so.
    pub(super) reasons: Vec<String>,
    /// Pushes besides those.
    pub(super) more: u64,
    /// Failures so far.
    attempts: u32,
    /// Not before this second.
    not_before: u64,
}

impl Queue {
    /// Whether an event was here before.
    pub(super) fn is_replay(&self, id: &str) -> bool {
        self.seen.iter().any(|seen| seen == id)
    }

    /// Remembers an event; the oldest one is forgotten for it where there are too many.
    pub(super) fn remember(&mut self, id: String) {
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(id);
    }

    /// Takes a push; whether the delivery was not waiting yet.
    pub(super) fn offer(&mut self, delivery: &str, reason: String, now: u64, pauses: Pauses) -> bool {
        let is_new = !self.waiting.contains_key(delivery);
        let waiting = self.waiting.entry(delivery.to_owned()).or_default();
        if is_new {
            waiting.not_before = now + pauses.quiet;
        }
        if waiting.reasons.contains(&reason) {
        } else if waiting.reasons.len() < REASONS_MAX {
            waiting.reasons.push(reason);
        } else {
            waiting.more += 1;
        }
        is_new
    }

    /// Takes what is due first, to be exported.
    pub(super) fn next(&mut self, now: u64) -> Option<(String, Waiting)> {
        if self.running.is_some() {
            return None;
        }
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.not_before <= now).min_by_key(|(_, waiting)| waiting.not_before);
        let name = due?.0.clone();
        let waiting = self.waiting.remove(&name)?;
        self.running = Some((name.clone(), waiting.clone()));
        Some((name, waiting))
    }

    /// Seconds until something is due; none if nothing waits.
    pub(super) fn due_in(&self, now: u64) -> Option<u64> {
        self.waiting.values().map(|waiting| waiting.not_before.saturating_sub(now)).min()
    }

    /// What was running has ended well.
    pub(super) fn done(&mut self) {
        self.running = None;
    }

    /// What was running was interrupted, and is due at once.
    pub(super) fn put_back(&mut self) {
        if let Some((name, was)) = self.running.take() {
            self.merge(name, was);
        }
    }

    /// Everything is due at once: a restart has been pause enough.
    pub(super) fn resume(&mut self) {
        self.put_back();
        self.waiting.values_mut().for_each(|waiting| waiting.not_before = 0);
    }

    /// What was running has failed; in how many seconds it is tried again, if it is.
    pub(super) fn failed(&mut self, now: u64, pauses: Pauses) -> Option<u64> {
        let (name, mut was) = self.running.take()?;
        was.attempts += 1;
        // A push that came meanwhile is a reason of its own to try.
        if was.attempts >= ATTEMPTS_MAX {
            return self.waiting.get(&name).map(|waiting| waiting.not_before.saturating_sub(now));
        }
        let pause = (pauses.retry << (was.attempts - 1).min(16)).min(PAUSE_MAX);
        was.not_before = now + pause;
        self.merge(name, was);
        Some(pause)
    }

    /// Deliveries that wait.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.waiting.keys().cloned().collect()
    }

    /// Leaves only these deliveries; tells which ones went.
    pub(super) fn retain(&mut self, known: &[String]) -> Vec<String> {
        let gone: Vec<String> = self.waiting.keys().filter(|name| !known.contains(name)).cloned().collect();
        self.waiting.retain(|name, _| known.contains(name));
        gone
    }

    fn merge(&mut self, name: String, was: Waiting) {
        let waiting = self.waiting.entry(name).or_insert_with(|| Waiting { not_before: was.not_before, ..Waiting::default() });
        waiting.attempts = was.attempts;
        waiting.not_before = waiting.not_before.max(was.not_before);
        waiting.more += was.more;
        for reason in was.reasons {
            if waiting.reasons.len() < REASONS_MAX && !waiting.reasons.contains(&reason) {
                waiting.reasons.push(reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses { quiet: 10, retry: 30 };

    #[test]
    fn a_flood_is_one_export() {
        let mut queue = Queue::default();
        assert!(queue.offer("a", "r/app:0".into(), 100, PAUSES));
        for n in 0..100_000_u64 {
            assert!(!queue.offer("a", format!("r/app:{n}"), 101 + n / 1000, PAUSES));
        }
        assert_eq!((queue.next(109), queue.due_in(100)), (None, Some(10)));
        let (name, waiting) = queue.next(110).unwrap();
        assert_eq!((name.as_str(), waiting.reasons.len(), waiting.more), ("a", REASONS_MAX, 100_000 - 20));
        // One at a time; what comes meanwhile is exported after it.
        queue.offer("b", "x".into(), 110, PAUSES);
        queue.offer("a", "y".into(), 110, PAUSES);
        assert_eq!(queue.next(1000), None);
        queue.done();
        assert_eq!(queue.next(1000).unwrap().0, "a");
        queue.done();
        assert_eq!(queue.next(1000).unwrap().0, "b");
        queue.done();
        assert_eq!((queue.next(1000), queue.due_in(1000)), (None, None));
    }

    #[test]
    fn failures_are_tried_again_and_given_up() {
        let mut queue = Queue::default();
        queue.offer("a", "x".into(), 0, PAUSES);
        let mut now = 10;
        let mut pauses = Vec::new();
        while queue.next(now).is_some() {
            let Some(pause) = queue.failed(now, PAUSES) else { break };
            pauses.push(pause);
            assert_eq!(queue.next(now + pause - 1), None);
            now += pause;
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480]);
        assert_eq!(queue.due_in(now), None);
        queue.offer("a", "y".into(), now, PAUSES);
        queue.next(now + 10).unwrap();
        queue.put_back();
        assert_eq!(queue.next(now + 10).unwrap().1.reasons, ["y"]);
    }

    #[test]
    fn ids_are_remembered_up_to_a_bound() {
        let mut queue = Queue::default();
        for n in 0..=SEEN_MAX {
            queue.remember(n.to_string());
        }
        assert!(queue.is_replay(&SEEN_MAX.to_string()) && queue.is_replay("1") && !queue.is_replay("0"));
        queue.offer("gone", "x".into(), 0, PAUSES);
        assert_eq!(queue.retain(&["a".to_owned()]), ["gone"]);
    }
}

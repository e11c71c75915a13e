//! What operations tell about their progress. No terminal code: `report` shows it, tests collect it.

use std::sync::Arc;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step of the whole begins; steps follow one another.
    Step {
        /// What is being done, as in `resolving 12 images`.
        title: String,
    },
    /// A task with known extent begins inside the step; several may run at a time.
    Started {
        /// Names the task in the events that follow; unique in a run.
        task: String,
        /// Bytes to do, where that is known.
        total: Option<u64>,
    },
    /// A task has done so many bytes altogether.
    Advanced {
        /// Which task.
        task: String,
        /// Bytes done so far.
        done: u64,
    },
    /// A task has ended well.
    Finished {
        /// Which task.
        task: String,
        /// One line about the outcome.
        note: String,
    },
    /// A line worth reading.
    Note(String),
    /// Something that is not an error and still should be seen.
    Warning(String),
}

/// Takes events, from any thread, without blocking for long.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}

/// A reporter that may be handed on.
pub type SharedReporter = Arc<dyn Reporter>;

/// Drops all events.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: Event) {}
}

impl dyn Reporter + '_ {
    /// Says that a step begins.
    pub fn step(&self, title: impl Into<String>) {
        self.event(Event::Step { title: title.into() });
    }

    /// Says a line.
    pub fn note(&self, line: impl Into<String>) {
        self.event(Event::Note(line.into()));
    }

    /// Warns.
    pub fn warn(&self, line: impl Into<String>) {
        self.event(Event::Warning(line.into()));
    }
}

//! The queue on disk: written aside and renamed before a sender is told that its event was taken, so that nothing is lost by a restart.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::queue::Queue;
use crate::io::{FileError, read_capped_text, write_private_atomic};

/// The version of the format.
const FORMAT: u32 = 1;
/// The largest journal that is read, in bytes.
const JOURNAL_MAX: u64 = 8 << 20;

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is of another version, or no journal.
    #[error("`{}` is no journal of this program: {reason}; remove it, and what waited in it is lost", path.display())]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another process has it.
    #[error("`{}` is in use: another `watch` runs with it", path.display())]
    InUse {
        /// The journal.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    queue: Queue,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The right to write a journal; others have it once this is dropped.
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "it is held, and closed when it is dropped")] File);

impl Claim {
    /// Claims a journal.
    pub(super) fn of(path: &Path) -> Result<Self, JournalError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let beside = PathBuf::from(name);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
        let lock = opened.map_err(|source| FileError::new("open", &beside, source))?;
        lock.try_lock().map_err(|_| JournalError::InUse { path: path.into() })?;
        Ok(Self(lock))
    }
}

/// A journal, of which somebody has the claim.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
}

impl Journal {
    /// Opens a journal, and reads what waits in it.
    pub(super) fn open(path: &Path) -> Result<(Self, Queue), JournalError> {
        let queue = match read_capped_text(path, JOURNAL_MAX) {
            Ok(text) => parse(path, &text)?,
            Err(error) if error.is_not_found() => Queue::default(),
            Err(error) => return Err(error.into()),
        };
        Ok((Self { path: path.into() }, queue))
    }

    /// Writes the queue.
    pub(super) fn write(&self, queue: &Queue) -> Result<(), JournalError> {
        let text = serde_json::to_vec(&Document { format: FORMAT, queue: queue.clone() }).expect("types of ours serialise");
        Ok(write_private_atomic(&self.path, &text)?)
    }
}

fn parse(path: &Path, text: &str) -> Result<Queue, JournalError> {
    let unreadable = |reason: String| JournalError::Unreadable { path: path.into(), reason };
    let version: Version = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    if version.format != FORMAT {
        return Err(unreadable(format!("it has format {}, this program reads {FORMAT}", version.format)));
    }
    let document: Document = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let mut queue = document.queue;
    // What was running when the process ended has not ended.
    queue.resume();
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::{super::queue::Pauses, *};

    #[test]
    fn what_waited_and_what_ran_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.json");
        let pauses = Pauses { quiet: 0, retry: 1 };
        {
            let _claim = Claim::of(&path).unwrap();
            assert!(matches!(Claim::of(&path), Err(JournalError::InUse { .. })));
            let (journal, mut queue) = Journal::open(&path).unwrap();
            queue.offer("a", "x".into(), 0, pauses);
            queue.offer("b", "y".into(), 5, pauses);
            queue.remember("id".into());
            assert_eq!(queue.next(0).unwrap().0, "a");
            journal.write(&queue).unwrap();
        }
        Claim::of(&path).unwrap();
        let (_journal, queue) = Journal::open(&path).unwrap();
        assert_eq!(queue.waiting(), ["a", "b"]);
        assert!(queue.is_replay("id"));
    }

    #[test]
    fn another_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.json");
        for (text, wanted) in [(r#"{"format": 2, "later": 1}"#, "it has format 2"), ("{", "EOF"), (r#"{"format": 1, "queue": {"x": 1}}"#, "unknown field")] {
            std::fs::write(&path, text).unwrap();
            let error = Journal::open(&path).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}

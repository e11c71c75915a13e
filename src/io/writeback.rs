//! Bytes to the disk while others are still being written, so that flushing at the end has little left to do.

use std::{
    fs::File,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

type Range = (Arc<File>, u64, u64);

/// A thread that starts the writing of ranges of files; whoever writes never waits for it.
#[derive(Debug)]
pub struct Writeback {
    ranges: mpsc::Sender<Range>,
    thread: JoinHandle<()>,
}

/// Tells a [`Writeback`] what is written.
#[derive(Debug, Clone)]
pub struct Written(mpsc::Sender<Range>);

impl Writeback {
    /// Starts the thread; it ends once nobody is left who could tell it something. None where there are no more threads to be had.
    pub fn start() -> Option<Self> {
        let (ranges, told) = mpsc::channel::<Range>();
        let work = move || told.into_iter().for_each(|(file, offset, length)| start_writing(&file, offset, length));
        let thread = thread::Builder::new().name("writeback".to_owned()).spawn(work).ok()?;
        Some(Self { ranges, thread })
    }

    /// For whoever writes.
    pub fn written(&self) -> Written {
        Written(self.ranges.clone())
    }

    /// Waits until everything has been started.
    pub fn finish(self) {
        drop(self.ranges);
        // It only asks the system; flushing tells what went wrong.
        let _ = self.thread.join();
    }
}

impl Written {
    /// Says that so many bytes from an offset on are written and stay as they are.
    pub fn range(&self, file: &Arc<File>, offset: u64, length: u64) {
        // The thread may have ended with the run.
        let _ = self.0.send((file.clone(), offset, length));
    }
}

/// Linux starts to write dirty pages when it is told that they are not needed (mm/fadvise.c), and keeps them, as they are dirty.
#[cfg(target_os = "linux")]
fn start_writing(file: &File, offset: u64, length: u64) {
    if let Some(length) = std::num::NonZeroU64::new(length) {
        let _ = rustix::fs::fadvise(file, offset, Some(length), rustix::fs::Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
fn start_writing(_: &File, _: u64, _: u64) {}

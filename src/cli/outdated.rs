//! `outdated`: what has moved since the lock.

use std::path::PathBuf;

use super::args::{CacheArgs, FormatArgs};
use crate::{
    context::Context,
    failure::{Failure, MOVED},
    ops::{
        outdated::{self, Change, Kind, Since},
        read_delivery,
    },
    report::{Printer, text},
};

/// Tell which charts and images have moved since delivery.lock; exit code 10 if any has
#[derive(Debug, clap::Args)]
pub(super) struct OutdatedArgs {
    /// The delivery
    #[arg(long, short, default_value = "delivery.yaml", value_name = "FILE")]
    file: PathBuf,
    /// Show what has not moved as well
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl OutdatedArgs {
    /// The exit code.
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<u8, Failure> {
        let delivery = read_delivery(&self.file)?;
        let lock = delivery.lock_path();
        let outcome = super::block_on(outdated::run(delivery, self.cache.access(context), printer.reporter()))?;
        if outcome.since == Since::Delivery {
            printer.aside(&format!("there is no {}; held against what {} pins itself", lock.display(), self.file.display()));
        }
        let all = self.all;
        printer.outcome(self.format.format, &outcome, |o| table(o, all))?;
        Ok(if outcome.moved { MOVED } else { 0 })
    }
}

fn table(outcome: &outdated::OutdatedOutcome, all: bool) -> String {
    let dash = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), short);
    let shown = |entry: &&outdated::Entry| all || entry.change != Change::Same || (entry.newest.is_some() && entry.newest != entry.now);
    let rows: Vec<Vec<String>> = outcome
        .entries
        .iter()
        .filter(shown)
        .map(|entry| {
            let kind = if entry.kind == Kind::Chart { "chart" } else { "image" };
            vec![kind.to_owned(), entry.subject.clone(), word(entry.change).to_owned(), dash(&entry.before), dash(&entry.now), dash(&entry.newest)]
        })
        .collect();
    if rows.is_empty() {
        return "nothing has moved\n".to_owned();
    }
    text::table(&["KIND", "NAME", "MOVED", "BEFORE", "NOW", "NEWEST"], &rows)
}

/// Digests are long, and their first digits tell them apart.
fn short(text: &str) -> String {
    text.strip_prefix("sha256:").map_or_else(|| text.to_owned(), |digits| digits.chars().take(12).collect())
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Same => "no",
        Change::Version => "version",
        Change::Content => "content",
        Change::Tag => "tag",
        Change::Digest => "digest",
        Change::New => "new",
        Change::Gone => "gone",
    }
}

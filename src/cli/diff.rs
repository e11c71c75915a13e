//! `diff`: what is another in a second archive.

use std::{fmt::Write as _, path::PathBuf};

use super::args::{FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::diff::{self, Change, DIFFERENT, DiffOutcome, Subject},
    report::{Printer, text},
};

/// Tell how two archives differ, and what would travel to someone who has the first
///
/// Exit status: 0 no differences were found; 1 differences were found; more than 1: it failed. Without a key signatures are shown and not checked.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The archive before
    #[arg(value_name = "A")]
    old: PathBuf,
    /// The archive after
    #[arg(value_name = "B")]
    new: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl DiffArgs {
    /// The exit code.
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<u8, Failure> {
        let outcome = diff::run(&diff::DiffOptions { old: self.old, new: self.new, trust: self.trust.resolve(context) })?;
        printer.outcome(self.format.format, &outcome, show)?;
        Ok(if outcome.different { DIFFERENT } else { 0 })
    }
}

/// Nothing where there is no difference, as `diff` does.
fn show(o: &DiffOutcome) -> String {
    if !o.different {
        return String::new();
    }
    let mut out = String::new();
    for (sign, side) in [("---", &o.old), ("+++", &o.new)] {
        let _ = writeln!(
            out,
            "{sign} {}   {} {}   {}   {}",
            side.archive.display(),
            side.name,
            side.version,
            text::bytes(side.size),
            text::standing(&side.signature)
        );
    }
    let dash = |text: &Option<String>| text.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = o
        .entries
        .iter()
        .map(|entry| {
            let travels = if entry.travels == 0 { "-".to_owned() } else { text::bytes(entry.travels) };
            vec![format!("{} {}", sign(entry.change), word(entry.subject)), entry.name.clone(), dash(&entry.before), dash(&entry.after), travels]
        })
        .collect();
    let _ = write!(out, "\n{}", text::table(&["WHAT", "NAME", "BEFORE", "AFTER", "TRAVELS"], &rows));
    let amount = |amount: diff::Amount| format!("{} blobs, {}", amount.blobs, text::bytes(amount.bytes));
    let _ = write!(out, "\nto travel  {}\nkept       {}\ngone       {}\n", amount(o.added), amount(o.kept), amount(o.removed));
    out
}

fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    }
}

fn word(subject: Subject) -> &'static str {
    match subject {
        Subject::Delivery => "delivery",
        Subject::App => "app",
        Subject::Chart => "chart",
        Subject::Image => "image",
        Subject::Agent => "agent",
        Subject::File => "file",
    }
}

//! The gate for all output.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::Arc,
};

use serde::Serialize;

use super::{failure, progress};
use crate::{failure::Failure, progress::SharedReporter};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Prints outcomes, progress and failures.
#[derive(Debug, Clone)]
pub struct Printer {
    color: bool,
    quiet: bool,
}

impl Printer {
    /// A printer; `no_color` turns colours off where a terminal would have them.
    pub fn new(no_color: bool, quiet: bool) -> Self {
        Self { color: !no_color && std::io::stderr().is_terminal(), quiet }
    }

    /// A reporter for operations: bars on a terminal, plain lines elsewhere, on standard error.
    pub fn reporter(&self) -> SharedReporter {
        match (self.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Arc::new(crate::progress::Silent),
            (false, true) => Arc::new(progress::Bars::new(self.color)),
            (false, false) => Arc::new(progress::Lines::default()),
        }
    }

    /// Prints an outcome: `text` makes the form for people.
    pub fn outcome<T: Serialize>(&self, format: Format, outcome: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let mut printed = match format {
            // Names come from archives and registries.
            Format::Text => super::text::printable(&text(outcome)),
            Format::Json => serde_json::to_string_pretty(outcome).map_err(|e| Failure::new(crate::failure::Kind::Other, e))?,
        };
        if !printed.is_empty() && !printed.ends_with('\n') {
            printed.push('\n');
        }
        self.data(printed.as_bytes())
    }

    /// Writes data to standard output as it is. A reader that has gone away is no failure.
    pub fn data(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(crate::failure::Kind::Other, error)),
            _ => Ok(()),
        }
    }

    /// Whether somebody is there to answer: standard input and standard error are terminals.
    pub fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks a question on standard error; anything but yes is no.
    pub fn ask(&self, question: &str) -> Result<bool, Failure> {
        let failed = |error| Failure::new(crate::failure::Kind::Other, error);
        let mut err = std::io::stderr().lock();
        err.write_all(question.as_bytes()).and_then(|()| err.flush()).map_err(failed)?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map_err(failed)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Says a line on standard error as it is: one that another program would have said in these words.
    pub fn aside(&self, line: &str) {
        if !self.quiet {
            // Where standard error is gone, nobody can be told.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }

    /// Shows a failure on standard error: what, why, what next.
    pub fn failure(&self, failure: &Failure) {
        let shown = failure::render(failure, self.color);
        // Where standard error is gone, nobody can be told.
        let _ = std::io::stderr().lock().write_all(shown.as_bytes());
    }
}

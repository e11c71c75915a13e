//! Several errors as one: whoever mends a delivery wants to see all of them at once.

use std::{error::Error, fmt};

use crate::failure::{Failure, Kind};

/// More than one thing went wrong.
#[derive(Debug)]
pub(super) struct Several {
    title: String,
    errors: Vec<Failure>,
}

impl fmt::Display for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.title)?;
        for error in &self.errors {
            write!(f, "\n  - {error}")?;
        }
        Ok(())
    }
}

impl Error for Several {}

/// One failure out of all; the first decides the kind, hints are said once. None if there are none.
pub(super) fn all(what: &str, mut failures: Vec<Failure>) -> Result<(), Failure> {
    if failures.len() <= 1 {
        return failures.pop().map_or(Ok(()), Err);
    }
    let mut hints: Vec<String> = Vec::new();
    for hint in failures.iter().flat_map(|failure| &failure.hints) {
        if !hints.contains(hint) {
            hints.push(hint.clone());
        }
    }
    let kind = failures.first().map_or(Kind::Other, |failure| failure.kind);
    let title = format!("{} {what}", failures.len());
    Err(Failure { hints, ..Failure::new(kind, Several { title, errors: failures }) })
}

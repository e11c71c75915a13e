//! Why a YAML text could not be read or written, in Go's words.

use libyaml_safer::{Error, ErrorKind, Mark};

/// A YAML text that could not be read, or a value that could not be written. Reads as the same fault does in Go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct YamlError {
    /// The line as Go counts it, which is sometimes one before the place; none if the fault is in the first.
    pub line: Option<u64>,
    /// Where the parser stood: line and column, counted from one.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub problem: String,
}

impl YamlError {
    fn text(&self) -> String {
        // What is refused on the way to JSON never was go-yaml's fault.
        match self.line {
            _ if self.problem.starts_with("json: ") || self.problem.starts_with("unsupported map key") => self.problem.clone(),
            Some(line) => format!("yaml: line {line}: {}", self.problem),
            None => format!("yaml: {}", self.problem),
        }
    }

    /// A fault without a line, as Go's `failf` makes it.
    pub(crate) fn plain(problem: impl Into<String>) -> Self {
        Self { line: None, place: None, problem: problem.into() }
    }

    /// A fault of libyaml's, with the line as go-yaml's `parser.fail` counts it.
    /// `end` is the length of the text if a line break was added to it, which must not count as a line.
    pub(crate) fn from_parser(error: &Error, end: Option<usize>) -> Self {
        let own = |mut mark: Mark| {
            // At the end of the stream libyaml starts a new line itself; only inside a scalar it does not.
            let in_scalar = error.problem() == "found unexpected end of stream";
            if in_scalar && end.is_some_and(|end| usize::try_from(mark.index).is_ok_and(|index| index > end)) {
                mark.line = mark.line.saturating_sub(1);
            }
            mark
        };
        let problem = error.problem_mark().map(own);
        let context = error.context_mark().map(own);
        let line = match (problem.map_or(0, |mark| mark.line), context.map_or(0, |mark| mark.line)) {
            (0, 0) => None,
            (0, line) => Some(line),
            (line, _) if error.kind() == ErrorKind::Scanner => Some(line + 1),
            (line, _) => Some(line),
        };
        let counted = |at: u64| usize::try_from(at).map_or(usize::MAX, |at| at + 1);
        Self { line, place: problem.map(|mark| (counted(mark.line), counted(mark.column))), problem: error.problem().to_owned() }
    }
}

//! How an operation fails: what kind of failure it is, the error, and what to do next. The kind decides the exit code.

use std::{error::Error, fmt};

/// What kind of failure; each has an exit code that scripts may rely on (docs/exit-codes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything else: exit code 1.
    Other,
    /// The command line or delivery.yaml is wrong: exit code 2.
    Usage,
    /// The archive is damaged or not trusted: exit code 3.
    Untrusted,
    /// A registry or chart repository failed: exit code 4.
    Source,
    /// The cluster failed or refused: exit code 5.
    Cluster,
    /// Some of it was done, and what was done stays: exit code 6.
    Partial,
}

/// The exit code of a command that has done its work and found that something has moved: `outdated`.
pub const MOVED: u8 = 10;

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::Untrusted => 3,
            Self::Source => 4,
            Self::Cluster => 5,
            Self::Partial => 6,
        }
    }
}

/// A failed operation.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What went wrong, with its causes below it.
    pub source: Box<dyn Error + Send + Sync>,
    /// What to do next, one sentence each.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure of a kind with its cause.
    pub fn new(kind: Kind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into(), hints: Vec::new() }
    }

    /// The same with one more thing to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_documentation() {
        let table = include_str!("../docs/exit-codes.md");
        for kind in [Kind::Other, Kind::Usage, Kind::Untrusted, Kind::Source, Kind::Cluster, Kind::Partial] {
            assert!(table.contains(&format!("| {} |", kind.exit_code())), "{kind:?}");
        }
        assert!(table.contains(&format!("| {MOVED} |")));
    }
}

//! Which node an error happened at, and its text.

use crate::chart::gotmpl::{Term, Tree};

/// Which of the nodes that begin at one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A pipeline.
    Pipe,
    /// A command.
    Command,
    /// An operand.
    Operand,
    /// `template`.
    Invocation,
}

/// A node: no two of one kind have the same position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Site {
    /// Byte offset.
    pub pos: u32,
    part: Part,
}

impl Site {
    /// The beginning of a text.
    pub(crate) const START: Site = Site { pos: 0, part: Part::Pipe };

    pub(super) fn new(pos: u32, part: Part) -> Self {
        Site { pos, part }
    }
}

/// The node as Go prints it.
pub(super) fn text(tree: &Tree, site: Site) -> String {
    let Site { pos, part } = site;
    let found = match part {
        Part::Pipe => tree.pipes.iter().find(|pipe| pipe.pos == pos).map(|pipe| tree.show(*pipe)),
        Part::Command => tree.commands.iter().find(|command| command.pos == pos).map(|command| tree.show(*command)),
        Part::Operand => tree.operands.iter().find(|operand| operand.pos == pos && !matches!(operand.term, Term::Pipe(_))).map(|operand| tree.show(*operand)),
        Part::Invocation => tree.invocations.iter().find(|call| call.pos == pos).map(|call| tree.show(call)),
    };
    found.unwrap_or_default()
}

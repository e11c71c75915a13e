//! Which node an error happened at, and its text.

use std::ops::ControlFlow;

use crate::chart::gotmpl::{Command, Node, Operand, Pipe, Term};

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

    pub(super) fn new(pos: usize, part: Part) -> Self {
        Site { pos: u32::try_from(pos).unwrap_or(u32::MAX), part }
    }

    fn is(self, pos: usize, part: Part) -> bool {
        self.part == part && self.pos as usize == pos
    }
}

/// The node as Go prints it.
pub(super) fn text(body: &[Node], site: Site) -> String {
    match nodes(body, site) {
        ControlFlow::Break(text) => text,
        ControlFlow::Continue(()) => String::new(),
    }
}

type Found = ControlFlow<String>;

fn nodes(body: &[Node], site: Site) -> Found {
    for node in body {
        match node {
            Node::Action(pipe) => pipeline(pipe, site)?,
            Node::Branch(_, branches, otherwise) => {
                for (pipe, body) in branches {
                    pipeline(pipe, site)?;
                    nodes(body, site)?;
                }
                nodes(otherwise, site)?;
            }
            Node::Range(pipe, body, otherwise) => {
                pipeline(pipe, site)?;
                nodes(body, site)?;
                nodes(otherwise, site)?;
            }
            Node::Template(call) => {
                if site.is(call.pos, Part::Invocation) {
                    return Found::Break(call.to_string());
                }
                call.pipe.iter().try_for_each(|pipe| pipeline(pipe, site))?;
            }
            Node::Text(_) | Node::Break | Node::Continue => {}
        }
    }
    Found::Continue(())
}

fn pipeline(pipe: &Pipe, site: Site) -> Found {
    if site.is(pipe.pos, Part::Pipe) {
        return Found::Break(pipe.to_string());
    }
    pipe.cmds.iter().try_for_each(|command| self::command(command, site))
}

fn command(command: &Command, site: Site) -> Found {
    if site.is(command.pos, Part::Command) {
        return Found::Break(command.to_string());
    }
    command.args.iter().try_for_each(|operand| self::operand(operand, site))
}

fn operand(operand: &Operand, site: Site) -> Found {
    match &operand.term {
        Term::Pipe(pipe) => pipeline(pipe, site),
        _ if site.is(operand.pos, Part::Operand) => Found::Break(operand.to_string()),
        Term::Chain(inner, _) => self::operand(inner, site),
        _ => Found::Continue(()),
    }
}

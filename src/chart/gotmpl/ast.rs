//! The typed tree. Every node knows its byte offset and prints as Go prints it in messages.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The text a tree was parsed from; positions are byte offsets into it.
#[derive(Debug)]
pub(crate) struct Text {
    /// The name used in positions (`chart/templates/x.yaml`).
    pub name: String,
    /// The text itself.
    pub text: String,
}

impl Text {
    /// Go's `name:line:column` for an offset; the column counts bytes from 0.
    pub(crate) fn location(&self, pos: usize) -> String {
        let head = &self.text.as_bytes()[..pos.min(self.text.len())];
        let line = 1 + self.text.get(..pos).unwrap_or(&self.text).matches('\n').count();
        let column = head.iter().rposition(|b| *b == b'\n').map_or(pos, |n| pos - n - 1);
        format!("{}:{line}:{column}", self.name)
    }
}

/// A named template.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Name of the define, or of the file.
    pub name: String,
    /// Where it was written.
    pub source: Arc<Text>,
    /// Its body.
    pub body: Vec<Node>,
    /// How many nodes it has, those of its pipelines included.
    pub nodes: usize,
}

impl Template {
    /// Whether it holds nothing but white space and comments: such a template never replaces another.
    pub(crate) fn is_empty(&self) -> bool {
        let blank = |text: &str| text.bytes().all(|b| b.is_ascii_whitespace() || b == 0x0b);
        self.body.iter().all(|node| matches!(node, Node::Text(range) if blank(&self.source.text[range.clone()])))
    }
}

/// One element of a body.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// Literal text: where it stands in the source.
    Text(Range<usize>),
    /// `{{ pipeline }}`.
    Action(Pipe),
    /// `if` and `with`: the chain of conditions with their bodies, and what is done when none holds.
    Branch(Control, Vec<(Pipe, Vec<Node>)>, Vec<Node>),
    /// `range`: its body, and what is done when there is nothing to visit.
    Range(Pipe, Vec<Node>, Vec<Node>),
    /// `template` and `block`.
    Template(Invocation),
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// Which kind of branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// `if`.
    If,
    /// `with`.
    With,
}

/// `{{template "name" pipeline}}`.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// Offset of the name.
    pub pos: usize,
    /// Name of the template.
    pub name: String,
    /// The new dot.
    pub pipe: Option<Pipe>,
}

/// A pipeline with its declarations.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    /// Offset of its first token.
    pub pos: usize,
    /// `=` instead of `:=`.
    pub assign: bool,
    /// Declared or assigned variables, with the `$`.
    pub decl: Vec<String>,
    /// The commands.
    pub cmds: Vec<Command>,
}

/// One command: a function or value and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    /// Offset of its first token.
    pub pos: usize,
    /// Operands, the first names what is called.
    pub args: Vec<Operand>,
}

/// An operand and its offset.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    /// Offset as Go counts it (for chains: of the second field).
    pub pos: usize,
    /// What it is.
    pub term: Term,
}

/// What an operand can be.
#[derive(Debug, Clone)]
pub(crate) enum Term {
    /// A function's name.
    Identifier(String),
    /// `.a.b`.
    Field(Vec<String>),
    /// `$x.a.b`; the first is the variable with its `$`.
    Variable(Vec<String>),
    /// `(pipe).a.b` or `f.a`.
    Chain(Box<Operand>, Vec<String>),
    /// `.`.
    Dot,
    /// `nil`.
    Nil,
    /// `true`, `false`.
    Bool(bool),
    /// A number and how it was written.
    Number(Number, String),
    /// A string and how it was written.
    Str(String, String),
    /// `( … )`.
    Pipe(Box<Pipe>),
}

/// The value of a number; Go keeps all readings of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// An integer that fits.
    Int(i64),
    /// An integer that only fits unsigned.
    Uint(u64),
    /// With a point or an exponent; also usable as integer if it is whole.
    Float(f64),
    /// Real and imaginary part.
    Complex(f64, f64),
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.decl.is_empty() {
            write!(f, "{} {} ", self.decl.join(", "), if self.assign { "=" } else { ":=" })?;
        }
        for (i, cmd) in self.cmds.iter().enumerate() {
            write!(f, "{}{cmd}", if i > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            write!(f, "{}{arg}", if i > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Identifier(name) => f.write_str(name),
            Term::Field(names) => names.iter().try_for_each(|name| write!(f, ".{name}")),
            Term::Variable(names) => f.write_str(&names.join(".")),
            Term::Chain(inner, names) => {
                write!(f, "{inner}")?;
                names.iter().try_for_each(|name| write!(f, ".{name}"))
            }
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Bool(b) => write!(f, "{b}"),
            Term::Number(_, text) | Term::Str(_, text) => f.write_str(text),
            Term::Pipe(pipe) => write!(f, "({pipe})"),
        }
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", super::quote(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

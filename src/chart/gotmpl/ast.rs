//! The typed tree of a text, kept flat: every kind of node in a list of its own, and what belongs to a node next to each other there. A chart
//! has ten thousands of nodes, nearly all of which are made once, read once and dropped; names and constants are places in the text. Every
//! node knows its byte offset and prints as Go prints it in messages.

use std::fmt;
use std::sync::Arc;

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
}

impl Span {
    /// What is written there.
    pub(super) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

/// Elements of a list that belong together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Few {
    start: u32,
    end: u32,
}

impl Few {
    /// What is taken off a stack and put behind a list.
    pub(super) fn settle<T: Copy>(stack: &mut Vec<T>, mark: usize, list: &mut Vec<T>) -> Self {
        let start = index(list.len());
        list.extend_from_slice(&stack[mark..]);
        stack.truncate(mark);
        Self { start, end: index(list.len()) }
    }

    /// These elements of a list.
    pub(crate) fn of<T>(self, list: &[T]) -> &[T] {
        &list[self.start as usize..self.end as usize]
    }

    /// How many there are.
    pub(crate) fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// An index or offset; the parser refuses texts that are too large for it.
pub(super) fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What a text was parsed to; positions are byte offsets into it.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The name used in positions (`chart/templates/x.yaml`).
    pub name: String,
    /// The text itself.
    pub text: String,
    /// Elements of bodies.
    pub nodes: Vec<Node>,
    /// The conditions of branches, with their bodies.
    pub arms: Vec<Arm>,
    /// Pipelines.
    pub pipes: Vec<Pipe>,
    /// Declared or assigned variables, with the `$`.
    pub declared: Vec<Span>,
    /// Commands of pipelines.
    pub commands: Vec<Command>,
    /// Operands of commands, and what chains begin with.
    pub operands: Vec<Operand>,
    /// `template` and `block`.
    pub invocations: Vec<Invocation>,
}

impl Tree {
    pub(super) fn new(name: String, text: String) -> Self {
        Self {
            name,
            text,
            nodes: Vec::new(),
            arms: Vec::new(),
            pipes: Vec::new(),
            declared: Vec::new(),
            commands: Vec::new(),
            operands: Vec::new(),
            invocations: Vec::new(),
        }
    }

    /// What is written there.
    pub(crate) fn written(&self, span: Span) -> &str {
        span.of(&self.text)
    }

    /// Go's `name:line:column` for an offset; the column counts bytes from 0.
    pub(crate) fn location(&self, pos: usize) -> String {
        let head = &self.text.as_bytes()[..pos.min(self.text.len())];
        let line = 1 + self.text.get(..pos).unwrap_or(&self.text).matches('\n').count();
        let column = head.iter().rposition(|b| *b == b'\n').map_or(pos, |n| pos - n - 1);
        format!("{}:{line}:{column}", self.name)
    }

    /// Whether a body holds nothing but white space of this text, which is the tree's once it is complete.
    pub(super) fn is_blank(&self, body: Few, text: &str) -> bool {
        let blank = |text: &str| text.bytes().all(|b| b.is_ascii_whitespace() || b == 0x0b);
        body.of(&self.nodes).iter().all(|node| matches!(node, Node::Text(span) if blank(span.of(text))))
    }

    /// A node, as Go prints it.
    pub(crate) fn show<T: Copy>(&self, node: T) -> String
    where
        for<'a> Shown<'a, T>: fmt::Display,
    {
        Shown { tree: self, node }.to_string()
    }
}

/// A named template.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Name of the define, or of the file.
    pub name: String,
    /// Where it was written.
    pub tree: Arc<Tree>,
    /// Its body.
    pub body: Few,
    /// How many nodes it has, those of its pipelines included.
    pub nodes: usize,
}

impl Template {
    /// Whether it holds nothing but white space and comments: such a template never replaces another.
    pub(crate) fn is_empty(&self) -> bool {
        self.tree.is_blank(self.body, &self.tree.text)
    }
}

/// One element of a body. What is a number is the place in the list of its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node {
    /// Literal text: where it stands in the source.
    Text(Span),
    /// `{{ pipeline }}`.
    Action(u32),
    /// `if` and `with`: the chain of conditions with their bodies, and what is done when none holds.
    Branch(Control, Few, Few),
    /// `range`: its pipeline, its body, and what is done when there is nothing to visit.
    Range(u32, Few, Few),
    /// `template` and `block`.
    Template(u32),
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

/// A condition, and what is done when it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arm {
    /// The pipeline.
    pub pipe: u32,
    /// The body.
    pub body: Few,
}

/// `{{template "name" pipeline}}`.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// Offset of the name.
    pub pos: u32,
    /// Name of the template.
    pub name: Arc<str>,
    /// The pipeline of the new dot.
    pub pipe: Option<u32>,
}

/// A pipeline with its declarations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pipe {
    /// Offset of its first token.
    pub pos: u32,
    /// `=` instead of `:=`.
    pub assign: bool,
    /// Declared or assigned variables.
    pub declared: Few,
    /// The commands.
    pub commands: Few,
}

/// One command: a function or value and its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    /// Offset of its first token.
    pub pos: u32,
    /// Operands, the first names what is called.
    pub args: Few,
}

/// An operand and its offset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand {
    /// Offset as Go counts it (for chains: of the second field).
    pub pos: u32,
    /// What it is.
    pub term: Term,
}

/// What an operand can be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Term {
    /// A function's name.
    Identifier(Span),
    /// `.a.b`.
    Field(Span),
    /// `$x.a.b`.
    Variable(Span),
    /// `(pipe).a.b` or `f.a`: the operand, and `.a.b`.
    Chain(u32, Span),
    /// `.`.
    Dot,
    /// `nil`.
    Nil,
    /// `true`, `false`.
    Bool(bool),
    /// A number.
    Number(Span),
    /// A character constant.
    Char(Span),
    /// A string.
    Str(Span),
    /// `( … )`.
    Pipe(u32),
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

/// A node with its tree.
#[derive(Debug)]
pub(crate) struct Shown<'a, T> {
    tree: &'a Tree,
    node: T,
}

impl fmt::Display for Shown<'_, Pipe> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown { tree, node: pipe } = self;
        for (i, name) in pipe.declared.of(&tree.declared).iter().enumerate() {
            write!(f, "{}{}", if i > 0 { ", " } else { "" }, tree.written(*name))?;
        }
        if pipe.declared.len() > 0 {
            write!(f, " {} ", if pipe.assign { "=" } else { ":=" })?;
        }
        for (i, command) in pipe.commands.of(&tree.commands).iter().enumerate() {
            write!(f, "{}{}", if i > 0 { " | " } else { "" }, Shown { tree, node: *command })?;
        }
        Ok(())
    }
}

impl fmt::Display for Shown<'_, Command> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown { tree, node: command } = self;
        for (i, operand) in command.args.of(&tree.operands).iter().enumerate() {
            write!(f, "{}{}", if i > 0 { " " } else { "" }, Shown { tree, node: *operand })?;
        }
        Ok(())
    }
}

impl fmt::Display for Shown<'_, Operand> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown { tree, node: operand } = self;
        match operand.term {
            Term::Identifier(span) | Term::Field(span) | Term::Variable(span) | Term::Number(span) | Term::Char(span) | Term::Str(span) => {
                f.write_str(tree.written(span))
            }
            Term::Chain(inner, fields) => write!(f, "{}{}", Shown { tree, node: tree.operands[inner as usize] }, tree.written(fields)),
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Bool(b) => write!(f, "{b}"),
            Term::Pipe(pipe) => write!(f, "({})", Shown { tree, node: tree.pipes[pipe as usize] }),
        }
    }
}

impl fmt::Display for Shown<'_, &Invocation> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown { tree, node: call } = self;
        write!(f, "{{{{template {}", super::quote(&call.name))?;
        if let Some(pipe) = call.pipe {
            write!(f, " {}", Shown { tree, node: tree.pipes[pipe as usize] })?;
        }
        f.write_str("}}")
    }
}

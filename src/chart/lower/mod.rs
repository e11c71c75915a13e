//! From the typed tree to a resolved program, made when a template is first executed: control flow is a flat list of operations with jumps, functions and
//! constants are looked up, variables are numbers.
//!
//! The tree is kept beside the program for one purpose: an error names the node it happened at, and its text is made only then.

mod expr;
mod site;

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use super::gotmpl::{self, Control, Node, Template};

pub(crate) use expr::{Callee, Command, Expr, Literal, Pipe, Term};
pub(crate) use site::{Part, Site};

/// A variable of a template; `$` is [`Variable::ROOT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variable(u32);

impl Variable {
    /// `$`.
    pub(crate) const ROOT: Variable = Variable(0);
}

/// A template, ready to be executed.
#[derive(Debug)]
pub(crate) struct Code {
    /// What it is made from.
    template: Template,
    /// Made when it is first executed: of a library's templates, a chart uses few.
    lowered: OnceCell<Lowered>,
}

#[derive(Debug)]
struct Lowered {
    /// Names of the variables, by number.
    variables: Vec<String>,
    /// What to do, in order.
    ops: Vec<Op>,
}

/// One step. Scopes are opened and closed as Go marks and pops its stack of variables.
#[derive(Debug)]
pub(crate) enum Op {
    /// Writes a piece of the source.
    Text(Range<usize>),
    /// Evaluates and prints.
    Print(Pipe),
    /// Evaluates for the variables it sets.
    Evaluate(Pipe),
    /// Opens a scope of variables.
    Open,
    /// Closes the last one.
    Close,
    /// Goes on elsewhere.
    Jump(usize),
    /// `if`: goes on elsewhere when it is false.
    If(Pipe, usize),
    /// `with`: the same; when it is true, dot changes until [`Op::Restore`].
    With(Pipe, usize),
    /// Ends what a [`Op::With`] began.
    Restore,
    /// `range`: the body follows.
    Range(Box<Loop>),
    /// The end of a body of `range`.
    Next,
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// `template`.
    Invoke(Box<Invocation>),
}

/// The head of a `range`.
#[derive(Debug)]
pub(crate) struct Loop {
    /// What it visits.
    pub pipe: Pipe,
    /// Where to go on when there is nothing to visit.
    pub otherwise: usize,
    /// Where to go on after the last element.
    pub end: usize,
}

/// `{{template "name" pipeline}}`.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// Where it is.
    pub site: Site,
    /// Name of the template.
    pub name: Arc<str>,
    /// The new dot.
    pub pipe: Option<Pipe>,
}

impl Code {
    /// A template's, without the work.
    pub(crate) fn new(template: Template) -> Self {
        Self { template, lowered: OnceCell::new() }
    }

    fn lowered(&self) -> &Lowered {
        self.lowered.get_or_init(|| {
            let mut lowering = Lowering { variables: vec!["$".to_owned()], ops: Vec::new() };
            lowering.body(&self.template.body);
            let Lowering { variables, ops } = lowering;
            Lowered { variables, ops }
        })
    }

    /// What to do, in order.
    pub(crate) fn ops(&self) -> &[Op] {
        &self.lowered().ops
    }

    /// The text that [`Op::Text`] means.
    pub(crate) fn text(&self, range: &Range<usize>) -> &str {
        &self.template.source.text[range.clone()]
    }

    /// Name of the template.
    pub(crate) fn name(&self) -> &str {
        &self.template.name
    }

    /// Whether it may be replaced by anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.template.is_empty()
    }

    /// Go's name of a variable, with its `$`.
    pub(crate) fn variable(&self, variable: Variable) -> &str {
        self.lowered().variables.get(variable.0 as usize).map_or("$", String::as_str)
    }

    /// Go's text of an error at a node (`state.errorf`, `Template.ErrorContext`).
    pub(crate) fn error(&self, site: Site, message: &str) -> String {
        let context = site::text(&self.template.body, site);
        let location = self.template.source.location(site.pos as usize);
        format!("template: {location}: executing {} at <{context}>: {message}", gotmpl::quote(&self.template.name))
    }

    /// Where a node is: `template:line:column`.
    pub(crate) fn place(&self, site: Site) -> String {
        self.template.source.location(site.pos as usize)
    }

    /// The text of a node.
    pub(crate) fn written(&self, site: Site) -> String {
        site::text(&self.template.body, site)
    }
}

struct Lowering {
    variables: Vec<String>,
    ops: Vec<Op>,
}

impl Lowering {
    fn variable(&mut self, name: &str) -> Variable {
        let at = self.variables.iter().position(|known| known == name).unwrap_or_else(|| {
            self.variables.push(name.to_owned());
            self.variables.len() - 1
        });
        Variable(u32::try_from(at).unwrap_or(u32::MAX))
    }

    fn body(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Text(range) => self.ops.push(Op::Text(range.clone())),
                Node::Action(pipe) => {
                    let prints = pipe.decl.is_empty();
                    let pipe = self.pipe(pipe);
                    self.ops.push(if prints { Op::Print(pipe) } else { Op::Evaluate(pipe) });
                }
                Node::Branch(control, branches, otherwise) => self.branch(*control, branches, otherwise),
                Node::Range(pipe, body, otherwise) => self.range(pipe, body, otherwise),
                Node::Template(call) => {
                    let pipe = call.pipe.as_ref().map(|pipe| self.pipe(pipe));
                    let site = Site::new(call.pos, Part::Invocation);
                    self.ops.push(Op::Invoke(Box::new(Invocation { site, name: Arc::from(call.name.as_str()), pipe })));
                }
                Node::Break => self.ops.push(Op::Break),
                Node::Continue => self.ops.push(Op::Continue),
            }
        }
    }

    fn branch(&mut self, control: Control, branches: &[(gotmpl::Pipe, Vec<Node>)], otherwise: &[Node]) {
        self.ops.push(Op::Open);
        let mut jumps = Vec::with_capacity(branches.len());
        for (pipe, body) in branches {
            let pipe = self.pipe(pipe);
            let head = self.ops.len();
            self.ops.push(Op::Jump(0));
            self.body(body);
            if control == Control::With {
                self.ops.push(Op::Restore);
            }
            jumps.push(self.ops.len());
            self.ops.push(Op::Jump(0));
            let next = self.ops.len();
            self.ops[head] = if control == Control::With { Op::With(pipe, next) } else { Op::If(pipe, next) };
        }
        self.body(otherwise);
        let end = self.ops.len();
        for jump in jumps {
            self.ops[jump] = Op::Jump(end);
        }
        self.ops.push(Op::Close);
    }

    fn range(&mut self, pipe: &gotmpl::Pipe, body: &[Node], otherwise: &[Node]) {
        self.ops.push(Op::Open);
        let pipe = self.pipe(pipe);
        let head = self.ops.len();
        self.ops.push(Op::Next);
        self.body(body);
        self.ops.push(Op::Next);
        let empty = self.ops.len();
        self.body(otherwise);
        let end = self.ops.len();
        self.ops.push(Op::Close);
        self.ops[head] = Op::Range(Box::new(Loop { pipe, otherwise: empty, end }));
    }
}

//! From the typed tree to a resolved program, made when a template is first executed: control flow is a flat list of operations with jumps, functions and
//! constants are looked up, variables are numbers.
//!
//! The tree is kept beside the program for one purpose: an error names the node it happened at, and its text is made only then.

mod expr;
mod site;

use std::cell::OnceCell;
use std::sync::Arc;

use super::gotmpl::{self, Control, Few, Node, Span, Template, Tree};

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
    variables: Vec<Span>,
    /// What to do, in order.
    ops: Vec<Op>,
}

/// One step. Scopes are opened and closed as Go marks and pops its stack of variables.
#[derive(Debug)]
pub(crate) enum Op {
    /// Writes a piece of the source.
    Text(Span),
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
            let mut lowering = Lowering { tree: &self.template.tree, variables: Vec::new(), ops: Vec::new() };
            lowering.body(self.template.body);
            let Lowering { variables, ops, .. } = lowering;
            Lowered { variables, ops }
        })
    }

    /// What to do, in order.
    pub(crate) fn ops(&self) -> &[Op] {
        &self.lowered().ops
    }

    /// What is written there: the text of [`Op::Text`], the names of fields with their points.
    pub(crate) fn text(&self, span: Span) -> &str {
        self.template.tree.written(span)
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
        let named = (variable.0 as usize).checked_sub(1).and_then(|at| self.lowered().variables.get(at));
        named.map_or("$", |name| self.text(*name))
    }

    /// Go's text of an error at a node (`state.errorf`, `Template.ErrorContext`).
    pub(crate) fn error(&self, site: Site, message: &str) -> String {
        let context = site::text(&self.template.tree, site);
        let location = self.template.tree.location(site.pos as usize);
        format!("template: {location}: executing {} at <{context}>: {message}", gotmpl::quote(&self.template.name))
    }

    /// Where a node is: `template:line:column`.
    pub(crate) fn place(&self, site: Site) -> String {
        self.template.tree.location(site.pos as usize)
    }

    /// The text of a node.
    pub(crate) fn written(&self, site: Site) -> String {
        site::text(&self.template.tree, site)
    }
}

struct Lowering<'t> {
    tree: &'t Tree,
    /// All but `$`, by number.
    variables: Vec<Span>,
    ops: Vec<Op>,
}

impl Lowering<'_> {
    fn variable(&mut self, name: Span) -> Variable {
        let text = self.tree.written(name);
        if text == "$" {
            return Variable::ROOT;
        }
        let at = self.variables.iter().position(|known| self.tree.written(*known) == text).unwrap_or_else(|| {
            self.variables.push(name);
            self.variables.len() - 1
        });
        Variable(u32::try_from(at + 1).unwrap_or(u32::MAX))
    }

    fn body(&mut self, body: Few) {
        let tree = self.tree;
        for node in body.of(&tree.nodes) {
            match node {
                Node::Text(span) => self.ops.push(Op::Text(*span)),
                Node::Action(pipe) => {
                    let pipe = self.pipe(*pipe);
                    self.ops.push(if pipe.decl.is_empty() { Op::Print(pipe) } else { Op::Evaluate(pipe) });
                }
                Node::Branch(control, arms, otherwise) => self.branch(*control, *arms, *otherwise),
                Node::Range(pipe, body, otherwise) => self.range(*pipe, *body, *otherwise),
                Node::Template(call) => {
                    let call = &tree.invocations[*call as usize];
                    let pipe = call.pipe.map(|pipe| self.pipe(pipe));
                    let site = Site::new(call.pos, Part::Invocation);
                    self.ops.push(Op::Invoke(Box::new(Invocation { site, name: Arc::clone(&call.name), pipe })));
                }
                Node::Break => self.ops.push(Op::Break),
                Node::Continue => self.ops.push(Op::Continue),
            }
        }
    }

    fn branch(&mut self, control: Control, arms: Few, otherwise: Few) {
        self.ops.push(Op::Open);
        let tree = self.tree;
        let mut jumps = Vec::with_capacity(arms.len());
        for arm in arms.of(&tree.arms) {
            let pipe = self.pipe(arm.pipe);
            let head = self.ops.len();
            self.ops.push(Op::Jump(0));
            self.body(arm.body);
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

    fn range(&mut self, pipe: u32, body: Few, otherwise: Few) {
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

//! From the typed tree to minijinja source with private delimiters.
//!
//! One minijinja template per named template. Control flow becomes minijinja's; every evaluation becomes a call of one of the
//! few functions in `engine::machine`, with the number of a [`Site`] first: what to do there, and where "there" is in the chart.
//! Go variables are minijinja variables of a name of their own; those that are assigned to with `=` are cells, because minijinja's scopes
//! cannot be written to from within.

mod expr;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::funcs::Function;
use super::gotmpl::{Control, Node, Pipe, Template, Text};
use super::value::Go;

/// Delimiters that no chart holds: control characters (a literal one in a chart's text is passed as a constant).
pub(crate) const MARK: char = '\u{1}';

/// What happens at a place.
#[derive(Debug)]
pub(crate) enum Action {
    /// A function call; for each written argument, what literal it is.
    Call(&'static Function, Vec<Argument>),
    /// Field access along these names; arguments go to the last. Whether a nil to start from gives nil: what a pipeline
    /// evaluates to is no value in Go, and fields of that are none either; an element of a list that is nil is a nil pointer.
    Fields(Vec<Arc<str>>, bool),
    /// A constant.
    Constant(Go),
    /// Iteration.
    Range,
    /// Invocation of a template.
    Template(String),
    /// Always an error, with this message.
    Fail(String),
}

/// An argument as written, for the errors of arguments.
#[derive(Debug)]
pub(crate) struct Argument {
    /// Its text.
    pub text: String,
    /// Its offset.
    pub pos: usize,
    /// Whether it is a literal: Go converts literals, and nothing else.
    pub literal: bool,
}

/// A place in a chart where something is evaluated.
#[derive(Debug)]
pub(crate) struct Site {
    /// Name of the template that is executing there.
    pub template: Arc<str>,
    /// The text it is in.
    pub source: Arc<Text>,
    /// Byte offset.
    pub pos: usize,
    /// The node as Go prints it.
    pub context: String,
    /// What to do.
    pub action: Action,
}

impl Site {
    /// Go's `ExecError` text.
    pub(crate) fn error(&self, message: &str) -> String {
        self.error_at(self.pos, &self.context, message)
    }

    /// The same for one of the arguments.
    pub(crate) fn error_at(&self, pos: usize, context: &str, message: &str) -> String {
        format!("template: {}: executing {} at <{context}>: {message}", self.source.location(pos), super::gotmpl::quote(&self.template))
    }
}

/// Where lowered sites are kept.
pub(crate) trait Sites {
    /// Keeps a site and tells its number.
    fn add(&self, site: Site) -> usize;
}

/// Lowers one named template.
pub(crate) fn lower(template: &Template, sites: &dyn Sites) -> String {
    let mut assigned = BTreeSet::new();
    expr::assigned(&template.body, &mut assigned);
    let mut lowering = Lowering {
        name: Arc::from(template.name.as_str()),
        source: &template.source,
        sites,
        assigned,
        scope: vec![("$".to_owned(), "dot".to_owned(), false)],
        counter: 0,
        elements: BTreeSet::new(),
        out: String::with_capacity(template.source.text.len() * 2),
    };
    lowering.body(&template.body, "dot");
    lowering.out
}

struct Lowering<'a> {
    name: Arc<str>,
    source: &'a Arc<Text>,
    sites: &'a dyn Sites,
    assigned: BTreeSet<String>,
    /// Go name, minijinja name, whether it is a cell.
    scope: Vec<(String, String, bool)>,
    counter: usize,
    /// Variables that hold what `range` visits.
    elements: BTreeSet<String>,
    out: String,
}

impl Lowering<'_> {
    fn site(&self, pos: usize, context: String, action: Action) -> usize {
        self.sites.add(Site { template: Arc::clone(&self.name), source: Arc::clone(self.source), pos, context, action })
    }

    fn fresh(&mut self, prefix: char) -> String {
        self.counter += 1;
        format!("{prefix}{}", self.counter)
    }

    fn statement(&mut self, text: &str) {
        let _ = write!(self.out, "{MARK}% {text} %{MARK}");
    }

    fn print(&mut self, expression: &str) {
        let _ = write!(self.out, "{MARK}{{ {expression} }}{MARK}");
    }

    fn body(&mut self, nodes: &[Node], dot: &str) {
        for node in nodes {
            match node {
                Node::Text(text) if text.contains(MARK) => {
                    let site = self.site(0, String::new(), Action::Constant(text.as_str().into()));
                    self.print(&format!("k({site})"));
                }
                Node::Text(text) => self.out.push_str(text),
                Node::Action(pipe) => self.action(pipe, dot),
                Node::Control(Control::Range, pipe, body, other) => self.range(pipe, body, other.as_deref(), dot),
                Node::Control(control, pipe, body, other) => self.branch(*control, pipe, body, other.as_deref(), dot),
                Node::Template(call) => {
                    let argument = call.pipe.as_ref().map_or_else(|| "none".to_owned(), |pipe| self.declared(pipe, dot));
                    let site = self.site(call.pos, call.to_string(), Action::Template(call.name.clone()));
                    self.print(&format!("t({site}, {argument})"));
                }
                Node::Break => self.statement("break"),
                Node::Continue => self.statement("continue"),
            }
        }
    }

    fn action(&mut self, pipe: &Pipe, dot: &str) {
        if pipe.decl.is_empty() {
            let value = self.pipeline(pipe, dot);
            self.print(&value);
        } else {
            self.declared(pipe, dot);
        }
    }

    /// Evaluates a pipeline into its variables (if any) and names an expression for its value.
    fn declared(&mut self, pipe: &Pipe, dot: &str) -> String {
        let value = self.pipeline(pipe, dot);
        let Some(name) = pipe.decl.first() else { return value };
        if pipe.assign {
            let temporary = self.fresh('x');
            self.statement(&format!("set {temporary} = {value}"));
            self.assign(name, &temporary);
            return temporary;
        }
        self.declare(name, &value)
    }

    /// Declares a Go variable and names an expression that reads it.
    fn declare(&mut self, name: &str, value: &str) -> String {
        let variable = self.fresh('v');
        let cell = self.assigned.contains(name);
        if cell {
            self.statement(&format!("set {variable} = cell({value})"));
        } else {
            self.statement(&format!("set {variable} = {value}"));
        }
        self.elements.remove(name);
        self.scope.push((name.to_owned(), variable.clone(), cell));
        if cell { format!("get({variable})") } else { variable }
    }

    fn assign(&mut self, name: &str, value: &str) {
        if let Some((_, variable, true)) = self.scope.iter().rev().find(|(n, ..)| n == name) {
            let text = format!("do put({variable}, {value})");
            self.statement(&text);
        }
    }

    fn branch(&mut self, control: Control, pipe: &Pipe, body: &[Node], other: Option<&[Node]>, dot: &str) {
        let mark = self.scope.len();
        let value = self.declared(pipe, dot);
        let mut inner = dot.to_owned();
        if control == Control::With {
            inner = self.fresh('d');
            self.statement(&format!("set {inner} = {value}"));
            self.statement(&format!("if {inner}"));
        } else {
            self.statement(&format!("if {value}"));
        }
        let branch = self.scope.len();
        self.body(body, &inner);
        self.scope.truncate(branch);
        if let Some(other) = other {
            self.statement("else");
            self.body(other, dot);
        }
        self.statement("endif");
        self.scope.truncate(mark);
    }

    fn range(&mut self, pipe: &Pipe, body: &[Node], other: Option<&[Node]>, dot: &str) {
        let mark = self.scope.len();
        let value = self.pipeline(pipe, dot);
        let site = self.site(pipe.pos, pipe.to_string(), Action::Range);
        let element = self.fresh('d');
        let names: Vec<String> = pipe.decl.clone();
        if let [key_name, element_name] = &names[..] {
            let key = self.fresh('i');
            self.statement(&format!("for {key}, {element} in pairs({site}, {value})"));
            self.bind(pipe.assign, key_name, &key);
            self.bind(pipe.assign, element_name, &element);
        } else {
            self.statement(&format!("for {element} in each({site}, {value})"));
            if let [name] = &names[..] {
                self.bind(pipe.assign, name, &element);
            }
        }
        self.body(body, &element);
        self.scope.truncate(mark);
        if let Some(other) = other {
            self.statement("else");
            self.body(other, dot);
            self.scope.truncate(mark);
        }
        self.statement("endfor");
    }

    fn bind(&mut self, assign: bool, name: &str, value: &str) {
        if assign {
            self.assign(name, value);
        } else {
            self.declare(name, value);
            self.elements.insert(name.to_owned());
        }
    }
}

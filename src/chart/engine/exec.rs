//! Executes a template: Go's text/template/exec.go (`state`), with two differences in form. Control flow is a loop over operations with
//! a stack of scopes of its own, so that neither nesting nor `template` uses the thread's stack; and whether a value was found in an
//! interface, which decides texts of errors and what nil means, is a flag of [`Val`].

use std::rc::Rc;
use std::sync::Arc;

use super::Run;
use crate::chart::lower::{Code, Invocation, Loop, Op, Pipe, Site, Variable};
use crate::chart::meter;
use crate::chart::value::{Element, Go, IntKind, List, MapType, print, take_overflow};

/// What an invocation takes.
const CALL: u64 = 256;
/// Go's limit on nested `template` (`maxExecDepth`).
const MAX_TEMPLATES: usize = 100_000;

/// A `reflect.Value`.
#[derive(Debug, Clone)]
pub(super) struct Val {
    /// What is in it.
    pub go: Go,
    /// Whether its type is `interface {}`. Without, nil means the zero `reflect.Value`: no value at all.
    pub interface: bool,
}

impl Val {
    /// A value of a type of its own.
    pub(super) fn concrete(go: Go) -> Self {
        Val { go, interface: false }
    }

    /// What an `interface {}` holds.
    pub(super) fn interface(go: Go) -> Self {
        Val { go, interface: true }
    }

    /// The zero `reflect.Value`.
    pub(super) fn invalid() -> Self {
        Val::concrete(Go::Nil)
    }

    /// Go's name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        if self.interface { "interface {}" } else { self.go.type_name() }
    }
}

/// What a scope gives back when it is left.
#[derive(Debug)]
enum Scope {
    /// So many variables.
    Variables(usize),
    /// Dot, after `with`.
    With(Val),
    /// Dot, after `range`, and where that stands.
    Loop(Box<Iteration>),
    /// The template that invoked this one.
    Call(Box<Caller>),
}

#[derive(Debug)]
struct Caller {
    code: Rc<Code>,
    next: usize,
    base: usize,
    dot: Val,
}

/// A `range` on its way.
#[derive(Debug)]
struct Iteration {
    items: Items,
    /// The operation of the `range`; its body follows.
    head: usize,
    /// Variables when the body begins.
    mark: usize,
    dot: Val,
}

/// What is still to be visited.
#[derive(Debug)]
enum Items {
    List(Arc<List>, usize),
    Bytes(Arc<[u8]>, usize),
    Map(std::vec::IntoIter<(Arc<str>, Go)>, bool),
    Int { next: i64, end: i64, kind: IntKind },
}

impl Items {
    /// The next key and element.
    fn advance(&mut self) -> Option<(Val, Val)> {
        Some(match self {
            Items::List(list, at) => {
                let element = Val { go: list.get(*at)?.clone(), interface: list.element() == Element::Any };
                let key = Go::int(*at);
                *at += 1;
                (Val::concrete(key), element)
            }
            Items::Bytes(bytes, at) => {
                let element = Go::Int(i64::from(*bytes.get(*at)?), IntKind::Uint8);
                let key = Go::int(*at);
                *at += 1;
                (Val::concrete(key), Val::concrete(element))
            }
            Items::Map(entries, interface) => {
                let (key, go) = entries.next()?;
                (Val::concrete(Go::Str(key)), Val { go, interface: *interface })
            }
            Items::Int { next, end, kind } => {
                if next >= end {
                    return None;
                }
                let element = Go::Int(*next, *kind);
                *next += 1;
                (Val::invalid(), Val::concrete(element))
            }
        })
    }
}

/// Memory that one execution leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    vars: Vec<(Variable, Val)>,
    scopes: Vec<Scope>,
}

/// How a stretch of operations ended.
enum Flow {
    /// Another template goes on.
    Switch,
    /// There is no more to do.
    Done,
}

/// A template being executed.
pub(super) struct Exec<'r> {
    pub(super) run: &'r Run,
    pub(super) code: Rc<Code>,
    /// The node at work (`state.node`).
    pub(super) at: Site,
    pub(super) dot: Val,
    next: usize,
    vars: Vec<(Variable, Val)>,
    /// Where the variables of this template begin.
    base: usize,
    scopes: Vec<Scope>,
    depth: usize,
    out: String,
}

impl<'r> Exec<'r> {
    pub(super) fn new(run: &'r Run, code: Rc<Code>, dot: Go, mut buffers: Buffers) -> Self {
        let dot = Val::concrete(dot);
        buffers.vars.push((Variable::ROOT, dot.clone()));
        let Buffers { vars, scopes } = buffers;
        Exec { run, code, at: Site::START, dot, next: 0, vars, base: 0, scopes, depth: 0, out: String::new() }
    }

    /// The memory, and what was written.
    pub(super) fn finish(mut self) -> (Buffers, String) {
        self.vars.clear();
        self.scopes.clear();
        (Buffers { vars: self.vars, scopes: self.scopes }, self.out)
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        loop {
            let code = Rc::clone(&self.code);
            match self.operations(&code) {
                Ok(Flow::Done) => return Ok(()),
                Ok(Flow::Switch) => {}
                Err(error) => {
                    self.run.end_at(|| self.code.place(self.at));
                    return Err(error);
                }
            }
        }
    }

    /// Go's `errorf`.
    pub(super) fn fail<T>(&self, message: &str) -> Result<T, String> {
        // A node can be as long as its file, and every nested template adds one: what ends the run is told without them.
        if meter::used_up().is_some() {
            return Err(message.to_owned());
        }
        meter::copying(message.len() as u64)?;
        let error = self.code.error(self.at, message);
        // The shorter text is gone when the next level adds to this one.
        meter::bytes((error.len() - message.len()) as u64 * 2)?;
        Err(error)
    }

    fn operations(&mut self, code: &Code) -> Result<Flow, String> {
        let ops = code.ops();
        loop {
            let Some(op) = ops.get(self.next) else {
                return Ok(self.returned());
            };
            self.run.step()?;
            self.next += 1;
            match op {
                Op::Text(span) => {
                    let text = code.text(*span);
                    self.run.reserve(text.len() as u64)?;
                    self.out.push_str(text);
                }
                Op::Print(pipe) => self.print(pipe)?,
                Op::Evaluate(pipe) => {
                    self.pipeline(pipe)?;
                }
                Op::Open => self.scopes.push(Scope::Variables(self.vars.len())),
                Op::Close => {
                    if let Some(Scope::Variables(mark)) = self.scopes.pop() {
                        self.vars.truncate(mark);
                    }
                }
                Op::Jump(to) => self.next = *to,
                Op::If(pipe, otherwise) => {
                    if !self.pipeline(pipe)?.go.truth() {
                        self.next = *otherwise;
                    }
                }
                Op::With(pipe, otherwise) => {
                    let value = self.pipeline(pipe)?;
                    if value.go.truth() {
                        self.scopes.push(Scope::With(std::mem::replace(&mut self.dot, value)));
                    } else {
                        self.next = *otherwise;
                    }
                }
                Op::Restore => {
                    if let Some(Scope::With(dot)) = self.scopes.pop() {
                        self.dot = dot;
                    }
                }
                Op::Range(head) => self.range(head)?,
                Op::Next => self.advance(code),
                Op::Break => {
                    self.unwind();
                    self.leave(code);
                }
                Op::Continue => {
                    self.unwind();
                    self.advance(code);
                }
                Op::Invoke(call) => {
                    self.invoke(call)?;
                    return Ok(Flow::Switch);
                }
            }
        }
    }

    fn print(&mut self, pipe: &Pipe) -> Result<(), String> {
        let value = self.pipeline(pipe)?;
        let before = self.out.len();
        print(&value.go, &mut self.out);
        if !matches!(value.go, Go::Str(_)) {
            take_overflow().or_else(|error| self.fail(&error))?;
        }
        self.run.reserve((self.out.len() - before) as u64)
    }

    /// `walkTemplate`.
    fn invoke(&mut self, call: &Invocation) -> Result<(), String> {
        self.at = call.site;
        let Some(code) = self.run.find(&call.name) else {
            return self.fail(&format!("template {} not defined", crate::chart::gotmpl::quote(&call.name)));
        };
        if self.depth == MAX_TEMPLATES {
            return self.fail(&format!("exceeded maximum template depth ({MAX_TEMPLATES})"));
        }
        let dot = match &call.pipe {
            Some(pipe) => self.pipeline(pipe)?,
            None => Val::invalid(),
        };
        self.depth += 1;
        let caller = Caller {
            code: std::mem::replace(&mut self.code, code),
            next: std::mem::take(&mut self.next),
            base: std::mem::replace(&mut self.base, self.vars.len()),
            dot: std::mem::replace(&mut self.dot, dot.clone()),
        };
        self.run.reserve(CALL)?;
        self.at = Site::START;
        self.scopes.push(Scope::Call(Box::new(caller)));
        self.vars.push((Variable::ROOT, dot));
        Ok(())
    }

    /// Back to the template that invoked this one, if there is one.
    fn returned(&mut self) -> Flow {
        let Some(Scope::Call(caller)) = self.scopes.pop() else { return Flow::Done };
        self.vars.truncate(self.base);
        self.depth -= 1;
        let Caller { code, next, base, dot } = *caller;
        (self.code, self.next, self.base, self.dot) = (code, next, base, dot);
        Flow::Switch
    }

    /// `walkRange`.
    fn range(&mut self, head: &Loop) -> Result<(), String> {
        let at = self.next - 1;
        let value = self.pipeline(&head.pipe)?;
        let items = self.items(value.go, head.pipe.decl.len() > 1)?;
        let Some(mut items) = items else {
            self.next = head.otherwise;
            return Ok(());
        };
        let Some((key, element)) = items.advance() else {
            self.next = head.otherwise;
            return Ok(());
        };
        let iteration = Iteration { items, head: at, mark: self.vars.len(), dot: self.dot.clone() };
        self.scopes.push(Scope::Loop(Box::new(iteration)));
        self.visit(&head.pipe, key, element)
    }

    /// The `oneIteration` of `walkRange`, up to its body.
    fn visit(&mut self, pipe: &Pipe, key: Val, element: Val) -> Result<(), String> {
        match (&*pipe.decl, pipe.assign) {
            ([], _) => {}
            ([one], true) => self.assign(*one, &element)?,
            ([one, two, ..], true) => {
                self.assign(*one, &key)?;
                self.assign(*two, &element)?;
            }
            (names, false) => {
                let top = self.vars.len();
                self.vars[top - 1].1 = element.clone();
                if names.len() > 1 {
                    self.vars[top - 2].1 = key;
                }
            }
        }
        self.dot = element;
        Ok(())
    }

    /// What `range` visits, nothing for nil.
    fn items(&self, value: Go, pairs: bool) -> Result<Option<Items>, String> {
        Ok(Some(match value {
            Go::Nil => return Ok(None),
            Go::List(list) => Items::List(list, 0),
            Go::Bytes(bytes) => Items::Bytes(bytes, 0),
            Go::Map(map) => Items::Map(map.entries().into_iter(), map.map_type() != MapType::Strings),
            Go::Int(n, _) if pairs => return self.fail(&format!("can't use {n} to iterate over more than one variable")),
            Go::Int(end, kind) => Items::Int { next: 0, end, kind },
            Go::Host(ref host) if !matches!(host.kind(), "struct" | "ptr") => match host.entries() {
                Some(entries @ (Go::List(_) | Go::Map(_))) => return self.items(entries, pairs),
                _ => return self.unfit(&value),
            },
            other => return self.unfit(&other),
        }))
    }

    fn unfit<T>(&self, value: &Go) -> Result<T, String> {
        let mut text = String::new();
        print(value, &mut text);
        self.fail(&format!("range can't iterate over {text}"))
    }

    /// Leaves what was opened inside the body of the innermost `range`.
    fn unwind(&mut self) {
        while let Some(scope) = self.scopes.pop() {
            if let Scope::Loop(_) = scope {
                self.scopes.push(scope);
                return;
            }
        }
    }

    /// Goes on with the next element, or behind the `range`.
    fn advance(&mut self, code: &Code) {
        let Some(Scope::Loop(iteration)) = self.scopes.last_mut() else { return };
        self.vars.truncate(iteration.mark);
        let head = iteration.head;
        let item = iteration.items.advance();
        match (item, code.ops().get(head)) {
            (Some((key, element)), Some(Op::Range(range))) => {
                self.next = head + 1;
                // Only variables that are not there can fail, and those failed for the first element.
                let _ = self.visit(&range.pipe, key, element);
            }
            _ => self.leave(code),
        }
    }

    /// Ends the innermost `range`.
    fn leave(&mut self, code: &Code) {
        let Some(Scope::Loop(iteration)) = self.scopes.pop() else { return };
        let Iteration { head, dot, .. } = *iteration;
        self.dot = dot;
        if let Some(Op::Range(range)) = code.ops().get(head) {
            self.next = range.end;
        }
    }

    /// `varValue`.
    pub(super) fn variable(&self, variable: Variable) -> Result<&Val, String> {
        match self.vars[self.base..].iter().rev().find(|(name, _)| *name == variable) {
            Some((_, value)) => Ok(value),
            None => self.fail(&format!("undefined variable: {}", self.code.variable(variable))),
        }
    }

    /// `setVar`.
    pub(super) fn assign(&mut self, variable: Variable, value: &Val) -> Result<(), String> {
        match self.vars[self.base..].iter_mut().rev().find(|(name, _)| *name == variable) {
            Some((_, old)) => {
                *old = value.clone();
                Ok(())
            }
            None => self.fail(&format!("undefined variable: {}", self.code.variable(variable))),
        }
    }

    /// `push`.
    pub(super) fn declare(&mut self, variable: Variable, value: Val) {
        self.vars.push((variable, value));
    }
}

//! Pipelines, commands and operands.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Action, Argument, Lowering};
use crate::chart::funcs;
use crate::chart::gotmpl::{Command, Node, Number, Operand, Pipe, Term};
use crate::chart::value::Go;

/// The variables that a body assigns to with `=`, and those declared inside parentheses.
pub(super) fn assigned(nodes: &[Node], found: &mut BTreeSet<String>) {
    for node in nodes {
        match node {
            Node::Action(pipe) => in_pipe(pipe, found),
            Node::Control(_, pipe, body, other) => {
                in_pipe(pipe, found);
                assigned(body, found);
                assigned(other.as_deref().unwrap_or_default(), found);
            }
            Node::Template(call) => call.pipe.iter().for_each(|pipe| in_pipe(pipe, found)),
            Node::Text(_) | Node::Break | Node::Continue => {}
        }
    }
}

fn in_pipe(pipe: &Pipe, found: &mut BTreeSet<String>) {
    if pipe.assign {
        found.extend(pipe.decl.iter().cloned());
    }
    for operand in pipe.cmds.iter().flat_map(|cmd| &cmd.args) {
        in_operand(operand, found);
    }
}

fn in_operand(operand: &Operand, found: &mut BTreeSet<String>) {
    match &operand.term {
        Term::Pipe(pipe) => {
            found.extend(pipe.decl.iter().cloned());
            in_pipe(pipe, found);
        }
        Term::Chain(inner, _) => in_operand(inner, found),
        _ => {}
    }
}

fn names(fields: &[String]) -> Vec<Arc<str>> {
    fields.iter().map(|f| Arc::from(f.as_str())).collect()
}

fn number(number: Number) -> Result<Go, ()> {
    match number {
        Number::Int(n) => Ok(Go::int(n)),
        Number::Float(f) => Ok(Go::Float(f)),
        Number::Uint(_) | Number::Complex(..) => Err(()),
    }
}

impl Lowering<'_> {
    pub(super) fn pipeline(&mut self, pipe: &Pipe, dot: &str) -> String {
        let mut value: Option<String> = None;
        for cmd in &pipe.cmds {
            value = Some(self.command(cmd, value, dot));
        }
        value.unwrap_or_else(|| "none".to_owned())
    }

    fn command(&mut self, cmd: &Command, last: Option<String>, dot: &str) -> String {
        let first = &cmd.args[0];
        let has_args = cmd.args.len() > 1 || last.is_some();
        match &first.term {
            Term::Identifier(name) => self.call(name, cmd.pos, cmd.to_string(), &cmd.args[1..], last, dot),
            Term::Field(_) | Term::Variable(_) | Term::Chain(..) if has_args => self.method(first, &cmd.args[1..], last, dot),
            _ if has_args => {
                let message = format!("can't give argument to non-function {first}");
                let site = self.site(first.pos, first.to_string(), Action::Fail(message));
                format!("fail({site})")
            }
            Term::Nil => {
                let site = self.site(first.pos, first.to_string(), Action::Fail("nil is not a command".to_owned()));
                format!("fail({site})")
            }
            _ => self.operand(first, dot),
        }
    }

    fn method(&mut self, first: &Operand, args: &[Operand], last: Option<String>, dot: &str) -> String {
        let (receiver, fields) = match &first.term {
            Term::Field(fields) => (dot.to_owned(), names(fields)),
            Term::Variable(parts) if parts.len() > 1 => (self.variable(&parts[0]), names(&parts[1..])),
            Term::Chain(inner, fields) => (self.operand(inner, dot), names(fields)),
            _ => {
                let message = format!("can't give argument to non-function {first}");
                let site = self.site(first.pos, first.to_string(), Action::Fail(message));
                return format!("fail({site})");
            }
        };
        let mut parts = vec![receiver];
        for arg in args {
            parts.push(self.operand(arg, dot));
        }
        parts.extend(last);
        let site = self.site(first.pos, first.to_string(), Action::Fields(fields, self.tolerant(first, dot)));
        format!("f({site}, {})", parts.join(", "))
    }

    fn call(&mut self, name: &str, pos: usize, context: String, args: &[Operand], last: Option<String>, dot: &str) -> String {
        let mut parts: Vec<String> = Vec::with_capacity(args.len() + 1);
        for arg in args {
            parts.push(self.operand(arg, dot));
        }
        parts.extend(last);
        if matches!(name, "and" | "or") && !parts.is_empty() {
            return format!("({})", parts.join(&format!(" {name} ")));
        }
        if matches!(name, "and" | "or") {
            let message = format!("wrong number of args for {name}: want at least 1 got 0");
            let site = self.site(pos, name.to_owned(), Action::Fail(message));
            return format!("fail({site})");
        }
        let Some(function) = funcs::find(name) else {
            let site = self.site(pos, context, Action::Fail(format!("{name:?} is not a defined function")));
            return format!("fail({site})");
        };
        let arguments = args
            .iter()
            .map(|arg| Argument { text: arg.to_string(), pos: arg.pos, literal: matches!(arg.term, Term::Bool(_) | Term::Number(..) | Term::Str(..)) })
            .collect();
        let site = self.site(pos, context, Action::Call(function, arguments));
        parts.insert(0, site.to_string());
        format!("c({})", parts.join(", "))
    }

    /// Whether fields of nil are nil here (see [`Action::Fields`]).
    fn tolerant(&self, operand: &Operand, dot: &str) -> bool {
        match &operand.term {
            Term::Chain(..) => true,
            Term::Variable(parts) => !self.elements.contains(&parts[0]),
            _ => dot == "dot",
        }
    }

    fn variable(&self, name: &str) -> String {
        match self.scope.iter().rev().find(|(n, ..)| n == name) {
            Some((_, variable, true)) => format!("get({variable})"),
            Some((_, variable, false)) => variable.clone(),
            None => "none".to_owned(),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &str) -> String {
        let tolerant = self.tolerant(operand, dot);
        let (receiver, fields) = match &operand.term {
            Term::Identifier(name) => return self.call(name, operand.pos, name.clone(), &[], None, dot),
            Term::Dot => return dot.to_owned(),
            Term::Nil => return "none".to_owned(),
            Term::Bool(b) => return b.to_string(),
            Term::Number(n, text) => {
                let action = number(*n).map_or_else(|()| Action::Fail(format!("{text} overflows int")), Action::Constant);
                return self.constant(operand, action);
            }
            Term::Str(text, _) => return self.constant(operand, Action::Constant(text.as_str().into())),
            Term::Pipe(pipe) => return self.parenthesised(pipe, dot),
            Term::Variable(parts) if parts.len() == 1 => return self.variable(&parts[0]),
            Term::Variable(parts) => (self.variable(&parts[0]), names(&parts[1..])),
            Term::Field(fields) => (dot.to_owned(), names(fields)),
            Term::Chain(inner, fields) => (self.operand(inner, dot), names(fields)),
        };
        let site = self.site(operand.pos, operand.to_string(), Action::Fields(fields, tolerant));
        format!("f({site}, {receiver})")
    }

    fn constant(&mut self, operand: &Operand, action: Action) -> String {
        let function = if matches!(action, Action::Fail(_)) { "fail" } else { "k" };
        let site = self.site(operand.pos, operand.to_string(), action);
        format!("{function}({site})")
    }

    /// A pipeline in parentheses; what it declares lives on behind it, in a cell made before the statement it is in.
    fn parenthesised(&mut self, pipe: &Pipe, dot: &str) -> String {
        let value = self.pipeline(pipe, dot);
        let Some(name) = pipe.decl.first() else { return value };
        if !pipe.assign {
            self.declare(name, "none");
        }
        match self.scope.iter().rev().find(|(n, ..)| n == name) {
            Some((_, variable, true)) => format!("put({variable}, {value})"),
            _ => value,
        }
    }
}

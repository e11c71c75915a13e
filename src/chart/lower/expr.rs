//! Pipelines, commands and operands.

use std::sync::Arc;

use super::{Lowering, Part, Site, Variable};
use crate::chart::funcs::{self, Function};
use crate::chart::gotmpl::{self, Number};
use crate::chart::value::{Go, complex};

/// A pipeline.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Where it is.
    pub site: Site,
    /// `=` instead of `:=`.
    pub assign: bool,
    /// What it declares or assigns to.
    pub decl: Box<[Variable]>,
    /// Its commands.
    pub commands: Box<[Command]>,
}

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    /// Where it is.
    pub site: Site,
    /// What is called or evaluated.
    pub first: Expr,
    /// The arguments.
    pub args: Box<[Expr]>,
}

/// An operand.
#[derive(Debug)]
pub(crate) struct Expr {
    /// Where it is.
    pub site: Site,
    /// What it is.
    pub term: Term,
}

/// What an operand can be.
#[derive(Debug)]
pub(crate) enum Term {
    /// A function's name.
    Function(Callee),
    /// `.a.b`.
    Field(Box<[Arc<str>]>),
    /// `$x.a.b`.
    Variable(Variable, Box<[Arc<str>]>),
    /// `(pipe).a.b`.
    Chain(Box<Expr>, Box<[Arc<str>]>),
    /// `.`.
    Dot,
    /// `nil`.
    Nil,
    /// A constant.
    Literal(Box<Literal>),
    /// `( … )`.
    Pipe(Box<Pipe>),
}

/// What a name calls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Callee {
    /// A function.
    Function(&'static Function),
    /// `and`, which evaluates no more than it needs.
    And,
    /// `or`, likewise.
    Or,
    /// `call`, which knows the text of its first argument.
    Call,
    /// A name without a function; the parser refuses those, so this is for tables that differ.
    Unknown,
}

/// A constant.
#[derive(Debug)]
pub(crate) struct Literal {
    /// Its value where no type is asked for; none if it does not fit an `int` (`idealConstant`).
    pub ideal: Option<Go>,
    /// Its value as an integer, if it is one: `1e3` and `'a'` are.
    pub integer: Option<i64>,
}

fn names(fields: &[String]) -> Box<[Arc<str>]> {
    fields.iter().map(|f| Arc::from(f.as_str())).collect()
}

/// The whole number that a float is (`newNumber`).
fn whole(f: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the comparison shows whether it fits")]
    let n = f as i64;
    #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "Go compares like this")]
    (n as f64 == f && n != i64::MAX).then_some(n)
}

fn number(number: Number) -> Literal {
    match number {
        Number::Int(n) => Literal { ideal: Some(Go::int(n)), integer: Some(n) },
        Number::Float(f) => Literal { ideal: Some(Go::Float(f)), integer: whole(f) },
        Number::Uint(_) => Literal { ideal: None, integer: None },
        Number::Complex(re, im) => Literal { ideal: Some(complex(re, im)), integer: if im == 0.0 { whole(re) } else { None } },
    }
}

impl Lowering {
    pub(super) fn pipe(&mut self, pipe: &gotmpl::Pipe) -> Pipe {
        let commands = pipe.cmds.iter().map(|command| self.command(command)).collect();
        let decl = pipe.decl.iter().map(|name| self.variable(name)).collect();
        Pipe { site: Site::new(pipe.pos, Part::Pipe), assign: pipe.assign, decl, commands }
    }

    fn command(&mut self, command: &gotmpl::Command) -> Command {
        let mut operands = command.args.iter().map(|operand| self.operand(operand));
        let first = operands.next().unwrap_or(Expr { site: Site::new(command.pos, Part::Command), term: Term::Nil });
        Command { site: Site::new(command.pos, Part::Command), first, args: operands.collect() }
    }

    fn operand(&mut self, operand: &gotmpl::Operand) -> Expr {
        let literal = |literal: Literal| Term::Literal(Box::new(literal));
        let term = match &operand.term {
            gotmpl::Term::Identifier(name) => Term::Function(callee(name)),
            gotmpl::Term::Field(fields) => Term::Field(names(fields)),
            gotmpl::Term::Variable(parts) => Term::Variable(self.variable(&parts[0]), names(&parts[1..])),
            gotmpl::Term::Chain(inner, fields) => Term::Chain(Box::new(self.operand(inner)), names(fields)),
            gotmpl::Term::Dot => Term::Dot,
            gotmpl::Term::Nil => Term::Nil,
            gotmpl::Term::Bool(b) => literal(Literal { ideal: Some(Go::Bool(*b)), integer: None }),
            gotmpl::Term::Number(n, _) => literal(number(*n)),
            gotmpl::Term::Str(text, _) => literal(Literal { ideal: Some(text.as_str().into()), integer: None }),
            gotmpl::Term::Pipe(pipe) => Term::Pipe(Box::new(self.pipe(pipe))),
        };
        let part = if matches!(term, Term::Pipe(_)) { Part::Pipe } else { Part::Operand };
        // A pipeline in parentheses is one node with what is inside: both have the position of its first token.
        let pos = match &operand.term {
            gotmpl::Term::Pipe(pipe) => pipe.pos,
            _ => operand.pos,
        };
        Expr { site: Site::new(pos, part), term }
    }
}

fn callee(name: &str) -> Callee {
    match name {
        "and" => Callee::And,
        "or" => Callee::Or,
        "call" => Callee::Call,
        _ => funcs::find(name).map_or(Callee::Unknown, Callee::Function),
    }
}

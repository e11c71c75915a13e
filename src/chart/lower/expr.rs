//! Pipelines, commands and operands.

use super::{Lowering, Part, Site, Variable};
use crate::chart::funcs::{self, Function};
use crate::chart::gotmpl::{self, Number, Span};
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
    Field(Span),
    /// `$x.a.b`: the variable and `.a.b`, which may be empty.
    Variable(Variable, Span),
    /// `(pipe).a.b`: the operand and `.a.b`.
    Chain(Box<Expr>, Span),
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

/// A constant that the parser has read before.
fn constant(text: &str, char_constant: bool) -> Literal {
    gotmpl::number(text, char_constant).map_or(Literal { ideal: None, integer: None }, number)
}

impl Lowering<'_> {
    pub(super) fn pipe(&mut self, at: u32) -> Pipe {
        let tree = self.tree;
        let pipe = &tree.pipes[at as usize];
        let commands = pipe.commands.of(&tree.commands).iter().map(|command| self.command(command)).collect();
        let decl = pipe.declared.of(&tree.declared).iter().map(|name| self.variable(*name)).collect();
        Pipe { site: Site::new(pipe.pos, Part::Pipe), assign: pipe.assign, decl, commands }
    }

    fn command(&mut self, command: &gotmpl::Command) -> Command {
        let tree = self.tree;
        let mut operands = command.args.of(&tree.operands).iter().map(|operand| self.operand(operand));
        let first = operands.next().unwrap_or(Expr { site: Site::new(command.pos, Part::Command), term: Term::Nil });
        Command { site: Site::new(command.pos, Part::Command), first, args: operands.collect() }
    }

    fn operand(&mut self, operand: &gotmpl::Operand) -> Expr {
        let tree = self.tree;
        let literal = |literal: Literal| Term::Literal(Box::new(literal));
        let term = match operand.term {
            gotmpl::Term::Identifier(name) => Term::Function(callee(tree.written(name))),
            gotmpl::Term::Field(fields) => Term::Field(fields),
            gotmpl::Term::Variable(span) => {
                let text = tree.written(span);
                let length = u32::try_from(text.find('.').unwrap_or(text.len())).unwrap_or(u32::MAX);
                let (name, fields) = (Span { end: span.start + length, ..span }, Span { start: span.start + length, ..span });
                Term::Variable(self.variable(name), fields)
            }
            gotmpl::Term::Chain(inner, fields) => Term::Chain(Box::new(self.operand(&tree.operands[inner as usize])), fields),
            gotmpl::Term::Dot => Term::Dot,
            gotmpl::Term::Nil => Term::Nil,
            gotmpl::Term::Bool(b) => literal(Literal { ideal: Some(Go::Bool(b)), integer: None }),
            gotmpl::Term::Number(span) => literal(constant(tree.written(span), false)),
            gotmpl::Term::Char(span) => literal(constant(tree.written(span), true)),
            gotmpl::Term::Str(span) => {
                let text = gotmpl::unquote(tree.written(span)).unwrap_or_default();
                literal(Literal { ideal: Some((&*text).into()), integer: None })
            }
            gotmpl::Term::Pipe(pipe) => {
                // A pipeline in parentheses is one node with what is inside: both have the position of its first token.
                let pipe = self.pipe(pipe);
                return Expr { site: pipe.site, term: Term::Pipe(Box::new(pipe)) };
            }
        };
        Expr { site: Site::new(operand.pos, Part::Operand), term }
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

//! Pipelines, commands, operands and calls: the `eval…` functions of Go's text/template/exec.go.

use std::sync::Arc;

use super::exec::{Exec, Val};
use crate::chart::funcs::{Call, Function};
use crate::chart::lower::{Callee, Command, Expr, Literal, Pipe, Site, Term};
use crate::chart::meter::{self, Limit};
use crate::chart::value::{Go, Kind, Map, MapType, take_overflow};

/// What lists count in the budget, by element.
const ELEMENT: u64 = 24;
/// What maps count, by entry.
const ENTRY: u64 = 96;

/// Steps that a function takes for reading an argument.
fn size(value: &Go) -> u64 {
    match value {
        Go::Str(text) => text.len() as u64 / 16,
        Go::Bytes(bytes) => bytes.len() as u64 / 16,
        Go::List(items) => items.len() as u64 / 4,
        _ => 0,
    }
}

impl Exec<'_> {
    /// `evalPipeline`.
    pub(super) fn pipeline(&mut self, pipe: &Pipe) -> Result<Val, String> {
        self.at = pipe.site;
        let mut last: Option<Val> = None;
        for command in &pipe.commands {
            let mut value = self.command(command, last.take())?;
            value.interface = false;
            last = Some(value);
        }
        let value = last.unwrap_or_else(Val::invalid);
        for variable in &pipe.decl {
            if pipe.assign {
                self.assign(*variable, &value)?;
            } else {
                self.declare(*variable, value.clone());
            }
        }
        Ok(value)
    }

    /// `evalCommand`.
    fn command(&mut self, command: &Command, last: Option<Val>) -> Result<Val, String> {
        let first = &command.first;
        match &first.term {
            Term::Function(callee) => return self.function(*callee, first.site, command.site, &command.args, last),
            Term::Field(_) | Term::Variable(..) | Term::Chain(..) => return self.chain(first, &command.args, last),
            Term::Pipe(pipe) => {
                self.not_a_function(first, &command.args, last.as_ref())?;
                return self.pipeline(pipe);
            }
            _ => {}
        }
        self.at = first.site;
        self.not_a_function(first, &command.args, last.as_ref())?;
        match &first.term {
            Term::Dot => Ok(self.dot.clone()),
            Term::Literal(literal) => self.ideal(literal, first.site).map(Val::concrete),
            _ => self.fail("nil is not a command"),
        }
    }

    /// `notAFunction`.
    pub(super) fn not_a_function(&self, first: &Expr, args: &[Expr], last: Option<&Val>) -> Result<(), String> {
        if args.is_empty() && last.is_none() {
            return Ok(());
        }
        let written = self.code.written(first.site);
        self.fail(&format!("can't give argument to non-function {written}"))
    }

    /// `idealConstant`.
    fn ideal(&mut self, literal: &Literal, site: Site) -> Result<Go, String> {
        self.at = site;
        match &literal.ideal {
            Some(value) => Ok(value.clone()),
            None => self.fail(&format!("{} overflows int", self.code.written(site))),
        }
    }

    /// `evalFunction`, and the part of `evalCall` that `and`, `or` and `call` have to themselves.
    fn function(&mut self, callee: Callee, name: Site, node: Site, args: &[Expr], last: Option<Val>) -> Result<Val, String> {
        self.at = name;
        match callee {
            Callee::Function(function) => self.call(function, node, args, last),
            Callee::And | Callee::Or => self.short_circuit(matches!(callee, Callee::Or), args, last),
            Callee::Call => self.call_value(node, args, last),
            Callee::Unknown => self.fail(&format!("{:?} is not a defined function", self.code.written(name))),
        }
    }

    /// `and` and `or`, which evaluate no more than they need.
    fn short_circuit(&mut self, or: bool, args: &[Expr], last: Option<Val>) -> Result<Val, String> {
        if args.is_empty() && last.is_none() {
            return self.fail(&format!("wrong number of args for {}: want at least 1 got 0", if or { "or" } else { "and" }));
        }
        let mut value = Val::invalid();
        for arg in args {
            value = self.value(arg)?;
            if value.go.truth() == or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// `call`: no chart has functions for values, so it always fails.
    fn call_value(&mut self, node: Site, args: &[Expr], last: Option<Val>) -> Result<Val, String> {
        if args.is_empty() && last.is_none() {
            return self.fail("wrong number of args for call: want at least 1 got 0");
        }
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.value(arg)?.go);
        }
        let (name, value) = match (args.first(), values.into_iter().next(), last) {
            (Some(arg), Some(value), _) => (self.code.written(arg.site), value),
            (_, _, last) => {
                let value = last.map_or(Go::Nil, |last| last.go);
                let name = value.as_str().map_or_else(|| format!("<{} Value>", value.type_name()), str::to_owned);
                (name, value)
            }
        };
        self.at = node;
        match value {
            Go::Nil => self.fail("error calling call: call of nil"),
            value => self.fail(&format!("error calling call: non-function {name} of type {}", value.type_name())),
        }
    }

    /// `evalCall` of a function.
    fn call(&mut self, function: &'static Function, node: Site, args: &[Expr], last: Option<Val>) -> Result<Val, String> {
        self.run.step()?;
        let given = args.len() + usize::from(last.is_some());
        let kinds = function.params;
        if function.variadic {
            let fixed = kinds.len() - 1;
            if given < fixed {
                return self.fail(&format!("wrong number of args for {}: want at least {fixed} got {}", function.name, args.len()));
            }
        } else if given != kinds.len() {
            return self.fail(&format!("wrong number of args for {}: want {} got {given}", function.name, kinds.len()));
        }
        let values = self.arguments(kinds, args, last)?;
        meter::steps(values.iter().map(size).sum())?;
        let mut call = Call { args: values, run: self.run };
        let result = (function.call)(&mut call).and_then(|value| take_overflow().map(|()| value));
        if meter::used_up().is_some() {
            // Functions that give errors as text do not know that the run is over.
            self.at = node;
            return self.fail(&meter::end(Limit::Steps));
        }
        match result {
            Ok(value) => {
                match &value {
                    Go::Str(text) => self.run.reserve(text.len() as u64)?,
                    Go::Bytes(bytes) => self.run.reserve(bytes.len() as u64)?,
                    Go::Map(map) if Arc::strong_count(map) == 1 => self.run.reserve(map.len() as u64 * ENTRY)?,
                    Go::List(items) if Arc::strong_count(items) == 1 => self.run.reserve(items.len() as u64 * ELEMENT)?,
                    _ => {}
                }
                Ok(Val::concrete(value))
            }
            Err(message) => {
                self.at = node;
                self.fail(&format!("error calling {}: {message}", function.name))
            }
        }
    }

    /// The arguments of a call, as its parameters want them; what the pipeline brings is the last.
    pub(super) fn arguments(&mut self, kinds: &[Kind], args: &[Expr], last: Option<Val>) -> Result<Vec<Go>, String> {
        let kind = |at: usize| kinds.get(at).or(kinds.last()).copied().unwrap_or(Kind::Any);
        let mut values = Vec::with_capacity(args.len() + usize::from(last.is_some()));
        for (i, arg) in args.iter().enumerate() {
            let value = self.argument(kind(i), arg)?;
            values.push(value);
        }
        if let Some(last) = last {
            values.push(self.fitting(last, kind(args.len()))?);
        }
        Ok(values)
    }

    /// `evalArg`.
    fn argument(&mut self, kind: Kind, arg: &Expr) -> Result<Go, String> {
        self.at = arg.site;
        match &arg.term {
            Term::Nil if kind.accepts(&Go::Nil, false) => Ok(kind.nil()),
            Term::Nil => self.fail(&format!("cannot assign nil to {}", kind.type_name())),
            Term::Literal(literal) => self.literal(kind, literal, arg.site),
            _ => {
                let value = self.value(arg)?;
                self.fitting(value, kind)
            }
        }
    }

    /// `evalInteger` and its siblings: Go converts constants, and nothing else.
    fn literal(&mut self, kind: Kind, literal: &Literal, site: Site) -> Result<Go, String> {
        match (kind, &literal.ideal, literal.integer) {
            (Kind::Any, ..) => self.ideal(literal, site),
            (Kind::Int | Kind::Duration, _, Some(n)) => Ok(Go::int(n)),
            (_, Some(value), _) if kind.accepts(value, true) => Ok(value.clone()),
            _ => self.fail(&kind.literal_error(&self.code.written(site))),
        }
    }

    /// `validateType`.
    fn fitting(&self, value: Val, kind: Kind) -> Result<Go, String> {
        if let Kind::Any = kind {
            return Ok(value.go);
        }
        if let Go::Nil = value.go {
            if value.interface {
                return self.fail(&format!("wrong type for value; expected {}; got interface {{}}", kind.type_name()));
            }
            if !kind.accepts(&Go::Nil, false) {
                return self.fail(&format!("invalid value; expected {}", kind.type_name()));
            }
        }
        if !kind.accepts(&value.go, false) {
            return self.fail(&format!("wrong type for value; expected {}; got {}", kind.type_name(), value.go.type_name()));
        }
        // `reflect.Value.Call` makes a map of a named type one of the parameter's: functions never see Helm's `Values`.
        Ok(match value.go {
            Go::Map(map) if kind == Kind::Dict => Go::Map(Map::view(&map, MapType::Any)),
            go => go,
        })
    }

    /// An operand that is given to something of any type (`evalArg`, `evalEmptyInterface`).
    pub(super) fn value(&mut self, operand: &Expr) -> Result<Val, String> {
        self.at = operand.site;
        match &operand.term {
            Term::Dot => Ok(self.dot.clone()),
            Term::Nil => Ok(Val::interface(Go::Nil)),
            Term::Literal(literal) => self.ideal(literal, operand.site).map(Val::concrete),
            Term::Pipe(pipe) => self.pipeline(pipe),
            Term::Function(callee) => self.function(*callee, operand.site, operand.site, &[], None),
            Term::Field(_) | Term::Variable(..) | Term::Chain(..) => self.chain(operand, &[], None),
        }
    }
}

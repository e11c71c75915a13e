//! Fields, entries of maps and methods: `evalFieldChain` and `evalField` of Go's text/template/exec.go.

use std::rc::Rc;
use std::sync::Arc;

use super::exec::{Exec, Val};
use super::methods;
use crate::chart::lower::{Expr, Site, Term};
use crate::chart::meter::{self, Limit};
use crate::chart::value::{Go, Host, Kind, Map, MapType};

impl Exec<'_> {
    /// `evalFieldNode`, `evalVariableNode` and `evalChainNode`.
    pub(super) fn chain(&mut self, node: &Expr, args: &[Expr], last: Option<Val>) -> Result<Val, String> {
        self.run.step()?;
        self.at = node.site;
        let (receiver, names) = match &node.term {
            Term::Field(names) => (self.dot.clone(), *names),
            Term::Variable(variable, names) => {
                let value = self.variable(*variable)?.clone();
                if names.start == names.end {
                    self.not_a_function(node, args, last.as_ref())?;
                    return Ok(value);
                }
                (value, *names)
            }
            Term::Chain(inner, names) => (self.value(inner)?, *names),
            _ => return self.fail("no field"),
        };
        let code = Rc::clone(&self.code);
        let mut receiver = receiver;
        // Each name has a point before it.
        let mut names = code.text(names).split('.').skip(1).peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                return self.field(name, node.site, args, last, receiver);
            }
            receiver = self.field(name, node.site, &[], None, receiver)?;
        }
        Ok(receiver)
    }

    /// `evalField`.
    fn field(&mut self, name: &str, site: Site, args: &[Expr], last: Option<Val>, receiver: Val) -> Result<Val, String> {
        match &receiver.go {
            Go::Map(map) => {
                let map = Arc::clone(map);
                self.entry(&map, name, site, args, last)
            }
            Go::Nil if !receiver.interface => Ok(receiver),
            Go::Nil => self.fail(&format!("nil pointer evaluating interface {{}}.{name}")),
            Go::Host(host) => {
                let host = Arc::clone(host);
                self.member(&*host, &receiver, name, site, args, last)
            }
            _ => self.no_field(name, &receiver),
        }
    }

    fn no_field(&self, name: &str, receiver: &Val) -> Result<Val, String> {
        self.fail(&format!("can't evaluate field {name} in type {}", receiver.type_name()))
    }

    fn entry(&mut self, map: &Arc<Map>, name: &str, site: Site, args: &[Expr], last: Option<Val>) -> Result<Val, String> {
        let of = map.map_type();
        if of.has_methods() && name == "Encode" {
            return self.encode(site, args, last);
        }
        if of.has_methods()
            && let Some(kinds) = methods::parameters(name)
        {
            let args = self.method_arguments(name, kinds, args, last)?;
            return self.returned_by(name, site, methods::call(map, name, &args));
        }
        if !args.is_empty() || last.is_some() {
            return self.fail(&format!("{name} is not a method but has arguments"));
        }
        Ok(match (map.get(name), of) {
            (Some(value), MapType::Strings) => Val::concrete(value),
            (None, MapType::Strings) => Val::concrete("".into()),
            (value, _) => Val::interface(value.unwrap_or(Go::Nil)),
        })
    }

    /// `Values.Encode` wants an `io.Writer`, and templates have none to give.
    fn encode(&mut self, site: Site, args: &[Expr], last: Option<Val>) -> Result<Val, String> {
        let given = args.len() + usize::from(last.is_some());
        if given != 1 {
            return self.fail(&format!("wrong number of args for Encode: want 1 got {given}"));
        }
        let value = match args {
            [arg] => {
                self.at = arg.site;
                match arg.term {
                    Term::Literal(_) => return self.fail(&format!("can't handle {} for arg of type io.Writer", self.code.written(arg.site))),
                    _ => self.value(arg)?,
                }
            }
            _ => last.unwrap_or_else(Val::invalid),
        };
        match (&value.go, args) {
            (Go::Nil, [Expr { term: Term::Nil, .. }]) => {
                self.at = site;
                self.fail("error calling Encode: runtime error: invalid memory address or nil pointer dereference")
            }
            _ => self.fail(&format!("wrong type for value; expected io.Writer; got {}", value.type_name())),
        }
    }

    fn member(&mut self, host: &dyn Host, receiver: &Val, name: &str, site: Site, args: &[Expr], last: Option<Val>) -> Result<Val, String> {
        let has_args = !args.is_empty() || last.is_some();
        if let Some(text) = host.unfit(name) {
            return self.fail(text);
        }
        if let Some(kinds) = host.parameters(name) {
            let args = self.method_arguments(name, kinds, args, last)?;
            return self.returned_by(name, site, host.call(name, &args).unwrap_or(Ok(Go::Nil)));
        }
        let field = host.field(name);
        if field.is_none() {
            let args = self.arguments(&[Kind::Any], args, last)?;
            if let Some(result) = host.call(name, &args) {
                return self.returned_by(name, site, result);
            }
        }
        match field {
            Some(_) if has_args && host.kind() == "map" => self.fail(&format!("{name} is not a method but has arguments")),
            Some(_) if has_args => self.fail(&format!("{name} has arguments but cannot be invoked as function")),
            Some(value) => Ok(Val::concrete(value)),
            None if host.missing_is_nil() => Ok(Val::concrete(Go::Nil)),
            None => self.no_field(name, receiver),
        }
    }

    /// The arguments of a method, counted and converted.
    fn method_arguments(&mut self, name: &str, kinds: &[Kind], args: &[Expr], last: Option<Val>) -> Result<Vec<Go>, String> {
        let given = args.len() + usize::from(last.is_some());
        if given != kinds.len() {
            return self.fail(&format!("wrong number of args for {name}: want {} got {given}", kinds.len()));
        }
        self.arguments(kinds, args, last)
    }

    fn returned_by(&mut self, name: &str, site: Site, result: Result<Go, String>) -> Result<Val, String> {
        self.run.step()?;
        if meter::used_up().is_some() {
            return self.fail(&meter::end(Limit::Steps));
        }
        match result {
            Ok(value) => Ok(Val::concrete(value)),
            Err(message) => {
                self.at = site;
                self.fail(&format!("error calling {name}: {message}"))
            }
        }
    }
}

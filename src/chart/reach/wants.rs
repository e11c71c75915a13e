//! What values have to be for a condition to hold, or not to.

use serde_json::Value;

use super::{
    At, Reach, Wanted,
    places::{Paths, of_values},
};
use crate::chart::gotmpl::{self, Few, Node, Operand, Pipe, Term, Tree};

/// Names of booleans that switch something on; such a one may be missing from the values and be meant all the same.
pub(super) const SWITCHES: [&str; 6] = ["enabled", "enable", "create", "install", "deploy", "installed"];
/// How deep conditions are followed into what they call.
const DEPTH_MAX: usize = 12;

/// A condition that cannot be met together with the others.
struct Conflict;

impl Reach {
    /// What a way wants: the conditions around each of its places, and those of the subchart. None if they contradict each other.
    pub(super) fn wanted(&self, way: &[At]) -> Option<Wanted> {
        let file = way.last()?.0;
        let scope = self.bodies[file].scope;
        let mut wanted = Wanted::new();
        for condition in &self.scopes[scope].conditions {
            self.want_path(condition.clone(), true, &mut wanted).ok()?;
        }
        for (at, place) in way.iter().rev() {
            let body = &self.bodies[*at];
            let mut next = body.places[*place].step;
            while let Some(step) = next.map(|step| &body.steps[step]) {
                let sight = Sight { reach: self, tree: &body.tree, scope, dot: step.dot.as_deref(), depth: 0 };
                sight.pipe(&body.tree.pipes[step.pipe as usize], step.truth, &mut wanted).ok()?;
                next = step.outer;
            }
        }
        // What is so already was only noted to see contradictions.
        wanted.retain(|path, value| self.current(path) != Some(&*value));
        Some(wanted)
    }

    /// Turns a boolean, whatever it is.
    pub(super) fn turn(&self, path: Vec<String>, to: bool, wanted: &mut Wanted) {
        if self.current(&path) != Some(&Value::Bool(to)) {
            wanted.insert(path, Value::Bool(to));
        }
    }

    fn want_path(&self, path: Vec<String>, truth: bool, wanted: &mut Wanted) -> Result<(), Conflict> {
        let known = wanted.get(&path).or_else(|| self.current(&path));
        let is_switch = path.last().is_some_and(|name| SWITCHES.contains(&name.as_str()));
        match known {
            Some(Value::Bool(on)) if *on != truth && wanted.contains_key(&path) => Err(Conflict),
            Some(Value::Bool(_)) => {
                wanted.insert(path, Value::Bool(truth));
                Ok(())
            }
            None | Some(Value::Null) if truth && is_switch => {
                wanted.insert(path, Value::Bool(true));
                Ok(())
            }
            // What else is empty or not is left as it is.
            _ => Ok(()),
        }
    }

    fn want_text(&self, path: Vec<String>, text: String, wanted: &mut Wanted) -> Result<(), Conflict> {
        match wanted.get(&path) {
            Some(Value::String(known)) if *known == text => Ok(()),
            Some(_) => Err(Conflict),
            None if self.current(&path).and_then(Value::as_str) == Some(text.as_str()) => Ok(()),
            None => {
                wanted.insert(path, Value::String(text));
                Ok(())
            }
        }
    }
}

/// One template's conditions, for one chart.
#[derive(Clone, Copy)]
struct Sight<'a> {
    reach: &'a Reach,
    tree: &'a Tree,
    scope: usize,
    dot: Option<&'a [String]>,
    depth: usize,
}

impl Sight<'_> {
    fn pipe(self, pipe: &Pipe, truth: bool, wanted: &mut Wanted) -> Result<(), Conflict> {
        let left = self.reach.left.get();
        if self.depth > DEPTH_MAX || left == 0 {
            return Ok(());
        }
        self.reach.left.set(left - 1);
        let deeper = Sight { depth: self.depth + 1, ..self };
        // What follows in a pipeline mostly changes how a value is written.
        let Some(command) = pipe.commands.of(&self.tree.commands).first() else { return Ok(()) };
        match command.args.of(&self.tree.operands) {
            [alone] => deeper.operand(alone, truth, wanted),
            &[Operand { term: Term::Identifier(name), .. }, ref args @ ..] => deeper.call(self.tree.written(name), args, truth, wanted),
            _ => Ok(()),
        }
    }

    fn operand(self, operand: &Operand, truth: bool, wanted: &mut Wanted) -> Result<(), Conflict> {
        if let Some(path) = self.path(operand) {
            return self.reach.want_path(path, truth, wanted);
        }
        match operand.term {
            Term::Pipe(pipe) => self.pipe(&self.tree.pipes[pipe as usize], truth, wanted),
            Term::Bool(constant) if constant != truth => Err(Conflict),
            _ => Ok(()),
        }
    }

    fn path(self, operand: &Operand) -> Option<Vec<String>> {
        let path = Paths::new(self.tree).operand(operand, self.dot).as_deref().and_then(of_values)?;
        Some(self.reach.absolute(self.scope, &path))
    }

    fn call(self, name: &str, args: &[Operand], truth: bool, wanted: &mut Wanted) -> Result<(), Conflict> {
        match (name, args) {
            ("not" | "empty", [inner]) => self.operand(inner, !truth, wanted),
            ("and", all) if truth => all.iter().try_for_each(|one| self.operand(one, true, wanted)),
            ("or", all) if !truth => all.iter().try_for_each(|one| self.operand(one, false, wanted)),
            ("and" | "or", any) => {
                self.any(any, truth, wanted);
                Ok(())
            }
            ("eq", [a, b]) => self.same(a, b, truth, wanted),
            ("ne", [a, b]) => self.same(a, b, !truth, wanted),
            ("default", [_, inner]) | ("quote" | "toString" | "trim" | "lower", [inner]) => self.operand(inner, truth, wanted),
            ("include", [Operand { term: Term::Str(called), .. }, ..]) => {
                gotmpl::unquote(self.tree.written(*called)).map_or(Ok(()), |called| self.included(&called, truth, wanted))
            }
            _ => Ok(()),
        }
    }

    /// One of several: the first that wants nothing, else the first that can be had.
    fn any(self, operands: &[Operand], truth: bool, wanted: &mut Wanted) {
        let mut found: Option<Wanted> = None;
        for operand in operands {
            let mut own = wanted.clone();
            if self.operand(operand, truth, &mut own).is_err() {
                continue;
            }
            let changes = own.iter().any(|(path, value)| !wanted.contains_key(path) && self.reach.current(path) != Some(value));
            if !changes && self.holds(operand) == Some(truth) {
                *wanted = own;
                return;
            }
            if changes && found.is_none() {
                found = Some(own);
            }
        }
        if let Some(own) = found {
            *wanted = own;
        }
    }

    /// Whether a value is true as it is, where that is known.
    fn holds(self, operand: &Operand) -> Option<bool> {
        let value = self.reach.current(&self.path(operand)?)?;
        Some(match value {
            Value::Null => false,
            Value::Bool(on) => *on,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
        })
    }

    fn same(self, a: &Operand, b: &Operand, truth: bool, wanted: &mut Wanted) -> Result<(), Conflict> {
        let (value, constant) = if self.path(a).is_some() { (a, b) } else { (b, a) };
        let Some(path) = self.path(value) else {
            // `eq (include "kind" .) "true"`: what the constant says of a condition.
            return match (constant.term, value.term) {
                (Term::Str(text), Term::Pipe(_)) if gotmpl::unquote(self.tree.written(text)).as_deref() == Some("true") => self.operand(value, truth, wanted),
                _ => Ok(()),
            };
        };
        match constant.term {
            Term::Str(text) if truth => {
                let text = gotmpl::unquote(self.tree.written(text)).unwrap_or_default().into_owned();
                self.reach.want_text(path, text, wanted)
            }
            Term::Bool(constant) => self.reach.want_path(path, constant == truth, wanted),
            _ => Ok(()),
        }
    }

    /// A template that is a condition: it writes something, or nothing.
    fn included(self, name: &str, truth: bool, wanted: &mut Wanted) -> Result<(), Conflict> {
        let Some(body) = self.reach.bodies.iter().rev().find(|body| body.name == name) else { return Ok(()) };
        let inner = Sight { tree: &body.tree, dot: Some(&[]), depth: self.depth + 1, ..self };
        let arms = body.nodes.of(&body.tree.nodes).iter().find_map(|node| match node {
            Node::Branch(_, arms, otherwise) => Some((arms.of(&body.tree.arms), *otherwise)),
            _ => None,
        });
        let Some((arms, otherwise)) = arms else { return Ok(()) };
        for (at, arm) in arms.iter().enumerate() {
            if inner.writes(arm.body) == truth {
                let mut own = wanted.clone();
                let before = arms[..at].iter().try_for_each(|arm| inner.pipe(&body.tree.pipes[arm.pipe as usize], false, &mut own));
                if before.and_then(|()| inner.pipe(&body.tree.pipes[arm.pipe as usize], true, &mut own)).is_ok() {
                    *wanted = own;
                    return Ok(());
                }
            }
        }
        if inner.writes(otherwise) == truth {
            return arms.iter().try_for_each(|arm| inner.pipe(&body.tree.pipes[arm.pipe as usize], false, wanted));
        }
        Ok(())
    }

    /// Whether a body is more than white space and the word `false`.
    fn writes(self, body: Few) -> bool {
        body.of(&self.tree.nodes).iter().any(|node| match node {
            Node::Text(span) => !matches!(self.tree.written(*span).trim(), "" | "false"),
            Node::Action(pipe) => {
                let pipe = &self.tree.pipes[*pipe as usize];
                let alone = pipe.commands.of(&self.tree.commands).first().map(|command| command.args.of(&self.tree.operands));
                pipe.declared.len() == 0 && !matches!(alone, Some([Operand { term: Term::Bool(false), .. }]))
            }
            _ => true,
        })
    }
}

//! What all renders of one run share: the templates, the limits, `include` and `tpl`.
//!
//! One run is one thread, so plain cells do.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use regex::Regex;

use super::exec::{Buffers, Exec};
use super::{Budget, Lookup, STACK};
use crate::chart::funcs;
use crate::chart::gotmpl::{self, Template};
use crate::chart::lower::Code;
use crate::chart::meter::{self, Limit};
use crate::chart::value::Go;

/// Helm's own limit on nested includes of one name (`recursionMaxNums`).
const MAX_INCLUDE: usize = 1000;
/// Go's name of Helm's template set.
const SET: &str = "gotpl";
/// What a parser and a deeply nested expression may need of the stack at the deepest place.
const RESERVE: usize = STACK / 2;
/// Regular expressions that are kept; one may take megabytes.
const MAX_EXPRESSIONS: usize = 32;

/// Templates by name. What `tpl` defines is seen by that call only, and by all that it calls.
#[derive(Debug, Default)]
struct Set {
    own: HashMap<Arc<str>, Rc<Code>>,
    outer: Option<Rc<Set>>,
}

impl Set {
    fn find(&self, name: &str) -> Option<&Rc<Code>> {
        let mut set = self;
        loop {
            if let Some(code) = set.own.get(name) {
                return Some(code);
            }
            set = set.outer.as_deref()?;
        }
    }

    /// What is parsed later redefines, unless it is empty (`Template.associate` in Go).
    fn add(&mut self, code: Rc<Code>) {
        if code.is_empty() && self.find(code.name()).is_some() {
            return;
        }
        self.own.insert(Arc::from(code.name()), code);
    }
}

/// A text of `tpl`, lowered once.
#[derive(Debug)]
struct Text {
    main: Rc<Code>,
    all: Vec<Rc<Code>>,
}

/// State shared by all renders of one run.
pub(in crate::chart) struct Run {
    budget: Budget,
    depth: Cell<usize>,
    /// Address of something on the stack when the run began.
    base: usize,
    /// Where the budget ended.
    place: RefCell<Option<String>>,
    included: RefCell<HashMap<Arc<str>, usize>>,
    set: RefCell<Rc<Set>>,
    texts: RefCell<HashMap<Arc<str>, Rc<Text>>>,
    spare: RefCell<Vec<Buffers>>,
    expressions: RefCell<HashMap<Arc<str>, Rc<Regex>>>,
    lookup: Option<Arc<dyn Lookup>>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// What a node takes in the tree and in the program.
const NODE: u64 = 320;

fn lowered(template: Template) -> Result<Code, String> {
    meter::bytes(template.nodes as u64 * NODE)?;
    Ok(Code::new(template))
}

/// Where the stack is now; only differences mean anything.
fn stack_address() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here).addr()
}

impl Run {
    pub(super) fn new(budget: Budget, lookup: Option<Arc<dyn Lookup>>) -> Self {
        meter::begin(&budget);
        Run {
            budget,
            depth: Cell::new(0),
            base: stack_address(),
            place: RefCell::default(),
            included: RefCell::default(),
            set: RefCell::default(),
            texts: RefCell::default(),
            spare: RefCell::default(),
            expressions: RefCell::default(),
            lookup,
        }
    }

    /// Adds the templates of a file.
    pub(super) fn add(&self, templates: Vec<Template>) -> Result<(), String> {
        let mut set = self.set.borrow_mut();
        if let Some(set) = Rc::get_mut(&mut set) {
            for template in templates {
                set.add(Rc::new(lowered(template)?));
            }
        }
        Ok(())
    }

    /// The template of a name.
    pub(super) fn find(&self, name: &str) -> Option<Rc<Code>> {
        self.set.borrow().find(name).map(Rc::clone)
    }

    /// Where which limit was exceeded, if one was.
    pub(super) fn exceeded(&self) -> Option<(String, String)> {
        let Budget { steps, max_bytes, secrets, .. } = self.budget;
        let limit = match meter::used_up()? {
            Limit::Steps => format!("it took {steps} steps"),
            Limit::Bytes => format!("it made values of {max_bytes} bytes"),
            Limit::Secrets => format!("it made keys, certificates and hashes of passwords worth {secrets} units"),
            Limit::Depth => format!("its templates are nested {} deep, or fill the stack", self.budget.max_depth),
        };
        Some((self.place.borrow().clone().unwrap_or_default(), limit))
    }

    /// Keeps where the budget ended: the first that asks is the innermost template.
    pub(super) fn end_at(&self, place: impl FnOnce() -> String) {
        if meter::used_up().is_some() {
            self.place.borrow_mut().get_or_insert_with(place);
        }
    }

    /// Takes one step out of the budget.
    #[expect(clippy::unused_self, reason = "only a run takes steps")]
    pub(super) fn step(&self) -> Result<(), String> {
        meter::steps(1)
    }

    /// Takes bytes out of the budget before they are made.
    #[expect(clippy::unused_self, reason = "only a run makes values")]
    pub(in crate::chart) fn reserve(&self, bytes: u64) -> Result<(), String> {
        meter::bytes(bytes)
    }

    /// A regular expression, compiled once.
    pub(in crate::chart) fn expression(&self, pattern: &str, compile: fn(&str) -> Result<Regex, String>) -> Result<Rc<Regex>, String> {
        if let Some(found) = self.expressions.borrow().get(pattern) {
            return Ok(Rc::clone(found));
        }
        let made = Rc::new(compile(pattern)?);
        let mut known = self.expressions.borrow_mut();
        if known.len() >= MAX_EXPRESSIONS {
            known.clear();
        }
        known.insert(Arc::from(pattern), Rc::clone(&made));
        Ok(made)
    }

    /// The `lookup` function.
    pub(in crate::chart) fn lookup(&self, args: [&str; 4]) -> Result<serde_json::Value, String> {
        match &self.lookup {
            Some(lookup) => lookup.lookup(args[0], args[1], args[2], args[3]),
            None => Ok(serde_json::Value::Object(serde_json::Map::new())),
        }
    }

    /// Executes a template; what it writes.
    pub(super) fn execute(&self, code: Rc<Code>, dot: &Go) -> Result<String, String> {
        let deep = self.base.abs_diff(stack_address()) > STACK - RESERVE;
        if deep || self.depth.get() >= self.budget.max_depth {
            return Err(meter::end(Limit::Depth));
        }
        self.depth.set(self.depth.get() + 1);
        let buffers = self.spare.borrow_mut().pop().unwrap_or_default();
        let mut exec = Exec::new(self, code, dot.clone(), buffers);
        let result = exec.run();
        let (buffers, output) = exec.finish();
        self.spare.borrow_mut().push(buffers);
        self.depth.set(self.depth.get() - 1);
        result.map(|()| output)
    }

    /// The `include` function.
    pub(in crate::chart) fn include(&self, name: &str, dot: &Go) -> Result<String, String> {
        let code = self.find(name).ok_or_else(|| format!("template: no template {} associated with template {}", gotmpl::quote(name), gotmpl::quote(SET)));
        let nested = self.included.borrow().get(name).copied().unwrap_or_default();
        if nested > MAX_INCLUDE {
            return Err(format!("rendering template has a nested reference name: {name}: unable to execute template"));
        }
        let code = code?;
        self.count(name, nested + 1);
        let result = self.execute(code, dot);
        self.count(name, nested);
        result
    }

    fn count(&self, name: &str, nested: usize) {
        let mut included = self.included.borrow_mut();
        match included.get_mut(name) {
            Some(count) => *count = nested,
            None => {
                included.insert(Arc::from(name), nested);
            }
        }
    }

    /// The `tpl` function.
    pub(in crate::chart) fn tpl(&self, text: &str, dot: &Go) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.replace("<no value>", ""));
        }
        let parsed = self.parsed(text)?;
        let outer = Rc::clone(&self.set.borrow());
        let mut set = Set { own: HashMap::new(), outer: Some(Rc::clone(&outer)) };
        parsed.all.iter().for_each(|code| set.add(Rc::clone(code)));
        *self.set.borrow_mut() = Rc::new(set);
        let output = self.execute(Rc::clone(&parsed.main), dot);
        *self.set.borrow_mut() = outer;
        match output {
            Ok(output) if output.contains("<no value>") => Ok(output.replace("<no value>", "")),
            Ok(output) => Ok(output),
            Err(e) if meter::used_up().is_some() => Err(e),
            // Every level repeats its text: that is a value like any other.
            Err(e) => {
                meter::copying(e.len() as u64)?;
                let quoted = gotmpl::quote(text);
                meter::bytes(quoted.len() as u64 * 2)?;
                Err(format!("error during tpl function execution for {quoted}: {e}"))
            }
        }
    }

    fn parsed(&self, text: &str) -> Result<Rc<Text>, String> {
        if let Some(found) = self.texts.borrow().get(text) {
            return Ok(Rc::clone(found));
        }
        meter::bytes(text.len() as u64 * 3)?;
        meter::reading(text.len() as u64 * 16)?;
        let templates =
            gotmpl::parse(SET.to_owned(), text.to_owned(), &funcs::exists).map_err(|e| format!("cannot parse template {}: {e}", gotmpl::quote(text)))?;
        let all: Vec<Rc<Code>> = templates.into_iter().map(|template| lowered(template).map(Rc::new)).collect::<Result<_, _>>()?;
        let main = all.iter().find(|code| code.name() == SET).map(Rc::clone).ok_or("the text has no template of its own")?;
        let parsed = Rc::new(Text { main, all });
        self.texts.borrow_mut().insert(Arc::from(text), Rc::clone(&parsed));
        Ok(parsed)
    }
}

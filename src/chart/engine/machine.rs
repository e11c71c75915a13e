//! The machine behind lowered templates: minijinja's environment, the sites, and the budget they share.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, ObjectRepr, Rest, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State};

use super::{Budget, EngineError, Lookup, Program, Source, objects};
use crate::chart::funcs::{self, Call};
use crate::chart::gotmpl::{self, Template};
use crate::chart::lower::{self, Action, Site, Sites};
use crate::chart::value::{Go, IntKind, Map, print, sprint, take_overflow};

/// Helm's own limit on nested includes of one name.
const MAX_INCLUDE: usize = 1000;
/// Go's name of Helm's template set.
const SET: &str = "gotpl";
/// Marks of `required` and `fail`, as Helm writes them.
pub(in crate::chart) const WARN_START: &str = "HELM_ERR_START";
/// See [`WARN_START`].
pub(in crate::chart) const WARN_END: &str = "HELM_ERR_END";

/// A Go value inside a minijinja value.
#[derive(Debug)]
struct Boxed(Go);

impl Object for Boxed {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0.truth()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        print(&self.0, &mut out);
        f.write_str(&out)
    }
}

/// A Go variable that is assigned to.
#[derive(Debug)]
struct Cell(Mutex<Value>);

impl Object for Cell {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

fn wrap(value: Go) -> Value {
    Value::from_object(Boxed(value))
}

fn unwrap(value: &Value) -> Go {
    if let Some(boxed) = value.downcast_object_ref::<Boxed>() {
        return boxed.0.clone();
    }
    if let Some(text) = value.as_str() {
        return text.into();
    }
    match value.kind() {
        minijinja::value::ValueKind::Bool => Go::Bool(value.is_true()),
        _ => Go::Nil,
    }
}

fn failure(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

/// State shared by all renders of one run.
pub(in crate::chart) struct Run {
    sites: RwLock<Vec<Arc<Site>>>,
    budget: Budget,
    steps: AtomicU64,
    bytes: AtomicU64,
    depth: AtomicUsize,
    nested: Mutex<HashMap<String, usize>>,
    exceeded: Mutex<Option<String>>,
    texts: Mutex<HashMap<String, Arc<Lowered>>>,
    lookup: Option<Arc<dyn Lookup>>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// A text of `tpl`, lowered once.
#[derive(Debug)]
struct Lowered {
    main: String,
    defines: Vec<(String, String, bool)>,
}

impl Sites for Run {
    fn add(&self, site: Site) -> usize {
        let mut sites = self.sites.write().unwrap_or_else(PoisonError::into_inner);
        sites.push(Arc::new(site));
        sites.len() - 1
    }
}

impl Run {
    fn new(budget: Budget, lookup: Option<Arc<dyn Lookup>>) -> Self {
        Run {
            sites: RwLock::default(),
            budget,
            steps: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            depth: AtomicUsize::new(0),
            nested: Mutex::default(),
            exceeded: Mutex::default(),
            texts: Mutex::default(),
            lookup,
        }
    }

    fn site(&self, index: usize) -> Result<Arc<Site>, Error> {
        self.spend(1)?;
        self.sites.read().unwrap_or_else(PoisonError::into_inner).get(index).cloned().ok_or_else(|| failure("no such site"))
    }

    fn exceed(&self, limit: String) -> String {
        self.exceeded.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(limit).clone()
    }

    fn spend(&self, steps: u64) -> Result<(), Error> {
        if self.steps.fetch_add(steps, Ordering::Relaxed) + steps > self.budget.steps {
            return Err(failure(self.exceed(format!("it took more than {} steps", self.budget.steps))));
        }
        Ok(())
    }

    /// Takes bytes out of the budget before they are made.
    pub(in crate::chart) fn reserve(&self, bytes: u64) -> Result<(), String> {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > self.budget.max_output_bytes {
            return Err(self.exceed(format!("its results have more than {} bytes", self.budget.max_output_bytes)));
        }
        Ok(())
    }

    /// The `lookup` function.
    pub(in crate::chart) fn lookup(&self, args: [&str; 4]) -> Result<serde_json::Value, String> {
        match &self.lookup {
            Some(lookup) => lookup.lookup(args[0], args[1], args[2], args[3]),
            None => Ok(serde_json::Value::Object(serde_json::Map::new())),
        }
    }

    fn render(&self, env: &Environment<'_>, name: &str, dot: &Go) -> Result<String, String> {
        let template = env.get_template(name).map_err(|e| detail(&e))?;
        self.render_template(&template, dot)
    }

    fn render_template(&self, template: &minijinja::Template<'_, '_>, dot: &Go) -> Result<String, String> {
        if self.depth.fetch_add(1, Ordering::Relaxed) >= self.budget.max_depth {
            self.depth.fetch_sub(1, Ordering::Relaxed);
            return Err(self.exceed(format!("templates are nested more than {} deep", self.budget.max_depth)));
        }
        let context: BTreeMap<&str, Value> = BTreeMap::from([("dot", wrap(dot.clone()))]);
        let result = template.render(context);
        self.depth.fetch_sub(1, Ordering::Relaxed);
        let text = result.map_err(|e| detail(&e))?;
        self.reserve(text.len() as u64)?;
        Ok(text)
    }

    /// The `include` function.
    pub(in crate::chart) fn include(&self, env: &Environment<'_>, name: &str, dot: &Go) -> Result<String, String> {
        if env.get_template(name).is_err() {
            return Err(format!("template: no template {} associated with template {}", gotmpl::quote(name), gotmpl::quote(SET)));
        }
        let count = {
            let mut nested = self.nested.lock().unwrap_or_else(PoisonError::into_inner);
            let count = nested.entry(name.to_owned()).or_default();
            *count += 1;
            *count
        };
        let result = if count > MAX_INCLUDE {
            Err(format!("rendering template has a nested reference name: {name}: unable to execute template"))
        } else {
            self.render(env, name, dot)
        };
        if let Some(count) = self.nested.lock().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            *count -= 1;
        }
        result
    }

    /// The `tpl` function: its defines are seen by this call only.
    pub(in crate::chart) fn tpl(&self, env: &Environment<'_>, text: &str, dot: &Go) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.replace("<no value>", ""));
        }
        let lowered = self.lowered(text)?;
        let wrap_error = |e: String| format!("error during tpl function execution for {}: {e}", gotmpl::quote(text));
        let output = if lowered.defines.is_empty() {
            let template = env.template_from_named_str(SET, &lowered.main).map_err(|e| detail(&e))?;
            self.render_template(&template, dot)
        } else {
            let mut own = env.clone();
            for (name, body, empty) in &lowered.defines {
                if !empty || own.get_template(name).is_err() {
                    own.add_template_owned(name.clone(), body.clone()).map_err(|e| detail(&e))?;
                }
            }
            let template = own.template_from_named_str(SET, &lowered.main).map_err(|e| detail(&e))?;
            self.render_template(&template, dot)
        };
        Ok(output.map_err(wrap_error)?.replace("<no value>", ""))
    }

    fn lowered(&self, text: &str) -> Result<Arc<Lowered>, String> {
        if let Some(found) = self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(Arc::clone(found));
        }
        self.reserve(text.len() as u64 * 8)?;
        let mut templates = gotmpl::parse(SET, text, &funcs::exists).map_err(|e| format!("cannot parse template {}: {e}", gotmpl::quote(text)))?;
        let at = templates.iter().position(|t| t.name == SET);
        let main = at.map(|at| lower::lower(&templates.remove(at), self)).unwrap_or_default();
        let defines = templates.iter().map(|t| (t.name.clone(), lower::lower(t, self), t.is_empty())).collect();
        let lowered = Arc::new(Lowered { main, defines });
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned(), Arc::clone(&lowered));
        Ok(lowered)
    }
}

fn detail(error: &Error) -> String {
    error.detail().map_or_else(|| error.to_string(), str::to_owned)
}

/// One run.
pub(super) struct Machine {
    run: Arc<Run>,
    env: Environment<'static>,
    sources: Vec<Source>,
    scopes: Vec<Go>,
}

impl Machine {
    pub(super) fn new(program: Program) -> Result<Self, EngineError> {
        let scopes = objects::scopes(&program);
        let run = Arc::new(Run::new(program.budget, program.lookup));
        let mut env = environment(&run);
        for template in templates(&program.sources)?.values() {
            let text = lower::lower(template, &*run);
            env.add_template_owned(template.name.clone(), text).map_err(|e| EngineError::Parse(format!("{}: {}", template.name, detail(&e))))?;
        }
        Ok(Machine { run, env, sources: program.sources, scopes })
    }

    pub(super) fn run(self) -> Result<BTreeMap<String, String>, EngineError> {
        let mut outputs = BTreeMap::new();
        for source in self.sources.iter().filter(|s| s.execute) {
            let Some(dot @ Go::Map(root)) = self.scopes.get(source.scope) else {
                return Err(EngineError::Execution(format!("{}: no scope {}", source.name, source.scope)));
            };
            let base = match root.get("Template") {
                Some(Go::Map(map)) => map.get("BasePath").unwrap_or(Go::Nil),
                _ => Go::Nil,
            };
            root.lock().insert(Arc::from("Template"), Go::dict([("Name", source.name.as_str().into()), ("BasePath", base)]));
            match self.run.render(&self.env, &source.name, dot) {
                Ok(text) => {
                    outputs.insert(source.name.clone(), text.replace("<no value>", ""));
                }
                Err(text) => {
                    let limit = self.run.exceeded.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    return Err(match limit {
                        Some(limit) => EngineError::Budget { template: source.name.clone(), limit },
                        None => EngineError::Execution(clean_execution(&text)),
                    });
                }
            }
        }
        Ok(outputs)
    }
}

/// Parses all files; later ones redefine, unless what they hold is empty (`Template.associate` in Go).
fn templates(sources: &[Source]) -> Result<BTreeMap<String, Template>, EngineError> {
    let mut set: BTreeMap<String, Template> = BTreeMap::new();
    for source in sources {
        let parsed = gotmpl::parse(&source.name, &source.text, &funcs::exists).map_err(|e| EngineError::Parse(clean_parse(&e.to_string())))?;
        for template in parsed {
            if !template.is_empty() || !set.contains_key(&template.name) {
                set.insert(template.name.clone(), template);
            }
        }
    }
    Ok(set)
}

/// Helm's `cleanupParseError`.
fn clean_parse(text: &str) -> String {
    let mut parts = text.split(": ");
    let location = parts.nth(1).unwrap_or_default();
    format!("parse error at ({location}): {}", parts.last().unwrap_or_default())
}

/// Helm's `cleanupExecError`: what `required` and `fail` said, at the place of the outermost call.
fn clean_execution(text: &str) -> String {
    let mut parts = text.splitn(3, ": ");
    let (Some(_), Some(location), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return text.to_owned() };
    match (rest.find(WARN_START), rest.rfind(WARN_END)) {
        (Some(start), Some(end)) if start < end => {
            format!("execution error at ({location}): {}", &rest[start + WARN_START.len()..end])
        }
        _ => text.to_owned(),
    }
}

fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder()
        .block_delimiters("\u{1}%", "%\u{1}")
        .variable_delimiters("\u{1}{", "}\u{1}")
        .comment_delimiters("\u{1}#", "#\u{1}")
        .keep_trailing_newline(true)
        .build()
        .expect("the delimiters are constants that minijinja accepts")
}

fn environment(run: &Arc<Run>) -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_syntax(syntax());
    env.set_recursion_limit(500);
    env.set_formatter(|out: &mut Output, _: &mut State, value: &Value| {
        let mut text = String::new();
        print(&unwrap(value), &mut text);
        take_overflow().map_err(failure)?;
        out.write_str(&text).map_err(Error::from)
    });
    env.add_function("cell", |value: Value| Value::from_object(Cell(Mutex::new(value))));
    env.add_function("get", |cell: Value| match cell.downcast_object_ref::<Cell>() {
        Some(cell) => cell.0.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        None => cell,
    });
    env.add_function("put", |cell: Value, value: Value| {
        if let Some(cell) = cell.downcast_object_ref::<Cell>() {
            *cell.0.lock().unwrap_or_else(PoisonError::into_inner) = value.clone();
        }
        value
    });
    let shared = Arc::clone(run);
    env.add_function("k", move |site: usize| match &shared.site(site)?.action {
        Action::Constant(value) => Ok(wrap(value.clone())),
        _ => Err(failure("not a constant")),
    });
    let shared = Arc::clone(run);
    env.add_function("fail", move |site: usize| -> Result<Value, Error> {
        let site = shared.site(site)?;
        match &site.action {
            Action::Fail(message) => Err(failure(site.error(message))),
            _ => Err(failure("not a failure")),
        }
    });
    let shared = Arc::clone(run);
    env.add_function("f", move |site: usize, receiver: Value, args: Rest<Value>| {
        let site = shared.site(site)?;
        let args: Vec<Go> = args.iter().map(unwrap).collect();
        fields(&site, unwrap(&receiver), &args).map(wrap).map_err(failure)
    });
    add_control(&mut env, run);
    env
}

fn add_control(env: &mut Environment<'static>, run: &Arc<Run>) {
    let shared = Arc::clone(run);
    env.add_function("c", move |state: &mut State, site: usize, args: Rest<Value>| {
        let site = shared.site(site)?;
        let Action::Call(function, arguments) = &site.action else { return Err(failure("not a call")) };
        let args: Vec<Go> = args.iter().map(unwrap).collect();
        check(&site, function, arguments, &args).map_err(failure)?;
        let mut call = Call { args, run: &shared, env: state.env() };
        let result = (function.call)(&mut call)
            .and_then(|value| take_overflow().map(|()| value))
            .map_err(|e| failure(site.error(&format!("error calling {}: {e}", function.name))))?;
        if let Go::Str(text) = &result {
            shared.reserve(text.len() as u64).map_err(failure)?;
        }
        Ok(wrap(result))
    });
    let shared = Arc::clone(run);
    env.add_function("t", move |state: &mut State, site: usize, dot: Value| {
        let site = shared.site(site)?;
        let Action::Template(name) = &site.action else { return Err(failure("not a template")) };
        if state.env().get_template(name).is_err() {
            return Err(failure(site.error(&format!("template {} not defined", gotmpl::quote(name)))));
        }
        shared.render(state.env(), name, &unwrap(&dot)).map(|text| wrap(text.into())).map_err(failure)
    });
    for (name, pairs) in [("each", false), ("pairs", true)] {
        let shared = Arc::clone(run);
        env.add_function(name, move |site: usize, value: Value| {
            let site = shared.site(site)?;
            let items = iterate(&unwrap(&value), pairs).map_err(|e| failure(site.error(&e)))?;
            shared.spend(items.len() as u64)?;
            Ok(Value::from(items))
        });
    }
}

/// What `range` visits, as minijinja values: elements, or pairs of key and element.
fn iterate(value: &Go, pairs: bool) -> Result<Vec<Value>, String> {
    let item = |key: Go, element: Go| if pairs { Value::from(vec![wrap(key), wrap(element)]) } else { wrap(element) };
    match value {
        Go::Nil => Ok(Vec::new()),
        Go::List(items) => Ok(items.iter().enumerate().map(|(i, e)| item(Go::int(i), e.clone())).collect()),
        Go::Bytes(bytes) => Ok(bytes.iter().enumerate().map(|(i, b)| item(Go::int(i), Go::Int(i64::from(*b), IntKind::Uint8))).collect()),
        Go::Map(map) => Ok(map.snapshot().into_iter().map(|(k, e)| item(Go::Str(k), e)).collect()),
        Go::Int(n, _) if pairs => Err(format!("can't use {n} to iterate over more than one variable")),
        Go::Int(n, kind) => {
            if *n > 10_000_000 {
                return Err(format!("range over {n} is more than this program accepts"));
            }
            Ok((0..*n).map(|i| wrap(Go::Int(i, *kind))).collect())
        }
        Go::Host(host) => match host.entries() {
            Some(entries) if host.kind() != "struct" => iterate(&entries, pairs),
            _ => Err(format!("range can't iterate over {}", sprint(std::slice::from_ref(value)))),
        },
        other => Err(format!("range can't iterate over {}", sprint(std::slice::from_ref(other)))),
    }
}

/// Go's `evalFieldChain`.
fn fields(site: &Site, mut receiver: Go, args: &[Go]) -> Result<Go, String> {
    let Action::Fields(names, tolerant) = &site.action else { return Err("not a field".to_owned()) };
    if *tolerant && matches!(receiver, Go::Nil) {
        return Ok(Go::Nil);
    }
    for (i, name) in names.iter().enumerate() {
        let args = if i + 1 == names.len() { args } else { &[] };
        receiver = field(site, &receiver, name, args)?;
    }
    Ok(receiver)
}

fn field(site: &Site, receiver: &Go, name: &str, args: &[Go]) -> Result<Go, String> {
    match receiver {
        Go::Map(map) => entry(site, map, name, args),
        Go::Nil => Err(site.error(&format!("nil pointer evaluating interface {{}}.{name}"))),
        Go::Host(host) => {
            if let Some(result) = host.call(name, args) {
                return result.map_err(|e| site.error(&format!("error calling {name}: {e}")));
            }
            match host.field(name) {
                Some(_) if !args.is_empty() => Err(site.error(&format!("{name} has arguments but cannot be invoked as function"))),
                Some(value) => Ok(value),
                None if host.missing_is_nil() => Ok(Go::Nil),
                // Hosts are found in maps, so Go names the interface they are in.
                None => Err(site.error(&format!("can't evaluate field {name} in type interface {{}}"))),
            }
        }
        // Elements of maps and slices are interfaces: that is the type Go names.
        _ => Err(site.error(&format!("can't evaluate field {name} in type interface {{}}"))),
    }
}

fn entry(site: &Site, map: &Map, name: &str, args: &[Go]) -> Result<Go, String> {
    match map.get(name) {
        Some(Go::Nil) | None if args.is_empty() => Ok(Go::Nil),
        Some(value) if args.is_empty() => Ok(value),
        _ => Err(site.error(&format!("{name} is not a method but has arguments"))),
    }
}

/// Go's checks of a call: the number of arguments, and their types.
fn check(site: &Site, function: &funcs::Function, written: &[lower::Argument], args: &[Go]) -> Result<(), String> {
    let (kinds, variadic) = (function.params, function.variadic);
    let fixed = if variadic { kinds.len() - 1 } else { kinds.len() };
    let context = function.name;
    if variadic && args.len() < fixed {
        let message = format!("wrong number of args for {}: want at least {fixed} got {}", function.name, written.len());
        return Err(site.error_at(site.pos, context, &message));
    }
    if !variadic && args.len() != fixed {
        let message = format!("wrong number of args for {}: want {fixed} got {}", function.name, args.len());
        return Err(site.error_at(site.pos, context, &message));
    }
    for (i, arg) in args.iter().enumerate() {
        let kind = kinds[i.min(kinds.len() - 1)];
        if kind.accepts(arg, written.get(i).is_some_and(|w| w.literal)) {
            continue;
        }
        let (pos, text) = written.get(i).or(written.last()).map_or((site.pos, context), |w| (w.pos, w.text.as_str()));
        let message = match written.get(i) {
            Some(w) if w.literal => kind.literal_error(&w.text),
            Some(_) if matches!(arg, Go::Nil) && text == "nil" => format!("cannot assign nil to {}", kind.type_name()),
            _ if matches!(arg, Go::Nil) => format!("invalid value; expected {}", kind.type_name()),
            _ => format!("wrong type for value; expected {}; got {}", kind.type_name(), arg.type_name()),
        };
        return Err(site.error_at(pos, text, &message));
    }
    Ok(())
}

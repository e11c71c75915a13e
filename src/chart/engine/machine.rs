//! One run: all files are parsed, then those that give manifests are executed one by one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Dialect, EngineError, Program, Run, Source, objects};
use crate::chart::funcs;
use crate::chart::gotmpl;
use crate::chart::meter::{self, Limit};
use crate::chart::value::{Go, forget_stand_ins, lossy};

/// Marks of `required` and `fail`, as Helm writes them.
pub(in crate::chart) const WARN_START: &str = "HELM_ERR_START";
/// See [`WARN_START`].
pub(in crate::chart) const WARN_END: &str = "HELM_ERR_END";

/// One run.
pub(super) struct Machine {
    run: Run,
    sources: Vec<Source>,
    scopes: Vec<Go>,
    dialect: Dialect,
    leave_out_failures: bool,
}

impl Machine {
    pub(super) fn new(mut program: Program) -> Result<Self, EngineError> {
        forget_stand_ins();
        let run = Run::new(program.budget, program.lookup.take());
        let scopes = objects::scopes(&mut program);
        for source in &mut program.sources {
            // The text itself, and what is cut out of it.
            let _ = meter::bytes(source.text.len() as u64 * 2);
            let text = std::mem::take(&mut source.text);
            let parsed = match &program.parsed {
                Some(known) => known.templates(&source.name, text),
                None => gotmpl::parse(source.name.clone(), text, &funcs::exists),
            };
            let parsed = parsed.map_err(|e| EngineError::Parse(clean_parse(&e.to_string())))?;
            if run.add(parsed).is_err() {
                let (_, limit) = run.exceeded().unwrap_or_default();
                return Err(EngineError::Budget { template: source.name.clone(), place: format!("{}:1:0", source.name), limit });
            }
        }
        Ok(Machine { run, sources: program.sources, scopes, dialect: program.dialect, leave_out_failures: program.leave_out_failures })
    }

    pub(super) fn run(self) -> Result<BTreeMap<String, String>, EngineError> {
        let mut outputs = BTreeMap::new();
        let mut broken = None;
        for source in self.sources.iter().filter(|s| s.execute) {
            let text = match (self.one(source), self.run.exceeded()) {
                (Ok(text), _) => text,
                (Err(_), Some((place, limit))) => return Err(EngineError::Budget { template: source.name.clone(), place, limit }),
                (Err(_), None) if self.leave_out_failures => continue,
                (Err(text), None) => return Err(EngineError::Execution(clean_execution(&lossy(&text)))),
            };
            // What is written is text: bytes of no character end here. Only notes may have had some.
            let text = if let Cow::Owned(shown) = lossy(&text) {
                if !source.name.ends_with("NOTES.txt") {
                    broken.get_or_insert_with(|| source.name.clone());
                }
                shown
            } else {
                text
            };
            outputs.insert(source.name.clone(), text);
        }
        // Helm finds this when it reads the manifests, after all templates have run.
        broken.map_or(Ok(outputs), |template| Err(EngineError::NotText(template)))
    }

    fn one(&self, source: &Source) -> Result<String, String> {
        let Some(dot @ Go::Map(root)) = self.scopes.get(source.scope) else {
            return Err(format!("{}: no scope {}", source.name, source.scope));
        };
        let base = match root.get("Template") {
            Some(Go::Map(map)) => map.get("BasePath").unwrap_or(Go::Nil),
            _ => Go::Nil,
        };
        let template = [("Name", source.name.as_str().into()), ("BasePath", base)];
        root.lock().insert(Arc::from("Template"), objects::map(objects::values_type(self.dialect), template));
        let code = self.run.find(&source.name).ok_or_else(|| format!("template: no template {} associated", gotmpl::quote(&source.name)))?;
        let text = self.run.execute(code, dot)?;
        if meter::used_up().is_some() {
            return Err(meter::end(Limit::Steps));
        }
        Ok(if text.contains("<no value>") { text.replace("<no value>", "") } else { text })
    }
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

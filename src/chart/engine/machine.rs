//! One run: all files are parsed, then those that give manifests are executed one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{EngineError, Program, Run, Source, objects};
use crate::chart::funcs;
use crate::chart::gotmpl;
use crate::chart::value::{Go, MapType};

/// Marks of `required` and `fail`, as Helm writes them.
pub(in crate::chart) const WARN_START: &str = "HELM_ERR_START";
/// See [`WARN_START`].
pub(in crate::chart) const WARN_END: &str = "HELM_ERR_END";

/// One run.
pub(super) struct Machine {
    run: Run,
    sources: Vec<Source>,
    scopes: Vec<Go>,
}

impl Machine {
    pub(super) fn new(program: Program) -> Result<Self, EngineError> {
        let run = Run::new(program.budget, program.lookup.clone());
        let scopes = objects::scopes(&program);
        for source in &program.sources {
            let parsed = gotmpl::parse(&source.name, &source.text, &funcs::exists).map_err(|e| EngineError::Parse(clean_parse(&e.to_string())))?;
            if run.add(parsed).is_err() {
                let (_, limit) = run.exceeded().unwrap_or_default();
                return Err(EngineError::Budget { template: source.name.clone(), place: format!("{}:1:0", source.name), limit });
            }
        }
        Ok(Machine { run, sources: program.sources, scopes })
    }

    pub(super) fn run(self) -> Result<BTreeMap<String, String>, EngineError> {
        let mut outputs = BTreeMap::new();
        for source in self.sources.iter().filter(|s| s.execute) {
            let text = self.one(source).map_err(|text| match self.run.exceeded() {
                Some((place, limit)) => EngineError::Budget { template: source.name.clone(), place, limit },
                None => EngineError::Execution(clean_execution(&text)),
            })?;
            outputs.insert(source.name.clone(), text);
        }
        Ok(outputs)
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
        root.lock().insert(Arc::from("Template"), objects::map(MapType::Values, template));
        let code = self.run.find(&source.name).ok_or_else(|| format!("template: no template {} associated", gotmpl::quote(&source.name)))?;
        let text = self.run.execute(code, dot)?;
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

//! Renders a chart's templates: a pure function of a [`Program`], run on a large stack of its own.

mod budget;
mod capabilities;
mod eval;
mod exec;
mod field;
mod machine;
mod metadata;
mod methods;
mod objects;
mod run;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{Parsed, meter};

pub use super::error::EngineError;
pub use budget::Budget;
use machine::Machine;
pub(in crate::chart) use machine::{WARN_END, WARN_START};
pub(in crate::chart) use run::Run;

/// The stack of a run. `include`, `tpl`, parentheses and nested values use it, and what is not used takes no memory.
const STACK: usize = 256 << 20;

/// A template file, given in Helm's parse order; what is parsed later redefines what came before.
#[derive(Debug, Clone)]
pub struct Source {
    /// `<chart>/templates/x.yaml`.
    pub name: String,
    /// The file's text.
    pub text: String,
    /// Index of its chart's scope.
    pub scope: usize,
    /// Whether its output is wanted (partials are only parsed).
    pub execute: bool,
}

/// What the templates of one chart see.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Coalesced values.
    pub values: serde_json::Map<String, Value>,
    /// Chart.yaml with Go's field names, and `IsRoot`.
    pub chart: Value,
    /// Files by path.
    pub files: BTreeMap<String, Bytes>,
    /// Scopes of the subcharts by name.
    pub subcharts: BTreeMap<String, usize>,
    /// `<chart>/templates`.
    pub base_path: String,
}

/// `.Release`.
#[derive(Debug, Clone)]
pub struct ReleaseInfo {
    /// Name of the release.
    pub name: String,
    /// Namespace it goes into.
    pub namespace: String,
    /// Revision, from 1.
    pub revision: i64,
    /// Whether this is an install.
    pub is_install: bool,
    /// Whether this is an upgrade.
    pub is_upgrade: bool,
}

/// The version of a cluster.
#[derive(Debug, Clone)]
pub struct KubeVersion {
    /// `v1.34.0`.
    pub version: String,
    /// `1`.
    pub major: String,
    /// `34`.
    pub minor: String,
}

/// `.Capabilities`.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// The cluster's version.
    pub kube_version: KubeVersion,
    /// `group/version` and `group/version/Kind`.
    pub api_versions: Vec<String>,
    /// Helm's own version.
    pub helm_version: String,
}

/// Whose rules hold where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Helm 3.
    #[default]
    Helm3,
    /// Helm 4.
    Helm4,
}

/// What the `lookup` function asks.
pub trait Lookup: Send + Sync {
    /// An object or a list; an empty map if there is none.
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String>;
}

/// All that a render depends on.
pub struct Program {
    /// Template files in parse order.
    pub sources: Vec<Source>,
    /// One scope per chart.
    pub scopes: Vec<Scope>,
    /// `.Release`.
    pub release: ReleaseInfo,
    /// `.Capabilities`.
    pub capabilities: Capabilities,
    /// Helm 3 or 4.
    pub dialect: Dialect,
    /// Limits.
    pub budget: Budget,
    /// For `lookup`; without one every look-up is empty.
    pub lookup: Option<Arc<dyn Lookup>>,
    /// What was parsed before.
    pub parsed: Option<Arc<Parsed>>,
    /// Whether files that fail are left out.
    pub leave_out_failures: bool,
}

impl std::fmt::Debug for Program {
    /// Values may hold secrets: only the shape is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("sources", &self.sources.len()).field("scopes", &self.scopes.len()).finish_non_exhaustive()
    }
}

/// Renders; the outputs of the executed templates by name.
///
/// The stack is switched, not the thread: to a second thread glibc gives an arena that grows by one page at a time, which takes as long
/// as the rendering.
pub fn run(program: Program) -> Result<BTreeMap<String, String>, EngineError> {
    let _account = meter::open(&program.budget);
    let render = AssertUnwindSafe(|| stacker::grow(STACK, || Machine::new(program)?.run()));
    catch_unwind(render).map_err(|_| EngineError::Panic)?
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;

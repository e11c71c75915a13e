//! From a chart and values to what the engine runs: sources in the order in which Helm parses them, a scope for each chart.

use std::{cmp::Reverse, collections::BTreeMap};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    Chart, CrdFile, DependencyError, RemoteSchemas, dependencies::Graph, loading::weight_of, log::Log, meter, model::own_crds, rendered::Processed, values,
    values::coalesce::TypeMismatch,
};

/// What a rendering needs besides templates.
pub(super) struct Prepared {
    /// Templates, in the order of their parsing and execution.
    pub(super) sources: Vec<PreparedSource>,
    /// A scope for each chart, the root's first.
    pub(super) scopes: Vec<PreparedScope>,
    /// Custom resource definitions.
    pub(super) crds: Vec<CrdFile>,
    /// The root's Chart.yaml and defaults after dependencies are processed.
    pub(super) processed: Processed,
}

/// A template.
pub(super) struct PreparedSource {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) scope: usize,
    pub(super) execute: bool,
}

/// What a chart's templates see.
pub(super) struct PreparedScope {
    /// Empty where the values are the table of the chart's name in its parent's.
    pub(super) values: Map<String, Value>,
    pub(super) chart: Value,
    pub(super) files: BTreeMap<String, Bytes>,
    pub(super) subcharts: BTreeMap<String, usize>,
    pub(super) base_path: String,
}

/// Why a chart cannot be rendered with these values.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Dependencies are missing or do not fit.
    #[error(transparent)]
    Dependencies(#[from] DependencyError),
    /// Values of a subchart are no map.
    #[error(transparent)]
    Mismatch(#[from] TypeMismatch),
    /// Values do not fit a chart's schema.
    #[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
    Schema(String),
}

/// Processes dependencies, coalesces values, checks schemas (if there is somebody to ask for what they refer to), and lays templates out.
pub(super) fn prepare(chart: &Chart, user: &Map<String, Value>, schemas: Option<&dyn RemoteSchemas>, log: &mut Log) -> Result<Prepared, PrepareError> {
    let mut graph = Graph::process(chart, user, log)?;
    let coalesced = graph.coalesce(0, user, false).map_err(|error| match error {
        DependencyError::Mismatch(mismatch) => PrepareError::Mismatch(mismatch),
        other => other.into(),
    })?;
    // As values of templates they are there once more.
    take(weight_of(&coalesced) * 2)?;
    if let Some(remote) = schemas {
        let mut report = String::new();
        check_schemas(&mut graph, 0, &coalesced, remote, &mut report);
        if meter::used_up().is_some() {
            return Err(DependencyError::Budget.into());
        }
        if !report.is_empty() {
            return Err(PrepareError::Schema(report));
        }
    }
    let mut layout = Layout { graph: &graph, templates: BTreeMap::new(), scopes: Vec::new(), crds: Vec::new() };
    layout.chart(0, &coalesced)?;
    layout.scopes[0].values = coalesced;
    let Layout { templates, scopes, crds, .. } = layout;
    let mut sources: Vec<PreparedSource> = templates.into_values().collect();
    // Deepest first, then backwards by name (`sortTemplates`): what is parsed later redefines what came before.
    sources.sort_by_cached_key(|source| Reverse((source.name.matches('/').count(), source.name.clone())));
    let processed = Processed { metadata: graph.metadata(0), values: std::mem::take(&mut graph.charts[0].values) };
    Ok(Prepared { sources, scopes, crds, processed })
}

/// `ValidateAgainstSchema`: a chart and those below it, each with its own values.
fn check_schemas(graph: &mut Graph<'_>, index: usize, own: &Map<String, Value>, remote: &dyn RemoteSchemas, report: &mut String) {
    let source = graph.charts[index].source;
    if let Some(schema) = &source.schema {
        let name = graph.name(index).to_owned();
        values::check_schema(report, &name, schema, &Value::Object(own.clone()), remote, graph.log);
    }
    for child in graph.charts[index].children.clone() {
        if let Some(Value::Object(own)) = own.get(graph.name(child)) {
            check_schemas(graph, child, own, remote, report);
        }
    }
}

/// What a scope takes beside its files and Chart.yaml, in bytes.
const SCOPE: u64 = 4096;
/// What an entry of `.Files` takes beside its name.
const FILE: u64 = 96;

fn take(bytes: u64) -> Result<(), PrepareError> {
    meter::bytes(bytes).map_err(|_| DependencyError::Budget.into())
}

struct Layout<'g, 'a> {
    graph: &'g Graph<'a>,
    /// By path: of two charts at one path, which aliases can bring about, the later one counts.
    templates: BTreeMap<String, PreparedSource>,
    scopes: Vec<PreparedScope>,
    crds: Vec<CrdFile>,
}

impl Layout<'_, '_> {
    fn chart(&mut self, index: usize, values: &Map<String, Value>) -> Result<usize, PrepareError> {
        let chart = &self.graph.charts[index];
        let path = self.graph.path(index);
        let metadata = chart.source.raw.iter().find(|file| file.name == "Chart.yaml").map_or(0, |file| file.data.len() as u64);
        take(SCOPE + metadata * 4 + chart.source.files.iter().map(|file| FILE + file.name.len() as u64).sum::<u64>())?;
        let scope = self.scopes.len();
        self.crds.extend(own_crds(&path, &chart.source.files));
        self.scopes.push(PreparedScope {
            values: Map::new(),
            chart: self.graph.metadata(index).go_value(index == 0),
            files: chart.source.files.iter().map(|file| (file.name.clone(), file.data.clone())).collect(),
            subcharts: BTreeMap::new(),
            base_path: format!("{path}/templates"),
        });
        let empty = Map::new();
        let mut subcharts = BTreeMap::new();
        for child in &chart.children {
            let name = self.graph.name(*child);
            let own = values.get(name).and_then(Value::as_object).unwrap_or(&empty);
            let below = self.chart(*child, own)?;
            if let Some(hidden) = subcharts.insert(name.to_owned(), below) {
                // Of two charts of one name the parent knows the later one.
                self.scopes[hidden].values.clone_from(own);
            }
        }
        self.scopes[scope].subcharts = subcharts;
        for file in &chart.source.templates {
            let hidden = file.name.rsplit('/').next().is_some_and(|name| name.starts_with('_'));
            if chart.source.metadata.is_library() && !hidden {
                continue;
            }
            let name = format!("{path}/{}", file.name);
            take((file.data.len() + name.len() * 2) as u64)?;
            let source = PreparedSource { name: name.clone(), text: file.text().into_owned(), scope, execute: !hidden };
            self.templates.insert(name, source);
        }
        Ok(scope)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{goyaml, tree::FileTree};

    fn fixture(name: &str) -> Chart {
        fn read(root: &Path, folder: &Path, tree: &mut FileTree) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    read(root, &path, tree);
                } else {
                    tree.insert(path.strip_prefix(root).unwrap().to_str().unwrap().parse().unwrap(), fs::read(&path).unwrap().into());
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance/charts").join(name);
        let mut tree = FileTree::new();
        read(&root, &root, &mut tree);
        Chart::load(&tree).unwrap()
    }

    #[test]
    fn nulls_and_globals_as_helm() {
        let prepared = prepare(&fixture("p02-nil-coalesce"), &Map::new(), Some(&values::NoRemoteSchemas), &mut Log::default()).unwrap();
        let helm = include_str!("../../tests/fixtures/conformance/expected/p02-nil-coalesce.out");
        let helm = helm.split_once("v: |\n").unwrap().1.lines().flat_map(|line| [&line[2..], "\n"]).collect::<String>();
        assert_eq!(goyaml::emit(&Value::Object(prepared.scopes[0].values.clone())).unwrap(), helm);
    }

    #[test]
    fn aliases_share_what_helms_pointers_share() {
        let prepared = prepare(&fixture("p03-alias-grandchild"), &Map::new(), Some(&values::NoRemoteSchemas), &mut Log::default()).unwrap();
        let names: Vec<&str> = prepared.sources.iter().map(|source| source.name.as_str()).collect();
        let root = "p03-alias-grandchild";
        let want = ["charts/b2/charts/u/", "charts/b2/charts/c/", "charts/b1/charts/cc/", "charts/b2/", "charts/b1/", ""];
        assert_eq!(names, want.map(|part| format!("{root}/{part}templates/t.yaml")));
    }
}

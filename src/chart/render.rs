//! A chart and values to manifests: `helm template`, `helm install` up to the cluster.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Chart, CrdFile, DependencyError, ManifestError, Parsed, PrepareError, Rendered,
    capabilities::{DEFAULT_API_VERSIONS, DEFAULT_KUBE_VERSION, HELM_VERSION, HELM4_VERSION, parse_kube_version},
    chance,
    engine::{self, Budget, Capabilities, Dialect, EngineError, KubeVersion, Lookup, Program, ReleaseInfo, Scope, Source},
    log::Log,
    manifests, meter,
    prepare::{Prepared, PreparedScope, PreparedSource, prepare},
    semver, trace,
    values::{NoRemoteSchemas, RemoteSchemas},
};

/// How to render.
#[derive(Clone)]
pub struct RenderOptions {
    /// Name, namespace and revision of the release.
    pub release: ReleaseInfo,
    /// What templates may know of the cluster.
    pub capabilities: Capabilities,
    /// Which Helm to be.
    pub dialect: Dialect,
    /// What `lookup` asks; nothing is found without.
    pub lookup: Option<Arc<dyn Lookup>>,
    /// What a chart may use up.
    pub budget: Budget,
    /// What was parsed before, for who renders a chart more than once.
    pub parsed: Option<Arc<Parsed>>,
    /// Where schemas of other addresses are had.
    pub remote_schemas: Arc<dyn RemoteSchemas>,
    /// Not to hold values against schemas (`--skip-schema-validation`).
    pub skip_schemas: bool,
    /// Whether what is rendered is only looked at: random functions, keys and the time are then the same each time, and a key that was made
    /// before will do for others, since to make one takes longer than most charts do.
    pub repeatable: bool,
    /// Whether templates that fail are left out, for who looks at what the others make of values. Helm has nothing like it.
    pub leave_out_failures: bool,
}

impl RenderOptions {
    /// A first install as Helm v3.22 sees it without a cluster.
    pub fn new(name: &str, namespace: &str) -> Self {
        let release = ReleaseInfo { name: name.to_owned(), namespace: namespace.to_owned(), revision: 1, is_install: true, is_upgrade: false };
        let capabilities = Capabilities {
            kube_version: KubeVersion { version: DEFAULT_KUBE_VERSION.to_owned(), major: "1".to_owned(), minor: "37".to_owned() },
            api_versions: DEFAULT_API_VERSIONS.iter().map(|version| (*version).to_owned()).collect(),
            helm_version: HELM_VERSION.to_owned(),
        };
        Self {
            release,
            capabilities,
            dialect: Dialect::default(),
            lookup: None,
            budget: Budget::default(),
            parsed: None,
            remote_schemas: Arc::new(NoRemoteSchemas),
            skip_schemas: false,
            repeatable: false,
            leave_out_failures: false,
        }
    }
}

/// A Kubernetes version as templates see it, with as many numbers as were given; else what is wrong, in Helm's words.
pub fn kube_version(text: &str) -> Result<KubeVersion, String> {
    let numbers: Vec<String> = parse_kube_version(text)?.iter().map(u64::to_string).collect();
    Ok(KubeVersion { version: format!("v{}", numbers.join(".")), major: numbers[0].clone(), minor: numbers[1].clone() })
}

/// The same as one of the Helms shows it: Helm 4 keeps what follows the numbers (pkg/chart/common/capabilities.go).
pub fn kube_version_for(dialect: Dialect, text: &str) -> Result<KubeVersion, String> {
    let parsed = kube_version(text)?;
    let version = match dialect {
        Dialect::Helm3 => parsed.version,
        Dialect::Helm4 if text.starts_with('v') => text.to_owned(),
        Dialect::Helm4 => format!("v{text}"),
    };
    Ok(KubeVersion { version, ..parsed })
}

impl std::fmt::Debug for RenderOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RenderOptions")
            .field("release", &self.release)
            .field("capabilities", &self.capabilities)
            .field("dialect", &self.dialect)
            .field("lookup", &self.lookup.is_some())
            .finish_non_exhaustive()
    }
}

/// Why a chart could not be rendered, in Helm's words.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A library chart.
    #[error("library charts are not installable")]
    Library,
    /// The chart is for another Kubernetes.
    #[error("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {found}")]
    KubeVersion {
        /// What Chart.yaml says.
        wanted: String,
        /// What the cluster is.
        found: String,
    },
    /// Dependencies or values do not fit.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A template failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What came out is no manifest.
    #[error("{source}")]
    Manifest {
        /// Why not.
        #[source]
        source: ManifestError,
        /// What came out, by path, for whoever looks for the fault.
        files: BTreeMap<String, String>,
    },
}

impl RenderError {
    /// Whether Helm has a release already when this happens, so that `helm template` can hint at `--debug` (cmd/helm/template.go).
    pub fn has_release(&self) -> bool {
        match self {
            Self::Library | Self::Prepare(_) => false,
            Self::KubeVersion { .. } | Self::Engine(_) | Self::Manifest { .. } => true,
        }
    }
}

/// Renders a chart.
pub fn render(chart: &Chart, user_values: &Map<String, Value>, options: &RenderOptions) -> Result<Rendered, RenderError> {
    let mut log = Log::new(options.dialect);
    let rendered = render_with(chart, user_values, options, &mut log)?;
    Ok(Rendered { warnings: log.into_lines(), ..rendered })
}

/// Renders a chart and tells what Helm logs on standard error, also where rendering fails.
pub fn render_logged(chart: &Chart, user_values: &Map<String, Value>, options: &RenderOptions, lines: &mut Vec<String>) -> Result<Rendered, RenderError> {
    let mut log = Log::new(options.dialect);
    let result = render_with(chart, user_values, options, &mut log);
    *lines = log.into_lines();
    result
}

/// The files under crds/ of a chart and of those subcharts that these values do not switch off: what Helm installs before all else.
pub fn crds(chart: &Chart, user_values: &Map<String, Value>) -> Result<Vec<CrdFile>, RenderError> {
    let _account = meter::open(&Budget::default());
    Ok(prepare(chart, user_values, None, &mut Log::new(Dialect::default()))?.crds)
}

fn render_with(chart: &Chart, user_values: &Map<String, Value>, options: &RenderOptions, log: &mut Log) -> Result<Rendered, RenderError> {
    let budget = options.budget.with_values(user_values);
    let _account = meter::open(&budget);
    let _chance = chance::repeat(options.repeatable);
    let metadata = chart.metadata();
    chart.warnings.iter().for_each(|line| log.raw(line));
    if metadata.is_library() {
        return Err(RenderError::Library);
    }
    let schemas = (!options.skip_schemas).then_some(&*options.remote_schemas);
    let prepared = prepare(chart, user_values, schemas, log).inspect_err(|error| tell(error, log))?;
    let found = &options.capabilities.kube_version.version;
    // Helm 4 compares the numbers alone; Helm 3 has nothing else.
    let numbers = kube_version(found).ok().filter(|_| options.dialect == Dialect::Helm4).map(|parsed| parsed.version);
    if !metadata.kube_version.is_empty() && !semver::is_compatible(&metadata.kube_version, numbers.as_ref().unwrap_or(found)) {
        return Err(RenderError::KubeVersion { wanted: metadata.kube_version.clone(), found: found.clone() });
    }
    let Prepared { sources, scopes, crds, processed } = prepared;
    let wanted = sources.iter().filter(|source| chart.verbatim || source.execute).count();
    let mut files = if chart.verbatim { verbatim(sources) } else { execute(sources, scopes, options, budget)? };
    let executed = files.len();
    let notes = take_notes(&mut files, chart.name());
    let (mut sorted, before) = (manifests::sort(&files, log), files.len());
    if sorted.is_err() && options.leave_out_failures {
        files.retain(|path, text| manifests::sort(&BTreeMap::from([(path.clone(), text.clone())]), &mut Log::new(options.dialect)).is_ok());
        sorted = manifests::sort(&files, log);
    }
    let sorted = match sorted {
        Ok(sorted) => sorted,
        Err(source) => return Err(RenderError::Manifest { source, files }),
    };
    let left_out = executed < wanted || files.len() < before;
    Ok(Rendered { manifests: sorted.manifests, hooks: sorted.hooks, crds, notes, warnings: Vec::new(), processed, left_out })
}

/// What Helm 4 logs before it fails (pkg/action/install.go).
fn tell(error: &PrepareError, log: &mut Log) {
    if let (PrepareError::Dependencies(DependencyError::Mismatch(problem)), Dialect::Helm4) = (error, log.dialect()) {
        log.slog("ERROR", "chart dependencies processing failed", &[("error", &problem.to_string())]);
    }
}

/// Manifests that are no templates.
fn verbatim(sources: Vec<PreparedSource>) -> BTreeMap<String, String> {
    sources.into_iter().map(|source| (source.name, source.text)).collect()
}

fn execute(sources: Vec<PreparedSource>, scopes: Vec<PreparedScope>, options: &RenderOptions, budget: Budget) -> Result<BTreeMap<String, String>, EngineError> {
    let sources = sources.into_iter().map(|source| Source { name: source.name, text: source.text, scope: source.scope, execute: source.execute });
    let scopes = scopes.into_iter().map(|scope| Scope {
        values: scope.values,
        chart: scope.chart,
        files: scope.files,
        subcharts: scope.subcharts,
        base_path: scope.base_path,
    });
    let mut capabilities = options.capabilities.clone();
    if options.dialect == Dialect::Helm4 && capabilities.helm_version == HELM_VERSION {
        HELM4_VERSION.clone_into(&mut capabilities.helm_version);
    }
    let rendered = engine::run(Program {
        sources: sources.collect(),
        scopes: scopes.collect(),
        release: options.release.clone(),
        capabilities,
        dialect: options.dialect,
        budget,
        lookup: options.lookup.clone(),
        parsed: options.parsed.clone(),
        leave_out_failures: options.leave_out_failures,
    });
    rendered.map_err(|error| match error {
        EngineError::Execution(text) if options.dialect == Dialect::Helm4 => EngineError::Execution(trace::lay_out(&text)),
        other => other,
    })
}

/// Notes are no manifests: the root's are kept, those of subcharts dropped.
fn take_notes(files: &mut BTreeMap<String, String>, chart: &str) -> String {
    let notes = files.get(&format!("{chart}/templates/NOTES.txt")).cloned().unwrap_or_default();
    files.retain(|path, _| !path.ends_with("NOTES.txt"));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chart::{TemplateText, from_manifests},
        tree::FileTree,
    };

    #[test]
    fn the_default_is_a_version() {
        let parsed = kube_version(DEFAULT_KUBE_VERSION).ok().map(|version| (version.version, version.major, version.minor));
        let default = RenderOptions::new("r", "n").capabilities.kube_version;
        assert_eq!(parsed, Some((default.version, default.major, default.minor)));
    }

    #[test]
    fn definitions_of_a_subchart_that_is_switched_off_are_none() {
        let mut tree = FileTree::new();
        for (path, text) in [
            ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies: [{name: sub, version: 0.1.0, condition: sub.enabled}]\n"),
            ("values.yaml", "sub: {enabled: false}\n"),
            ("crds/a.yaml", "kind: A\n"),
            ("charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 0.1.0\n"),
            ("charts/sub/crds/b.yaml", "kind: B\n"),
        ] {
            tree.insert(path.parse().unwrap(), text.into());
        }
        let chart = Chart::load(&tree).unwrap();
        let paths =
            |values: serde_json::Value| -> Vec<String> { crds(&chart, values.as_object().unwrap()).unwrap().into_iter().map(|file| file.path).collect() };
        assert_eq!(paths(serde_json::json!({})), ["c/crds/a.yaml"]);
        assert_eq!(paths(serde_json::json!({"sub": {"enabled": true}})), ["c/crds/a.yaml", "c/charts/sub/crds/b.yaml"]);
    }

    #[test]
    fn templates_that_fail_are_left_out_where_that_is_wanted() {
        let mut tree = FileTree::new();
        for (path, text) in [
            ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"),
            ("templates/a.yaml", "kind: A\n"),
            ("templates/b.yaml", "{{ fail \"no\" }}"),
            ("templates/c.yaml", "kind: [\n"),
            ("templates/NOTES.txt", "a: b: c\n"),
        ] {
            tree.insert(path.parse().unwrap(), text.into());
        }
        let render = |leave_out_failures, tree: &FileTree| {
            let options = RenderOptions { leave_out_failures, ..RenderOptions::new("r", "n") };
            render(&Chart::load(tree).unwrap(), &Map::new(), &options).map(|rendered| (rendered.manifests.len(), rendered.left_out)).ok()
        };
        assert_eq!((render(false, &tree), render(true, &tree)), (None, Some((1, true))));
        tree.remove("templates/b.yaml");
        tree.remove("templates/c.yaml");
        assert_eq!((render(false, &tree), render(true, &tree)), (Some((1, false)), Some((1, false))));
    }

    #[test]
    fn plain_manifests_go_the_way_of_charts() {
        let mut tree = FileTree::new();
        let text = "kind: Deployment\nx: '{{ kept }}'\n---\nkind: Namespace\n---\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: test}}\n";
        tree.insert("k/a.yaml".parse().unwrap(), text.into());
        let rendered = render(&from_manifests("glue", "0.1.0", &tree).unwrap(), &Map::new(), &RenderOptions::new("r", "n")).unwrap();
        let path = "# Source: glue/templates/k/a.yaml";
        let manifests = format!("---\n{path}\nkind: Namespace\n---\n{path}\nkind: Deployment\nx: '{{{{ kept }}}}'\n");
        assert_eq!(rendered.manifest_text(), manifests);
        let hook = format!("---\n{path}\nkind: Job\nmetadata: {{name: h, annotations: {{helm.sh/hook: test}}}}\n");
        assert_eq!(rendered.template_text(TemplateText::default()), format!("{manifests}{hook}"));
        assert_eq!(rendered.template_text(TemplateText { skip_tests: true, ..TemplateText::default() }), manifests);
    }
}

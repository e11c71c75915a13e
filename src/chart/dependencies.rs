//! Which subcharts take part, under which names, and what values they lend: Helm's pkg/chartutil/dependencies.go.
//!
//! Helm works on pointers: two aliases of one chart share its subcharts and its list of dependencies, and what is done through one
//! alias shows through the other. Helm 4 copies one level further. To give what either gives, charts, what Chart.yaml says of them and
//! dependencies are indices into three lists here.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Chart, Dependency, Metadata,
    engine::Dialect,
    loading::weight_of,
    log::{Log, go_quoted, go_text},
    meter, semver,
    values::{
        DocumentError,
        coalesce::{Layer, Node as Entry, Table, TypeMismatch, coalesce, merge_tables},
        parse_documents,
    },
};

/// Charts beyond this are refused; aliases multiply.
const MAX_CHARTS: usize = 10_000;

/// Why dependencies do not work out.
#[derive(Debug, thiserror::Error)]
pub enum DependencyError {
    /// Charts are named that are not there.
    #[error("An error occurred while checking for chart dependencies. You may need to run `helm dependency build` to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// Values of a subchart are no map.
    #[error(transparent)]
    Mismatch(#[from] TypeMismatch),
    /// A values.yaml of several documents has one that is none.
    #[error("cannot load values.yaml: {0}")]
    Values(DocumentError),
    /// Aliases of aliases.
    #[error("more than {MAX_CHARTS} charts after aliases")]
    TooMany,
    /// Subcharts under many aliases, or with much in them.
    #[error("its subcharts, aliases counted in, have more values and templates than a chart may use; give it fewer aliases, or render its parts on their own")]
    Budget,
}

/// What a chart takes beside its values, in bytes.
const CHART: u64 = 1024;
/// Bytes of values that are coalesced in one step.
const STEP: u64 = 256;

/// A chart that takes part in a rendering.
#[derive(Debug, Clone)]
pub(super) struct Active<'a> {
    pub(super) source: &'a Chart,
    pub(super) values: Map<String, Value>,
    pub(super) children: Vec<usize>,
    parent: Option<usize>,
    /// Memory of its values.
    weight: u64,
    /// Into [`Graph::about`].
    about: usize,
}

/// What Chart.yaml says of a chart, as far as it is changed.
#[derive(Debug, Clone)]
struct About {
    /// The name, or alias.
    name: String,
    /// Into [`Graph::requirements`]; none if Chart.yaml names no dependencies.
    needs: Option<Vec<usize>>,
}

/// The charts of a rendering; the root is the first.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) charts: Vec<Active<'a>>,
    about: Vec<About>,
    requirements: Vec<Dependency>,
    /// Requirements whose imports are done.
    imported: BTreeSet<usize>,
    /// Memory of the values that are kept while subcharts are gone through.
    held: u64,
    pub(super) log: &'a mut Log,
}

/// A chart of a graph, for coalescing.
struct Node<'g, 'a> {
    graph: &'g Graph<'a>,
    index: usize,
    children: Vec<Node<'g, 'a>>,
}

impl Layer for Node<'_, '_> {
    fn name(&self) -> &str {
        self.graph.name(self.index)
    }

    fn values(&self) -> &Map<String, Value> {
        &self.graph.charts[self.index].values
    }

    fn children(&self) -> Vec<&dyn Layer> {
        self.children.iter().map(|child| child as &dyn Layer).collect()
    }
}

impl<'a> Graph<'a> {
    /// Takes charts up, turns off what is off, and imports values (`ProcessDependenciesWithMerge`).
    pub(super) fn process(chart: &'a Chart, values: &Map<String, Value>, log: &'a mut Log) -> Result<Self, DependencyError> {
        let missing: Vec<String> = chart
            .metadata
            .dependencies
            .iter()
            .filter(|need| !chart.subcharts.iter().any(|sub| sub.name() == need.name))
            .map(|need| need.name.clone())
            .collect();
        if !missing.is_empty() {
            return Err(DependencyError::Missing(missing));
        }
        let mut graph = Graph { charts: Vec::new(), about: Vec::new(), requirements: Vec::new(), imported: BTreeSet::new(), held: 0, log };
        graph.take_up(chart, None)?;
        graph.enable(0, values, "")?;
        graph.import(0)?;
        Ok(graph)
    }

    fn take_up(&mut self, chart: &'a Chart, parent: Option<usize>) -> Result<usize, DependencyError> {
        let first = self.requirements.len();
        self.requirements.extend(chart.metadata.dependencies.iter().cloned());
        let needs = (!chart.metadata.dependencies.is_empty()).then(|| (first..self.requirements.len()).collect());
        let about = self.add_about(About { name: chart.name().to_owned(), needs });
        let values = self.own_values(chart)?;
        let weight = weight_of(&values);
        let index = self.push(Active { source: chart, values, children: Vec::new(), parent, weight, about })?;
        for subchart in &chart.subcharts {
            let child = self.take_up(subchart, Some(index))?;
            self.charts[index].children.push(child);
        }
        Ok(index)
    }

    /// A chart's defaults: Helm 4 takes all documents of values.yaml, Helm 3 the first.
    fn own_values(&self, chart: &Chart) -> Result<Map<String, Value>, DependencyError> {
        let file = chart.raw.iter().find(|file| file.name == "values.yaml");
        match (self.log.dialect(), file) {
            (Dialect::Helm4, Some(file)) => {
                let text = String::from_utf8_lossy(&file.data);
                if text.contains("\n---") { parse_documents(&text).map_err(DependencyError::Values) } else { Ok(chart.values.clone()) }
            }
            _ => Ok(chart.values.clone()),
        }
    }

    fn add_about(&mut self, about: About) -> usize {
        self.about.push(about);
        self.about.len() - 1
    }

    /// A chart's name, or alias.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.about[self.charts[index].about].name
    }

    fn needs(&self, index: usize) -> Option<Vec<usize>> {
        self.about[self.charts[index].about].needs.clone()
    }

    fn push(&mut self, chart: Active<'a>) -> Result<usize, DependencyError> {
        if self.charts.len() >= MAX_CHARTS {
            return Err(DependencyError::TooMany);
        }
        meter::bytes(CHART + chart.weight).map_err(|_| DependencyError::Budget)?;
        self.charts.push(chart);
        Ok(self.charts.len() - 1)
    }

    /// Values over a chart of the graph.
    pub(super) fn coalesce(&mut self, index: usize, values: &Map<String, Value>, merge: bool) -> Result<Map<String, Value>, DependencyError> {
        // Those of a parent are among the values of its subcharts, so they grow from level to level.
        let given = weight_of(values);
        meter::steps(given / STEP).map_err(|_| DependencyError::Budget)?;
        let mut log = std::mem::take(&mut *self.log);
        let result = self.node(index, &mut (self.held + given * 2)).and_then(|node| Ok(coalesce(&node, values, merge, &mut log)?));
        *self.log = log;
        result
    }

    /// Where aliases share what is below them, this is more than there are charts.
    fn node(&self, index: usize, taken: &mut u64) -> Result<Node<'_, 'a>, DependencyError> {
        let chart = &self.charts[index];
        meter::steps(1 + chart.weight / STEP).map_err(|_| DependencyError::Budget)?;
        // Until they are coalesced, values are there twice.
        *taken += CHART + chart.weight * 2;
        if *taken > meter::room() {
            return Err(DependencyError::Budget);
        }
        let children = chart.children.iter().map(|child| self.node(*child, taken)).collect::<Result<_, _>>()?;
        Ok(Node { graph: self, index, children })
    }

    fn fits(&self, child: usize, need: &Dependency) -> bool {
        self.name(child) == need.name && semver::is_compatible(&need.version, &self.charts[child].source.metadata.version)
    }

    fn enable(&mut self, index: usize, values: &Map<String, Value>, path: &str) -> Result<(), DependencyError> {
        let Some(needs) = self.needs(index) else { return Ok(()) };
        self.alias(index, &needs)?;
        let values = self.coalesce(index, values, false)?;
        let held = weight_of(&values);
        self.held += held;
        for need in &needs {
            self.requirements[*need].enabled = true;
        }
        self.by_tags(&needs, &values);
        self.by_conditions(&needs, &values, path);
        let off: BTreeSet<String> = needs.iter().map(|need| &self.requirements[*need]).filter(|need| !need.enabled).map(|need| need.name.clone()).collect();
        let children: Vec<usize> = self.charts[index].children.iter().copied().filter(|child| !off.contains(self.name(*child))).collect();
        let needs: Vec<usize> = needs.into_iter().filter(|need| !off.contains(&self.requirements[*need].name)).collect();
        for child in &children {
            let path = format!("{path}{}.", self.name(*child));
            self.enable(*child, &values, &path)?;
        }
        self.held -= held;
        let about = self.charts[index].about;
        self.about[about].needs = (!needs.is_empty()).then_some(needs);
        self.adopt(index, children);
        Ok(())
    }

    /// Puts the charts that are named, under their aliases, after those that are not.
    fn alias(&mut self, index: usize, needs: &[usize]) -> Result<(), DependencyError> {
        let before = self.charts[index].children.clone();
        let mut children: Vec<usize> = before.iter().copied().filter(|child| !needs.iter().any(|need| self.fits(*child, &self.requirements[*need]))).collect();
        for need in needs {
            let need_of = self.requirements[*need].clone();
            if let Some(found) = before.iter().copied().find(|child| self.fits(*child, &need_of)) {
                children.push(self.copy(found, &need_of.alias)?);
            }
            if !need_of.alias.is_empty() {
                self.requirements[*need].name = need_of.alias;
            }
        }
        self.adopt(index, children);
        Ok(())
    }

    /// `getAliasDependency`. In Helm 3 the copy shares children and dependencies with the original; in Helm 4 it has its own, but
    /// its children share what Chart.yaml says of them, and their own children, with the original's.
    fn copy(&mut self, found: usize, alias: &str) -> Result<usize, DependencyError> {
        let mut copy = self.charts[found].clone();
        let mut about = self.about[copy.about].clone();
        if !alias.is_empty() {
            alias.clone_into(&mut about.name);
        }
        if self.log.dialect() == Dialect::Helm3 {
            copy.about = self.add_about(about);
            return self.push(copy);
        }
        about.needs = about.needs.map(|needs| {
            let first = self.requirements.len();
            let own: Vec<Dependency> = needs.iter().map(|need| self.requirements[*need].clone()).collect();
            self.requirements.extend(own);
            (first..self.requirements.len()).collect()
        });
        copy.about = self.add_about(about);
        let below = std::mem::take(&mut copy.children);
        let copy = self.push(copy)?;
        for child in below {
            let child = self.charts[child].clone();
            let child = self.push(Active { parent: Some(copy), ..child })?;
            self.charts[copy].children.push(child);
        }
        Ok(copy)
    }

    fn adopt(&mut self, index: usize, children: Vec<usize>) {
        for child in &children {
            self.charts[*child].parent = Some(index);
        }
        self.charts[index].children = children;
    }

    fn by_tags(&mut self, needs: &[usize], values: &Map<String, Value>) {
        let Some(Value::Object(tags)) = values.get("tags") else { return };
        for need in needs {
            let need = &mut self.requirements[*need];
            let (mut on, mut off) = (false, false);
            for tag in &need.tags {
                match tags.get(tag) {
                    Some(Value::Bool(truth)) => {
                        on |= *truth;
                        off |= !truth;
                    }
                    Some(_) => self.log.either(
                        "dependencies.go:95",
                        &format!("Warning: Tag '{tag}' for chart {} returned non-bool value", need.name),
                        "WARN",
                        "returned non-bool value",
                        &[("tag", tag), ("chart", &need.name)],
                    ),
                    None => {}
                }
            }
            need.enabled = on || !off;
        }
    }

    fn by_conditions(&mut self, needs: &[usize], values: &Map<String, Value>, path: &str) {
        for need in needs {
            let need = &mut self.requirements[*need];
            for condition in need.condition.trim().split(',').filter(|condition| !condition.is_empty()) {
                match leaf(values, &format!("{path}{condition}")) {
                    Some(Value::Bool(truth)) => {
                        need.enabled = *truth;
                        break;
                    }
                    Some(_) => self.log.either(
                        "dependencies.go:64",
                        &format!("Warning: Condition path '{condition}' for chart {} returned non-bool value", need.name),
                        "WARN",
                        "returned non-bool value",
                        &[("path", condition), ("chart", &need.name)],
                    ),
                    None => {}
                }
            }
        }
    }

    fn import(&mut self, index: usize) -> Result<(), DependencyError> {
        meter::steps(1).map_err(|_| DependencyError::Budget)?;
        for child in self.charts[index].children.clone() {
            self.import(child)?;
        }
        let Some(needs) = self.needs(index) else { return Ok(()) };
        let values = self.coalesce(index, &Map::new(), true)?;
        if needs.iter().all(|need| self.requirements[*need].import_values.is_empty()) {
            self.imported.extend(needs);
            self.charts[index].values = values;
            return Ok(());
        }
        let values = Table::of(&values);
        let imported = Table::default();
        for need in needs {
            self.import_from(need, &values, &imported);
        }
        // What was imported is part of the values still, and merging may have changed it there: that is copied (`deepCopyMap`).
        let own = Table::of(&values.plain());
        merge_tables(&own, &imported, self.log);
        self.charts[index].values = own.plain();
        Ok(())
    }

    fn import_from(&mut self, need: usize, values: &Table, imported: &Table) {
        let name = self.requirements[need].name.clone();
        let mut resolved = Vec::new();
        let imports = std::mem::take(&mut self.requirements[need].import_values);
        if !self.imported.insert(need) {
            // What Helm puts in their place is of a type that it does not take a second time, through another alias.
            return;
        }
        for import in imports {
            let (child, parent, named) = match &import {
                Value::String(export) => (format!("exports.{export}"), ".".to_owned(), false),
                Value::Object(map) => {
                    let text = |key| go_text(map.get(key).unwrap_or(&Value::Null));
                    (text("child"), text("parent"), true)
                }
                _ => continue,
            };
            resolved.push(serde_json::json!({"child": child, "parent": parent}));
            match shared_table(values, &format!("{name}.{child}")) {
                Ok(found) => merge_tables(imported, &nest(&parent, found), self.log),
                Err(missing) => self.missing_table(named.then_some(&name), &missing),
            }
        }
        self.requirements[need].import_values = resolved;
    }

    fn missing_table(&mut self, chart: Option<&String>, missing: &str) {
        let error = format!("{} is not a table", go_quoted(missing));
        match chart {
            Some(chart) => self.log.either(
                "dependencies.go:270",
                &format!("Warning: ImportValues missing table from chart {chart}: {error}"),
                "WARN",
                "ImportValues missing table from chart",
                &[("chart", chart), ("error", &error)],
            ),
            None => self.log.either(
                "dependencies.go:287",
                &format!("Warning: ImportValues missing table: {error}"),
                "WARN",
                "ImportValues missing table",
                &[("error", &error)],
            ),
        }
    }

    /// A chart's Chart.yaml as it is after all this.
    pub(super) fn metadata(&self, index: usize) -> Metadata {
        let chart = &self.charts[index];
        let about = &self.about[chart.about];
        let needs = about.needs.iter().flatten().map(|need| self.requirements[*need].clone());
        Metadata { name: about.name.clone(), dependencies: needs.collect(), ..chart.source.metadata.clone() }
    }

    /// `ChartFullPath`, through the parents as they are now.
    pub(super) fn path(&self, index: usize) -> String {
        let chart = &self.charts[index];
        let name = self.name(index);
        chart.parent.map_or_else(|| name.to_owned(), |parent| format!("{}/charts/{name}", self.path(parent)))
    }
}

fn table<'v>(values: &'v Map<String, Value>, path: &str) -> Option<&'v Map<String, Value>> {
    path.split('.').try_fold(values, |map, part| map.get(part).and_then(Value::as_object))
}

/// `PathValue`: tables never count.
fn leaf<'v>(values: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let (tables, last) = path.rsplit_once('.').map_or((None, path), |(tables, last)| (Some(tables), last));
    let map = tables.map_or(Some(values), |tables| table(values, tables))?;
    map.get(last).filter(|value| !value.is_object())
}

/// `Values.Table`; else the part of the path that is none.
fn shared_table(values: &Table, path: &str) -> Result<Table, String> {
    path.split('.').try_fold(values.clone(), |table, part| match table.get(part) {
        Some(Entry::Table(found)) => Ok(found),
        _ => Err(part.to_owned()),
    })
}

fn nest(path: &str, values: Table) -> Table {
    if path == "." {
        return values;
    }
    path.split('.').rev().fold(values, |inner, part| {
        let outer = Table::default();
        outer.put(part, Entry::Table(inner));
        outer
    })
}

//! Which subcharts take part, under which names, and what values they lend: Helm's pkg/chartutil/dependencies.go.
//!
//! Helm works on pointers: two aliases of one chart share its subcharts and its list of dependencies, and what is done through one
//! alias shows through the other (fixed in Helm 4). To give what Helm gives, charts and dependencies are indices into two lists here.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Chart, Dependency, Metadata, semver,
    values::coalesce::{Layer, TypeMismatch, coalesce, merge_tables},
};

/// Charts beyond this are refused; aliases multiply.
const MAX_CHARTS: usize = 10_000;

/// Why dependencies do not work out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DependencyError {
    /// Charts are named that are not there.
    #[error("An error occurred while checking for chart dependencies. You may need to run `helm dependency build` to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// Values of a subchart are no map.
    #[error(transparent)]
    Mismatch(#[from] TypeMismatch),
    /// Aliases of aliases.
    #[error("more than {MAX_CHARTS} charts after aliases")]
    TooMany,
}

/// A chart that takes part in a rendering.
#[derive(Debug, Clone)]
pub(super) struct Active<'a> {
    pub(super) source: &'a Chart,
    pub(super) name: String,
    pub(super) values: Map<String, Value>,
    pub(super) children: Vec<usize>,
    pub(super) parent: Option<usize>,
    /// Into [`Graph::requirements`]; none if Chart.yaml names no dependencies.
    needs: Option<Vec<usize>>,
}

/// The charts of a rendering; the root is the first.
#[derive(Debug, Clone)]
pub(super) struct Graph<'a> {
    pub(super) charts: Vec<Active<'a>>,
    requirements: Vec<Dependency>,
    pub(super) warnings: Vec<String>,
}

/// A chart of a graph, for coalescing.
struct Node<'g, 'a> {
    graph: &'g Graph<'a>,
    index: usize,
    children: Vec<Node<'g, 'a>>,
}

impl Layer for Node<'_, '_> {
    fn name(&self) -> &str {
        &self.graph.charts[self.index].name
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
    pub(super) fn process(chart: &'a Chart, values: &Map<String, Value>) -> Result<Self, DependencyError> {
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
        let mut graph = Graph { charts: Vec::new(), requirements: Vec::new(), warnings: Vec::new() };
        graph.take_up(chart, None)?;
        graph.enable(0, values, "")?;
        graph.import(0)?;
        Ok(graph)
    }

    fn take_up(&mut self, chart: &'a Chart, parent: Option<usize>) -> Result<usize, DependencyError> {
        let index =
            self.push(Active { source: chart, name: chart.name().to_owned(), values: chart.values.clone(), children: Vec::new(), parent, needs: None })?;
        if !chart.metadata.dependencies.is_empty() {
            let first = self.requirements.len();
            self.requirements.extend(chart.metadata.dependencies.iter().cloned());
            self.charts[index].needs = Some((first..self.requirements.len()).collect());
        }
        for subchart in &chart.subcharts {
            let child = self.take_up(subchart, Some(index))?;
            self.charts[index].children.push(child);
        }
        Ok(index)
    }

    fn push(&mut self, chart: Active<'a>) -> Result<usize, DependencyError> {
        if self.charts.len() >= MAX_CHARTS {
            return Err(DependencyError::TooMany);
        }
        self.charts.push(chart);
        Ok(self.charts.len() - 1)
    }

    /// Values over a chart of the graph.
    pub(super) fn coalesce(&mut self, index: usize, values: Map<String, Value>, merge: bool) -> Result<Map<String, Value>, TypeMismatch> {
        let mut warnings = Vec::new();
        let result = coalesce(&self.node(index), values, merge, &mut warnings);
        self.warnings.append(&mut warnings);
        result
    }

    fn node(&self, index: usize) -> Node<'_, 'a> {
        Node { graph: self, index, children: self.charts[index].children.iter().map(|child| self.node(*child)).collect() }
    }

    fn fits(&self, child: usize, need: &Dependency) -> bool {
        let child = &self.charts[child];
        child.name == need.name && semver::is_compatible(&need.version, &child.source.metadata.version)
    }

    fn enable(&mut self, index: usize, values: &Map<String, Value>, path: &str) -> Result<(), DependencyError> {
        let Some(needs) = self.charts[index].needs.clone() else { return Ok(()) };
        self.alias(index, &needs)?;
        let values = self.coalesce_quietly(index, values)?;
        for need in &needs {
            self.requirements[*need].enabled = true;
        }
        self.by_tags(&needs, &values);
        self.by_conditions(&needs, &values, path);
        let off: BTreeSet<String> = needs.iter().map(|need| &self.requirements[*need]).filter(|need| !need.enabled).map(|need| need.name.clone()).collect();
        let children: Vec<usize> = self.charts[index].children.iter().copied().filter(|child| !off.contains(&self.charts[*child].name)).collect();
        let needs: Vec<usize> = needs.into_iter().filter(|need| !off.contains(&self.requirements[*need].name)).collect();
        for child in &children {
            let path = format!("{path}{}.", self.charts[*child].name);
            self.enable(*child, &values, &path)?;
        }
        self.charts[index].needs = (!needs.is_empty()).then_some(needs);
        self.adopt(index, children);
        Ok(())
    }

    fn coalesce_quietly(&mut self, index: usize, values: &Map<String, Value>) -> Result<Map<String, Value>, TypeMismatch> {
        self.coalesce(index, values.clone(), false)
    }

    /// Puts the charts that are named, under their aliases, after those that are not.
    fn alias(&mut self, index: usize, needs: &[usize]) -> Result<(), DependencyError> {
        let before = self.charts[index].children.clone();
        let mut children: Vec<usize> = before.iter().copied().filter(|child| !needs.iter().any(|need| self.fits(*child, &self.requirements[*need]))).collect();
        for need in needs {
            let need_of = self.requirements[*need].clone();
            if let Some(found) = before.iter().copied().find(|child| self.fits(*child, &need_of)) {
                // A shallow copy: children and needs are shared with the original.
                let mut copy = self.charts[found].clone();
                if !need_of.alias.is_empty() {
                    copy.name.clone_from(&need_of.alias);
                }
                let copy = self.push(copy)?;
                children.push(copy);
            }
            if !need_of.alias.is_empty() {
                self.requirements[*need].name = need_of.alias;
            }
        }
        self.adopt(index, children);
        Ok(())
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
                    Some(_) => self.warnings.push(format!("Warning: Tag '{tag}' for chart {} returned non-bool value", need.name)),
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
                    Some(_) => self.warnings.push(format!("Warning: Condition path '{condition}' for chart {} returned non-bool value", need.name)),
                    None => {}
                }
            }
        }
    }

    fn import(&mut self, index: usize) -> Result<(), DependencyError> {
        for child in self.charts[index].children.clone() {
            self.import(child)?;
        }
        let Some(needs) = self.charts[index].needs.clone() else { return Ok(()) };
        let values = self.coalesce(index, Map::new(), true)?;
        let mut imported = Map::new();
        for need in needs {
            imported = self.import_from(need, &values, imported);
        }
        self.charts[index].values = merge_tables(values, imported, &mut self.warnings);
        Ok(())
    }

    fn import_from(&mut self, need: usize, values: &Map<String, Value>, mut imported: Map<String, Value>) -> Map<String, Value> {
        let name = self.requirements[need].name.clone();
        let mut resolved = Vec::new();
        for import in std::mem::take(&mut self.requirements[need].import_values) {
            let (child, parent, named) = match &import {
                Value::String(export) => (format!("exports.{export}"), ".".to_owned(), false),
                Value::Object(map) => (go_text(map.get("child")), go_text(map.get("parent")), true),
                _ => continue,
            };
            resolved.push(serde_json::json!({"child": child, "parent": parent}));
            let path = format!("{name}.{child}");
            if let Some(found) = table(values, &path) {
                imported = merge_tables(imported, nest(&parent, found.clone()), &mut self.warnings);
            } else {
                let missing = path.rsplit('.').next().unwrap_or(&path);
                let from = if named { format!(" from chart {name}") } else { String::new() };
                self.warnings.push(format!("Warning: ImportValues missing table{from}: {missing:?} is not a table"));
            }
        }
        self.requirements[need].import_values = resolved;
        imported
    }

    /// A chart's Chart.yaml as it is after all this.
    pub(super) fn metadata(&self, index: usize) -> Metadata {
        let chart = &self.charts[index];
        let needs = chart.needs.iter().flatten().map(|need| self.requirements[*need].clone());
        Metadata { name: chart.name.clone(), dependencies: needs.collect(), ..chart.source.metadata.clone() }
    }

    /// `ChartFullPath`, through the parents as they are now.
    pub(super) fn path(&self, index: usize) -> String {
        let chart = &self.charts[index];
        chart.parent.map_or_else(|| chart.name.clone(), |parent| format!("{}/charts/{}", self.path(parent), chart.name))
    }
}

/// What `%v` prints.
fn go_text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "<nil>".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
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

fn nest(path: &str, values: Map<String, Value>) -> Map<String, Value> {
    if path == "." {
        return values;
    }
    path.split('.').rev().fold(values, |inner, part| Map::from_iter([(part.to_owned(), Value::Object(inner))]))
}

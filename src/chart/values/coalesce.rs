//! Values over charts' defaults: Helm's pkg/chartutil/coalesce.go (3.22) and pkg/chart/common/util/coalesce.go (4.3), nulls and all.
//!
//! Go's maps are references. A subchart's globals are a copy of the first two levels only, so what a subchart adds further down shows
//! in its parent and its siblings. To give what Helm gives, tables are shared here as they are there.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde_json::{Map, Value};

use crate::chart::{
    engine::Dialect,
    log::{Log, bad_verb, go_text},
};

const GLOBAL: &str = "global";

/// What coalescing has to know of a chart.
pub(in crate::chart) trait Layer {
    /// The chart's name, or alias.
    fn name(&self) -> &str;
    /// Its defaults.
    fn values(&self) -> &Map<String, Value>;
    /// The charts below it.
    fn children(&self) -> Vec<&dyn Layer>;
}

/// A subchart's values are no map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("type mismatch on {chart}: {found}")]
pub struct TypeMismatch {
    /// The subchart.
    pub chart: String,
    /// What stands under its name, as Go's `%t` prints it.
    pub found: String,
}

/// Coalesces values over a chart's defaults (`merge` keeps nulls).
pub(in crate::chart) fn coalesce(chart: &dyn Layer, values: &Map<String, Value>, merge: bool, log: &mut Log) -> Result<Map<String, Value>, TypeMismatch> {
    let table = Table::of(values);
    Run { log }.chart(chart, &table, "", merge)?;
    Ok(table.into_plain())
}

/// A value that may be seen from several places.
#[derive(Debug, Clone)]
pub(in crate::chart) enum Node {
    /// A map.
    Table(Table),
    /// Anything else.
    Leaf(Value),
}

impl Node {
    fn of(value: &Value) -> Self {
        match value {
            Value::Object(map) => Self::Table(Table::of(map)),
            other => Self::Leaf(other.clone()),
        }
    }

    fn plain(&self) -> Value {
        match self {
            Self::Table(table) => Value::Object(table.plain()),
            Self::Leaf(value) => value.clone(),
        }
    }

    fn into_plain(self) -> Value {
        match self {
            Self::Table(table) => Value::Object(table.into_plain()),
            Self::Leaf(value) => value,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Leaf(Value::Null))
    }
}

/// A map as Go has it: copies are the same map.
#[derive(Debug, Clone, Default)]
pub(in crate::chart) struct Table(Rc<RefCell<BTreeMap<String, Node>>>);

impl Table {
    /// A deep copy of plain values.
    pub(in crate::chart) fn of(map: &Map<String, Value>) -> Self {
        Self(Rc::new(RefCell::new(map.iter().map(|(key, value)| (key.clone(), Node::of(value))).collect())))
    }

    /// A deep copy as plain values.
    pub(in crate::chart) fn plain(&self) -> Map<String, Value> {
        self.0.borrow().iter().map(|(key, node)| (key.clone(), node.plain())).collect()
    }

    /// As plain values, without a copy of what nobody else has.
    pub(in crate::chart) fn into_plain(self) -> Map<String, Value> {
        match Rc::try_unwrap(self.0) {
            Ok(own) => own.into_inner().into_iter().map(|(key, node)| (key, node.into_plain())).collect(),
            Err(shared) => Self(shared).plain(),
        }
    }

    /// What stands under a key.
    pub(in crate::chart) fn get(&self, key: &str) -> Option<Node> {
        self.0.borrow().get(key).cloned()
    }

    /// Puts something under a key.
    pub(in crate::chart) fn put(&self, key: &str, node: Node) {
        self.0.borrow_mut().insert(key.to_owned(), node);
    }

    fn remove(&self, key: &str) {
        self.0.borrow_mut().remove(key);
    }

    /// Another map with the same entries (`copyMap`).
    fn shallow(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    fn entries(&self) -> Vec<(String, Node)> {
        self.0.borrow().iter().map(|(key, node)| (key.clone(), node.clone())).collect()
    }

    /// Drops nulls, at every depth (`cleanNilValues`).
    fn clean(&self) {
        for (key, node) in self.entries() {
            match node {
                Node::Table(table) => table.clean(),
                node if node.is_null() => self.remove(&key),
                Node::Leaf(_) => {}
            }
        }
    }
}

/// `MergeTables`: the first map wins, nulls stay.
pub(in crate::chart) fn merge_tables(over: &Table, below: &Table, log: &mut Log) {
    Run { log }.tables(over, below, "", true);
}

struct Run<'a> {
    log: &'a mut Log,
}

impl Run<'_> {
    fn chart(&mut self, chart: &dyn Layer, values: &Table, prefix: &str, merge: bool) -> Result<(), TypeMismatch> {
        self.defaults(chart, values, prefix, merge);
        let prefix = join(prefix, chart.name());
        for child in chart.children() {
            let own = match values.get(child.name()) {
                None => {
                    let own = Table::default();
                    values.put(child.name(), Node::Table(own.clone()));
                    own
                }
                Some(Node::Table(own)) => own,
                Some(Node::Leaf(other)) => return Err(TypeMismatch { chart: child.name().to_owned(), found: bad_verb('t', &other) }),
            };
            self.globals(&own, values, &prefix);
            self.chart(child, &own, &prefix, merge)?;
        }
        Ok(())
    }

    /// Copies the globals of a chart into those of a subchart (`coalesceGlobals`).
    fn globals(&mut self, child: &Table, parent: &Table, prefix: &str) {
        let globals = match child.get(GLOBAL) {
            None => Table::default(),
            Some(Node::Table(globals)) => globals,
            Some(Node::Leaf(_)) => {
                return self.log.print("coalesce.go:138", &format!("warning: skipping globals because destination {GLOBAL} is not a table."));
            }
        };
        let above = match parent.get(GLOBAL) {
            None => Table::default(),
            Some(Node::Table(above)) => above,
            Some(Node::Leaf(_)) => return self.log.print("coalesce.go:145", &format!("warning: skipping globals because source {GLOBAL} is not a table.")),
        };
        for (key, node) in above.entries() {
            match (node, globals.get(&key)) {
                (Node::Table(table), None) => globals.put(&key, Node::Table(table.shallow())),
                (Node::Table(table), Some(Node::Table(below))) => {
                    let copy = table.shallow();
                    self.tables(&copy, &below, &join(prefix, &key), true);
                    globals.put(&key, Node::Table(copy));
                }
                (Node::Table(_), Some(Node::Leaf(_))) => {
                    self.log.print("coalesce.go:161", &format!("Conflict: cannot merge map onto non-map for {key:?}. Skipping."));
                }
                (Node::Leaf(_), Some(Node::Table(_))) => self.log.print("coalesce.go:175", &format!("key {key} is table. Skipping")),
                (node, _) => globals.put(&key, node),
            }
        }
        child.put(GLOBAL, Node::Table(globals));
    }

    /// Puts a chart's own defaults below its values (`coalesceValues`).
    fn defaults(&mut self, chart: &dyn Layer, values: &Table, prefix: &str, merge: bool) {
        let prefix = join(prefix, chart.name());
        // Helm 4 drops nulls of defaults, Helm 3 passes them on.
        let clean = !merge && self.log.dialect() == Dialect::Helm4;
        for (key, default) in chart.values() {
            match (values.get(key), default) {
                (None, Value::Null) if clean => {}
                (None, default) => {
                    let node = Node::of(default);
                    if let (true, Node::Table(table)) = (clean, &node) {
                        table.clean();
                    }
                    values.put(key, node);
                }
                (Some(node), _) if node.is_null() && !merge => values.remove(key),
                (Some(Node::Table(table)), Value::Object(below)) => {
                    let below = Table::of(below);
                    // Nulls for a subchart must reach it (`childChartMergeTrue`).
                    let merge = merge || chart.children().iter().any(|child| child.name() == key);
                    if clean && !merge {
                        below.clean();
                    }
                    self.tables(&table, &below, &join(&prefix, key), merge);
                }
                (Some(Node::Table(_)), default) if !default.is_null() => {
                    self.log.print("coalesce.go:237", &format!("warning: skipped value for {prefix}.{key}: Not a table."));
                }
                _ => {}
            }
        }
    }

    /// `coalesceTablesFullKey`: `over` wins.
    fn tables(&mut self, over: &Table, below: &Table, prefix: &str, merge: bool) {
        let given: Vec<String> = below.entries().into_iter().filter(|(_, node)| !node.is_null()).map(|(key, _)| key).collect();
        for (key, node) in over.entries() {
            if node.is_null() {
                below.put(&key, node);
            }
        }
        for (key, node) in below.entries() {
            match (over.get(&key), node) {
                (Some(found), _) if found.is_null() && !merge && given.binary_search(&key).is_ok() => over.remove(&key),
                (None, node) => over.put(&key, node),
                (Some(Node::Table(above)), Node::Table(node)) => self.tables(&above, &node, &join(prefix, &key), merge),
                (Some(_), Node::Table(node)) => {
                    let shown = go_text(&Value::Object(node.plain()));
                    self.log.print("coalesce.go:316", &format!("warning: cannot overwrite table with non table for {} ({shown})", join(prefix, &key)));
                }
                (Some(Node::Table(_)), node) if !node.is_null() => {
                    let shown = go_text(&node.plain());
                    self.log
                        .print("coalesce.go:319", &format!("warning: destination for {} is a table. Ignoring non-table value ({shown})", join(prefix, &key)));
                }
                _ => {}
            }
        }
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

//! Defaults below values, charts below charts: Helm's pkg/chartutil/coalesce.go, nulls and all.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

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
#[error("type mismatch on {chart}: %!t({found})")]
pub struct TypeMismatch {
    /// The subchart.
    pub chart: String,
    /// What stands under its name, as Go prints it.
    pub found: String,
}

/// Coalesces values over a chart's defaults (`merge` keeps nulls).
pub(in crate::chart) fn coalesce(
    chart: &dyn Layer,
    values: Map<String, Value>,
    merge: bool,
    warnings: &mut Vec<String>,
) -> Result<Map<String, Value>, TypeMismatch> {
    let mut run = Run { warnings };
    run.chart(chart, values, "", merge)
}

/// `MergeTables`: the first map wins, nulls stay.
pub(in crate::chart) fn merge_tables(mut over: Map<String, Value>, mut below: Map<String, Value>, warnings: &mut Vec<String>) -> Map<String, Value> {
    Run { warnings }.tables(&mut over, &mut below, "", true);
    over
}

struct Run<'a> {
    warnings: &'a mut Vec<String>,
}

impl Run<'_> {
    fn chart(&mut self, chart: &dyn Layer, mut values: Map<String, Value>, prefix: &str, merge: bool) -> Result<Map<String, Value>, TypeMismatch> {
        self.defaults(chart, &mut values, prefix, merge);
        let prefix = join(prefix, chart.name());
        for child in chart.children() {
            let own = match values.get_mut(child.name()).map(Value::take) {
                None => Map::new(),
                Some(Value::Object(own)) => own,
                Some(other) => {
                    let found = other.as_str().map_or_else(|| other.to_string(), ToOwned::to_owned);
                    return Err(TypeMismatch { chart: child.name().to_owned(), found });
                }
            };
            let own = self.globals(own, &values, &prefix);
            let own = self.chart(child, own, &prefix, merge)?;
            values.insert(child.name().to_owned(), Value::Object(own));
        }
        Ok(values)
    }

    /// Copies the globals of a chart into those of a subchart.
    fn globals(&mut self, mut child: Map<String, Value>, parent: &Map<String, Value>, prefix: &str) -> Map<String, Value> {
        let mut globals = match child.get(GLOBAL) {
            None => Map::new(),
            Some(Value::Object(globals)) => globals.clone(),
            Some(_) => {
                self.warnings.push(format!("warning: skipping globals because destination {GLOBAL} is not a table."));
                return child;
            }
        };
        let empty = Map::new();
        let above = match parent.get(GLOBAL) {
            None => &empty,
            Some(Value::Object(above)) => above,
            Some(_) => {
                self.warnings.push(format!("warning: skipping globals because source {GLOBAL} is not a table."));
                return child;
            }
        };
        for (key, value) in above {
            match (value, globals.get_mut(key)) {
                (Value::Object(table), Some(Value::Object(below))) => {
                    let mut table = table.clone();
                    self.tables(&mut table, below, &join(prefix, key), true);
                    globals.insert(key.clone(), Value::Object(table));
                }
                (Value::Object(_), Some(_)) => self.warnings.push(format!("Conflict: cannot merge map onto non-map for {key:?}. Skipping.")),
                (_, Some(Value::Object(_))) => self.warnings.push(format!("key {key} is table. Skipping")),
                (value, _) => {
                    globals.insert(key.clone(), value.clone());
                }
            }
        }
        child.insert(GLOBAL.to_owned(), Value::Object(globals));
        child
    }

    fn defaults(&mut self, chart: &dyn Layer, values: &mut Map<String, Value>, prefix: &str, merge: bool) {
        let prefix = join(prefix, chart.name());
        let children: BTreeSet<&str> = chart.children().iter().map(|child| child.name()).collect();
        for (key, default) in chart.values() {
            match (values.get_mut(key), default) {
                (None, _) => {
                    values.insert(key.clone(), default.clone());
                }
                (Some(Value::Null), _) if !merge => {
                    values.remove(key);
                }
                (Some(Value::Object(table)), Value::Object(below)) => {
                    // Nulls for a subchart must reach it.
                    let merge = merge || children.contains(key.as_str());
                    self.tables(table, &mut below.clone(), &join(&prefix, key), merge);
                }
                (Some(Value::Object(_)), default) if !default.is_null() => {
                    self.warnings.push(format!("warning: skipped value for {prefix}.{key}: Not a table."));
                }
                _ => {}
            }
        }
    }

    /// `coalesceTablesFullKey`: `over` wins.
    fn tables(&mut self, over: &mut Map<String, Value>, below: &mut Map<String, Value>, prefix: &str, merge: bool) {
        let given: BTreeSet<String> = below.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key.clone()).collect();
        for (key, value) in over.iter() {
            if value.is_null() {
                below.insert(key.clone(), Value::Null);
            }
        }
        for (key, value) in below.iter_mut() {
            let full = join(prefix, key);
            match (over.get_mut(key), value) {
                (Some(Value::Null), _) if !merge && given.contains(key) => {
                    over.remove(key);
                }
                (None, value) => {
                    over.insert(key.clone(), value.clone());
                }
                (Some(Value::Object(above)), Value::Object(value)) => self.tables(above, value, &full, merge),
                (Some(_), Value::Object(value)) => {
                    self.warnings.push(format!("warning: cannot overwrite table with non table for {full} ({})", Value::Object(value.clone())));
                }
                (Some(Value::Object(_)), value) if !value.is_null() => {
                    self.warnings.push(format!("warning: destination for {full} is a table. Ignoring non-table value ({value})"));
                }
                _ => {}
            }
        }
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

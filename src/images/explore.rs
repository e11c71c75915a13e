//! The switches of a chart: every boolean of its values, turned one at a time.

use serde_json::{Map, Value};

use crate::chart::{Chart, values};

/// Deeper switches are not looked for.
const DEPTH_MAX: usize = 12;

/// A switch that can be turned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Its path in the values, part by part.
    pub path: Vec<String>,
    /// What it would be turned to.
    pub to: bool,
}

impl Switch {
    /// As it would be written after `--set`.
    pub fn written(&self) -> String {
        format!("{}={}", self.path.join("."), self.to)
    }

    /// The values with the switch turned.
    pub fn turn(&self, user: &Map<String, Value>) -> Map<String, Value> {
        let mut turned = Value::Bool(self.to);
        for part in self.path.iter().rev() {
            turned = Value::Object(Map::from_iter([(part.clone(), turned)]));
        }
        let mut values = user.clone();
        if let Value::Object(over) = turned {
            values::merge(&mut values, over);
        }
        values
    }
}

/// All switches of a chart and its subcharts, those near the root first: what they turn on is larger.
pub fn switches(chart: &Chart, user: &Map<String, Value>) -> Vec<Switch> {
    let mut found = Vec::new();
    let mut own = all_values(chart);
    values::merge(&mut own, user.clone());
    collect(&Value::Object(own), &mut Vec::new(), &mut found);
    // Tags that nothing sets are on (helm, pkg/chartutil/dependencies.go).
    for tag in chart.metadata().dependencies.iter().flat_map(|need| &need.tags) {
        let path = vec!["tags".to_owned(), tag.clone()];
        if !found.iter().any(|switch| switch.path == path) {
            found.push(Switch { path, to: false });
        }
    }
    found.sort_by_key(|switch| (!switch.to, switch.path.len()));
    found
}

fn all_values(chart: &Chart) -> Map<String, Value> {
    let mut below = Map::new();
    for subchart in chart.subcharts() {
        let names = chart
            .metadata()
            .dependencies
            .iter()
            .filter(|need| need.name == subchart.name())
            .map(|need| if need.alias.is_empty() { &need.name } else { &need.alias });
        for name in names {
            below.insert(name.clone(), Value::Object(all_values(subchart)));
        }
    }
    for name in chart.metadata().dependencies.iter().filter_map(|need| need.condition.split(',').next()).filter(|path| !path.is_empty()) {
        // A condition that no values have is on.
        let parts: Vec<String> = name.trim().split('.').map(ToOwned::to_owned).collect();
        values::merge(&mut below, Switch { path: parts, to: true }.turn(&Map::new()));
    }
    values::merge(&mut below, chart.values().clone());
    below
}

fn collect(value: &Value, path: &mut Vec<String>, found: &mut Vec<Switch>) {
    match value {
        Value::Bool(on) if !path.is_empty() => found.push(Switch { path: path.clone(), to: !on }),
        Value::Object(map) if path.len() < DEPTH_MAX => {
            for (key, value) in map {
                path.push(key.clone());
                collect(value, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::FileTree;

    #[test]
    fn switches_of_the_chart_and_below() {
        let mut tree = FileTree::new();
        for (path, text) in [
            ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: db, version: 1.0.0, repository: '', condition: db.enabled}]\n"),
            ("values.yaml", "a: {live: true, n: 1}\ndb: {enabled: false}\n"),
            ("charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"),
            ("charts/db/values.yaml", "metrics: {live: false}\n"),
        ] {
            tree.insert(path.parse().unwrap(), text.as_bytes().to_vec().into());
        }
        let chart = Chart::load(&tree).unwrap();
        let user = serde_json::json!({"a": {"n": 2}}).as_object().unwrap().clone();
        let found = switches(&chart, &user);
        let written: Vec<String> = found.iter().map(Switch::written).collect();
        assert_eq!(written, ["db.enabled=true", "db.metrics.live=true", "a.live=false"]);
        assert_eq!(Value::Object(found[2].turn(&user)), serde_json::json!({"a": {"n": 2, "live": false}}));
    }
}

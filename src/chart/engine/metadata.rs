//! `.Chart`: Chart.yaml as the structs of Helm's pkg/chart.

use std::sync::Arc;

use serde_json::Value;

use crate::chart::value::{Element, Go, Host, List, Map, MapType, from_json, sprint};

/// The fields of `chart.Metadata`, in Go's order.
const METADATA: &[&str] = &[
    "Name",
    "Home",
    "Sources",
    "Version",
    "Description",
    "Keywords",
    "Maintainers",
    "Icon",
    "APIVersion",
    "Condition",
    "Tags",
    "AppVersion",
    "Deprecated",
    "Annotations",
    "KubeVersion",
    "Dependencies",
    "Type",
];
/// The fields of `chart.Maintainer`.
const MAINTAINER: &[&str] = &["Name", "Email", "URL"];
/// The fields of `chart.Dependency`.
const DEPENDENCY: &[&str] = &["Name", "Version", "Repository", "Condition", "Tags", "Enabled", "ImportValues", "Alias"];

/// Which struct it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What Helm makes for templates: `chart.Metadata` with `IsRoot` beside.
    Chart,
    Maintainer,
    Dependency,
}

/// A struct.
#[derive(Debug)]
struct Struct {
    kind: Kind,
    /// By Go's names.
    fields: Vec<(&'static str, Go)>,
}

/// `.Chart`, from its fields by Go's names.
pub(super) fn chart(fields: &Value) -> Go {
    let mut chart = build(Kind::Chart, METADATA, fields);
    chart.fields.push(("IsRoot", fields.get("IsRoot").map_or(Go::Bool(false), from_json)));
    Go::Host(Arc::new(chart))
}

fn build(kind: Kind, names: &[&'static str], value: &Value) -> Struct {
    Struct { kind, fields: names.iter().map(|name| (*name, field(kind, name, value.get(name).unwrap_or(&Value::Null)))).collect() }
}

fn field(kind: Kind, name: &str, value: &Value) -> Go {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let pointers = |kind, names, name| {
        let items = list.iter().map(|item| Go::Host(Arc::new(build(kind, names, item)))).collect();
        Go::List(Arc::new(List::of(Element::Other(name), items)))
    };
    match (kind, name) {
        (Kind::Chart, "Maintainers") => pointers(Kind::Maintainer, MAINTAINER, "[]*chart.Maintainer"),
        (Kind::Chart, "Dependencies") => pointers(Kind::Dependency, DEPENDENCY, "[]*chart.Dependency"),
        (Kind::Chart, "Sources" | "Keywords") | (Kind::Dependency, "Tags") => Go::strings(list.iter().filter_map(Value::as_str)),
        (Kind::Chart, "Annotations") => {
            let entries = value.as_object().into_iter().flatten().map(|(key, text)| (Arc::from(key.as_str()), from_json(text)));
            Go::Map(Arc::new(Map::of(MapType::Strings, entries.collect())))
        }
        _ => from_json(value),
    }
}

/// The name in the struct's tag for JSON.
fn tag(name: &str) -> String {
    match name {
        "APIVersion" => "apiVersion".to_owned(),
        "URL" => "url".to_owned(),
        "ImportValues" => "import-values".to_owned(),
        "IsRoot" => name.to_owned(),
        _ => name[..1].to_lowercase() + &name[1..],
    }
}

impl Host for Struct {
    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Chart => "struct { chart.Metadata; IsRoot bool }",
            Kind::Maintainer => "*chart.Maintainer",
            Kind::Dependency => "*chart.Dependency",
        }
    }

    fn kind(&self) -> &'static str {
        if self.kind == Kind::Chart { "struct" } else { "ptr" }
    }

    fn field(&self, name: &str) -> Option<Go> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    /// Pointers without their `&`: templates print what they point to.
    fn text(&self) -> String {
        let text = |fields: &[(&str, Go)]| fields.iter().map(|(_, value)| sprint(std::slice::from_ref(value))).collect::<Vec<_>>().join(" ");
        match (self.kind, self.fields.split_last()) {
            (Kind::Chart, Some((root, metadata))) => format!("{{{{{}}} {}}}", text(metadata), text(std::slice::from_ref(root))),
            _ => format!("{{{}}}", text(&self.fields)),
        }
    }

    fn json(&self) -> Value {
        let kept = |name: &str, value: &Go| value.truth() || name == "IsRoot" || (self.kind == Kind::Dependency && matches!(name, "Name" | "Repository"));
        let entries = self.fields.iter().filter(|(name, value)| kept(name, value));
        Value::Object(entries.filter_map(|(name, value)| Some((tag(name), crate::chart::value::to_json(value).ok()?))).collect())
    }
}

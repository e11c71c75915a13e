//! `.Chart`: Chart.yaml as the structs of Helm's pkg/chart (chart.go, metadata.go, dependency.go), and as the map that Helm 4 makes of them.

use std::sync::Arc;

use serde_json::Value;

use crate::chart::value::{Element, Go, List, Map, MapType, Member, Struct, Tag, from_json};

/// A field's name, and what it is in JSON.
type Field = (&'static str, Tag);

/// `chart.Metadata`.
const METADATA: &[Field] = &[
    ("Name", Tag::OmitEmpty("name")),
    ("Home", Tag::OmitEmpty("home")),
    ("Sources", Tag::OmitEmpty("sources")),
    ("Version", Tag::OmitEmpty("version")),
    ("Description", Tag::OmitEmpty("description")),
    ("Keywords", Tag::OmitEmpty("keywords")),
    ("Maintainers", Tag::OmitEmpty("maintainers")),
    ("Icon", Tag::OmitEmpty("icon")),
    ("APIVersion", Tag::OmitEmpty("apiVersion")),
    ("Condition", Tag::OmitEmpty("condition")),
    ("Tags", Tag::OmitEmpty("tags")),
    ("AppVersion", Tag::OmitEmpty("appVersion")),
    ("Deprecated", Tag::OmitEmpty("deprecated")),
    ("Annotations", Tag::OmitEmpty("annotations")),
    ("KubeVersion", Tag::OmitEmpty("kubeVersion")),
    ("Dependencies", Tag::OmitEmpty("dependencies")),
    ("Type", Tag::OmitEmpty("type")),
];
/// `chart.Maintainer`.
const MAINTAINER: &[Field] = &[("Name", Tag::OmitEmpty("name")), ("Email", Tag::OmitEmpty("email")), ("URL", Tag::OmitEmpty("url"))];
/// `chart.Dependency`.
const DEPENDENCY: &[Field] = &[
    ("Name", Tag::Name("name")),
    ("Version", Tag::OmitEmpty("version")),
    ("Repository", Tag::Name("repository")),
    ("Condition", Tag::OmitEmpty("condition")),
    ("Tags", Tag::OmitEmpty("tags")),
    ("Enabled", Tag::OmitEmpty("enabled")),
    ("ImportValues", Tag::OmitEmpty("import-values")),
    ("Alias", Tag::OmitEmpty("alias")),
];

/// `.Chart`, from its fields by Go's names: `chart.Metadata` with `IsRoot` beside.
pub(super) fn chart(fields: &Value) -> Go {
    let metadata = build("chart.Metadata", METADATA, fields);
    let root = fields.get("IsRoot").map_or(Go::Bool(false), from_json);
    let members = vec![Member::new("Metadata", Tag::Inline, metadata), Member::new("IsRoot", Tag::Name("IsRoot"), root)];
    Go::Host(Arc::new(Struct { type_name: "struct { chart.Metadata; IsRoot bool }", members }))
}

/// `.Chart` of Helm 4: a map of the fields (`structToMap` in pkg/chart/common.go), where annotations keep their type.
pub(super) fn chart_map(fields: &Value) -> Go {
    let chart = from_json(fields);
    if let Go::Map(map) = &chart {
        map.lock().insert(Arc::from("Annotations"), annotations(fields.get("Annotations").unwrap_or(&Value::Null)));
    }
    chart
}

/// `map[string]string`, which is nil where nothing is in it.
fn annotations(value: &Value) -> Go {
    let entries = value.as_object().into_iter().flatten().map(|(key, text)| (Arc::from(key.as_str()), from_json(text)));
    let entries: std::collections::BTreeMap<_, _> = entries.collect();
    if entries.is_empty() { Map::nil(MapType::Strings) } else { Go::Map(Arc::new(Map::of(MapType::Strings, entries))) }
}

fn build(type_name: &'static str, fields: &[Field], value: &Value) -> Go {
    let member = |(name, tag): &Field| Member::new(name, *tag, field(name, value.get(name).unwrap_or(&Value::Null)));
    Go::Host(Arc::new(Struct { type_name, members: fields.iter().map(member).collect() }))
}

fn field(name: &str, value: &Value) -> Go {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let pointers = |type_name, fields, of| {
        let items: Vec<Go> = list.iter().map(|item| build(type_name, fields, item)).collect();
        let element = if items.is_empty() { Element::NilOther(of) } else { Element::Other(of) };
        Go::List(Arc::new(List::of(element, items)))
    };
    match name {
        "Maintainers" => pointers("*chart.Maintainer", MAINTAINER, "[]*chart.Maintainer"),
        "Dependencies" => pointers("*chart.Dependency", DEPENDENCY, "[]*chart.Dependency"),
        // A dependency's tags are a list, a chart's a string.
        "Sources" | "Keywords" | "Tags" if value.is_array() || name != "Tags" => {
            let items: Vec<Go> = list.iter().filter_map(Value::as_str).map(Go::from).collect();
            Go::List(Arc::new(List::of(if items.is_empty() { Element::NilStr } else { Element::Str }, items)))
        }
        "ImportValues" => {
            let items: Vec<Go> = list.iter().map(from_json).collect();
            Go::List(Arc::new(List::of(if items.is_empty() { Element::Nil } else { Element::Any }, items)))
        }
        "Annotations" => annotations(value),
        "Deprecated" | "Enabled" if value.is_null() => Go::Bool(false),
        _ if value.is_null() => "".into(),
        _ => from_json(value),
    }
}

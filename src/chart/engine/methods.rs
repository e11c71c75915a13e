//! The methods of Helm's `chartutil.Values` (pkg/chartutil/values.go).

use std::sync::Arc;

use crate::chart::value::{Go, Kind, Map, MapType, to_json};
use crate::goyaml;

/// What a method takes; `None` if there is none of that name.
pub(super) fn parameters(method: &str) -> Option<&'static [Kind]> {
    match method {
        "AsMap" | "YAML" => Some(&[]),
        "Table" | "PathValue" => Some(&[Kind::Str]),
        _ => None,
    }
}

/// Calls a method. `Table` and `AsMap` give what the values share with whoever changes it.
pub(super) fn call(map: &Arc<Map>, method: &str, args: &[Go]) -> Result<Go, String> {
    let path = args.first().and_then(Go::as_str).unwrap_or_default();
    match method {
        "YAML" => {
            let json = to_json(&Go::Map(Arc::clone(map)))?;
            Ok(goyaml::emit(&json).map_err(|e| e.to_string())?.into())
        }
        "Table" => table(map, path).map(|found| Go::Map(Map::view(&found, map.map_type()))),
        "PathValue" => path_value(map, path),
        _ => Ok(Go::Map(Map::view(map, MapType::Any))),
    }
}

/// `Values.Table`.
fn table(map: &Arc<Map>, path: &str) -> Result<Arc<Map>, String> {
    let mut table = Arc::clone(map);
    for name in path.split('.') {
        let Some(Go::Map(next)) = table.get(name) else { return Err(format!("{} is not a table", crate::chart::gotmpl::quote(name))) };
        table = next;
    }
    Ok(table)
}

/// `Values.PathValue`.
fn path_value(map: &Arc<Map>, path: &str) -> Result<Go, String> {
    if path.is_empty() {
        return Err("YAML path cannot be empty".to_owned());
    }
    let (holder, key) = match path.rsplit_once('.') {
        None => (Some(Arc::clone(map)), path),
        Some((tables, key)) => (table(map, tables).ok(), key),
    };
    match holder.and_then(|holder| holder.get(key)) {
        Some(value) if !matches!(&value, Go::Map(map) if map.map_type() == MapType::Any) => Ok(value),
        _ => Err(format!("{} is not a value", crate::chart::gotmpl::quote(key))),
    }
}

//! What templates see: `.Values`, `.Files`, `.Capabilities`, `.Chart`, `.Release`, `.Subcharts` (`recAllTpls` in Helm's pkg/engine/engine.go).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use serde_json::Value;

use super::{Dialect, Program, capabilities, metadata};
use crate::chart::funcs;
use crate::chart::meter;
use crate::chart::value::{Go, Host, Kind, Map, MapType, from_json, text_from};

/// A map of this type.
pub(super) fn map<const N: usize>(of: MapType, entries: [(&str, Go); N]) -> Go {
    Go::Map(Arc::new(Map::of(of, entries.into_iter().map(|(k, v)| (Arc::from(k), v)).collect())))
}

/// The type of Helm's `Values`.
pub(super) fn values_type(dialect: Dialect) -> MapType {
    if dialect == Dialect::Helm4 { MapType::CommonValues } else { MapType::Values }
}

/// The root dot of each scope. A chart's map is the same object for all its templates, so `set` is seen by later ones.
pub(super) fn scopes(program: &mut Program) -> Vec<Go> {
    let capabilities = capabilities::capabilities(&program.capabilities, program.dialect);
    let of = values_type(program.dialect);
    let release = Go::dict([
        ("Name", program.release.name.as_str().into()),
        ("Namespace", program.release.namespace.as_str().into()),
        ("IsUpgrade", program.release.is_upgrade.into()),
        ("IsInstall", program.release.is_install.into()),
        ("Revision", Go::int(program.release.revision)),
        ("Service", "Helm".into()),
    ]);
    let values = values(program);
    let scopes: Vec<Arc<Map>> = program
        .scopes
        .iter_mut()
        .zip(values)
        .map(|(scope, values)| {
            let chart = match program.dialect {
                Dialect::Helm3 => metadata::chart(&scope.chart),
                Dialect::Helm4 => metadata::chart_map(&scope.chart),
            };
            let entries = [
                ("Values", Go::Map(values)),
                ("Chart", chart),
                ("Release", release.clone()),
                ("Capabilities", capabilities.clone()),
                ("Files", Go::Host(Arc::new(Files(std::mem::take(&mut scope.files))))),
                ("Subcharts", Go::map(BTreeMap::new())),
                ("Template", map(of, [("BasePath", scope.base_path.as_str().into())])),
            ];
            Arc::new(Map::new(entries.into_iter().map(|(name, value)| (Arc::from(name), value)).collect()))
        })
        .collect();
    for (scope, root) in program.scopes.iter().zip(&scopes) {
        let Some(Go::Map(subcharts)) = root.get("Subcharts") else { continue };
        for (name, index) in &scope.subcharts {
            if let Some(sub) = scopes.get(*index) {
                subcharts.lock().insert(Arc::from(name.as_str()), Go::Map(Arc::clone(sub)));
            }
        }
    }
    scopes.iter().map(|root| Go::Map(Map::view(root, of))).collect()
}

/// `.Values` of each scope. Those of a subchart are the table of its name in its parent's: what `set` does to one is seen in the other.
fn values(program: &Program) -> Vec<Arc<Map>> {
    let of = values_type(program.dialect);
    let mut found: Vec<Option<Arc<Map>>> = vec![None; program.scopes.len()];
    for (index, scope) in program.scopes.iter().enumerate() {
        // Parents come before their subcharts.
        let own = found[index].take().unwrap_or_else(|| {
            let entries = scope.values.iter().map(|(k, v)| (Arc::from(k.as_str()), from_json(v))).collect();
            Arc::new(Map::of(of, entries))
        });
        for (name, sub) in &scope.subcharts {
            if let (Some(Go::Map(table)), Some(place)) = (own.get(name), found.get_mut(*sub)) {
                *place = Some(Map::view(&table, of));
            }
        }
        found[index] = Some(own);
    }
    found.into_iter().flatten().collect()
}

/// What an entry takes beside the bytes of its file.
const ENTRY: u64 = 256;
/// What a line takes beside its bytes.
const LINE: u64 = 64;

#[derive(Debug)]
struct Files(BTreeMap<String, Bytes>);

impl Files {
    fn text(&self, name: &str) -> String {
        self.0.get(name).map(|bytes| text_from(bytes)).unwrap_or_default()
    }

    /// Takes from the budget what a function makes of all files; each of their bytes becomes so many.
    fn take(&self, each: u64) -> Result<(), String> {
        let bytes: u64 = self.0.values().map(|data| data.len() as u64).sum();
        meter::steps(self.0.len() as u64 * 4)?;
        meter::reading(bytes * each)?;
        meter::bytes(self.0.len() as u64 * ENTRY + bytes * each)
    }

    /// The same of one file.
    fn take_one(&self, name: &str, each: u64) -> Result<(), String> {
        let bytes = self.0.get(name).map_or(0, |data| data.len() as u64);
        meter::reading(bytes)?;
        meter::bytes(bytes * each)
    }

    fn call(&self, name: &str, first: &str) -> Result<Option<Go>, String> {
        Ok(Some(match name {
            "Get" => {
                self.take_one(first, 2)?;
                self.0.get(first).map_or_else(|| "".into(), |data| Go::from_bytes(data))
            }
            "GetBytes" => {
                self.take_one(first, 1)?;
                Go::Bytes(self.0.get(first).map(|data| Arc::from(&data[..])).unwrap_or_default())
            }
            "Glob" => {
                self.take(0)?;
                let glob = funcs::Glob::new(first);
                Go::Host(Arc::new(Files(self.0.iter().filter(|(name, _)| glob.matches(name)).map(|(n, d)| (n.clone(), d.clone())).collect())))
            }
            "AsConfig" => {
                self.take(4)?;
                self.base_names(|data| String::from_utf8_lossy(data).into_owned())
            }
            "AsSecrets" => {
                self.take(6)?;
                self.base_names(|data| base64::engine::general_purpose::STANDARD.encode(data))
            }
            "Lines" => {
                self.take_one(first, 2)?;
                let text = Files::text(self, first);
                if text.is_empty() {
                    return Ok(Some(Go::strings::<&str>([])));
                }
                meter::bytes(text.matches('\n').count() as u64 * LINE)?;
                Go::strings(text.strip_suffix('\n').unwrap_or(&text).split('\n'))
            }
            _ => return Ok(None),
        }))
    }

    fn base_names(&self, value: impl Fn(&[u8]) -> String) -> Go {
        let map: serde_json::Map<String, Value> =
            self.0.iter().map(|(name, data)| (name.rsplit('/').next().unwrap_or(name).to_owned(), Value::from(value(data)))).collect();
        crate::goyaml::emit(&Value::Object(map)).map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned()).unwrap_or_default().into()
    }
}

impl Host for Files {
    fn type_name(&self) -> &'static str {
        "engine.files"
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    fn field(&self, name: &str) -> Option<Go> {
        // The look at the account after this ends the run.
        let affordable = self.take_one(name, 1).is_ok();
        Some(Go::Bytes(self.0.get(name).filter(|_| affordable).map(|data| Arc::from(&data[..])).unwrap_or_default()))
    }

    fn parameters(&self, method: &str) -> Option<&'static [Kind]> {
        match method {
            "Get" | "GetBytes" | "Glob" | "Lines" => Some(&[Kind::Str]),
            "AsConfig" | "AsSecrets" => Some(&[]),
            _ => None,
        }
    }

    fn call(&self, name: &str, args: &[Go]) -> Option<Result<Go, String>> {
        Files::call(self, name, args.first().and_then(Go::as_str).unwrap_or_default()).transpose()
    }

    fn stringer(&self) -> bool {
        false
    }

    fn text(&self) -> String {
        crate::chart::value::sprint(&[self.entries().unwrap_or(Go::Nil)])
    }

    fn json(&self) -> Value {
        if self.take(3).is_err() {
            return Value::Null;
        }
        let encode = |data: &Bytes| Value::from(base64::engine::general_purpose::STANDARD.encode(data));
        Value::Object(self.0.iter().map(|(name, data)| (name.clone(), encode(data))).collect())
    }

    fn entries(&self) -> Option<Go> {
        if self.take(1).is_err() {
            return Some(Go::map(BTreeMap::new()));
        }
        Some(Go::map(self.0.iter().map(|(name, data)| (Arc::from(name.as_str()), Go::Bytes(Arc::from(&data[..])))).collect()))
    }
}

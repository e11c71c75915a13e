//! Values: files merged, `--set` and its siblings, charts' defaults below them, schemas above them.

pub(super) mod coalesce;
mod schema;
mod strvals;

use serde_json::{Map, Value};

pub(super) use schema::check as check_schema;
pub use strvals::{Kind, ReadFile, SetError, parse_files_into, parse_into};

use crate::goyaml::{self, YamlError};

/// Why values could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// A values file is not YAML.
    #[error("failed to parse {file}: error converting YAML to JSON: {source}")]
    Yaml {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: YamlError,
    },
    /// A values file is not a map.
    #[error(
        "failed to parse {file}: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    )]
    Shape {
        /// The file.
        file: String,
        /// What it is instead.
        found: &'static str,
    },
    /// A `--set` could not be read.
    #[error("failed parsing {flag} data: {source}")]
    Set {
        /// The flag.
        flag: &'static str,
        /// Why.
        #[source]
        source: SetError,
    },
}

/// Reads a values file.
pub fn parse_file(file: &str, text: &str) -> Result<Map<String, Value>, ValuesError> {
    match goyaml::parse_values(text).map_err(|source| ValuesError::Yaml { file: file.to_owned(), source })? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        other => Err(ValuesError::Shape { file: file.to_owned(), found: super::metadata::kind(&other) }),
    }
}

/// Puts one map over another, as Helm does with several `-f`: maps merge, everything else is replaced, null stays a value.
pub fn merge(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Applies one `--set`, `--set-string`, `--set-json`, `--set-file` or `--set-literal`.
pub fn set(values: &mut Map<String, Value>, kind: Kind, text: &str) -> Result<(), ValuesError> {
    parse_into(values, kind, text).map_err(|source| ValuesError::Set { flag: kind.flag(), source })
}

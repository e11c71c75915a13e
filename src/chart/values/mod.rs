//! Values: files merged, `--set` and its siblings, charts' defaults below them, schemas above them.

pub(super) mod coalesce;
mod schema;
mod strvals;

use serde_json::{Map, Value};

pub(super) use schema::check as check_schema;
pub use strvals::{Kind, ReadFile, SetError, parse_files_into, parse_into};

use super::engine::Dialect;
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
    /// A values file of several documents, as Helm 4 reads it.
    #[error("failed to parse {file}: {source}")]
    Documents {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: DocumentError,
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

/// Reads a values file as one of the Helms does.
pub fn parse_file_for(dialect: Dialect, file: &str, text: &str) -> Result<Map<String, Value>, ValuesError> {
    match dialect {
        Dialect::Helm3 => parse_file(file, text),
        Dialect::Helm4 => parse_documents(text).map_err(|source| ValuesError::Documents { file: file.to_owned(), source }),
    }
}

/// Why a values file of several documents could not be read, in the words of Helm 4.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Something stands on the line of a separator.
    #[error("error reading yaml document: invalid Yaml document separator: {0}")]
    Separator(String),
    /// A document is not YAML.
    #[error("cannot unmarshal yaml document: error converting YAML to JSON: {0}")]
    Yaml(#[source] YamlError),
    /// A document is not a map.
    #[error(
        "cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {0} into Go value of type map[string]interface {{}}"
    )]
    Shape(&'static str),
}

/// Reads a values file as Helm 4 does: all of its documents, later ones over earlier ones (`LoadValues`).
pub fn parse_documents(text: &str) -> Result<Map<String, Value>, DocumentError> {
    let mut values = Map::new();
    for document in documents(text)? {
        match goyaml::parse_values(&document).map_err(DocumentError::Yaml)? {
            Value::Object(map) => merge(&mut values, map),
            Value::Null => {}
            other => return Err(DocumentError::Shape(super::metadata::kind(&other))),
        }
    }
    Ok(values)
}

/// Documents as apimachinery's `YAMLReader` finds them: a line that begins with `---` may have nothing but a comment after it.
fn documents(text: &str) -> Result<Vec<String>, DocumentError> {
    let mut documents = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("---") {
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(DocumentError::Separator(rest.to_owned()));
            }
            if !current.is_empty() {
                documents.push(std::mem::take(&mut current));
                continue;
            }
        }
        current.push_str(line);
        current.push('\n');
    }
    documents.push(current);
    Ok(documents)
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

//! Values: files merged, `--set` and its siblings, charts' defaults below them, schemas above them.

pub(super) mod coalesce;
mod schema;
mod strvals;

use serde_json::{Map, Value};

pub use schema::RemoteSchemas;
pub(super) use schema::{NoRemoteSchemas, check as check_schema};
use strvals::parse_into;
pub use strvals::{Kind, ReadFile, SetError, parse_files_into};

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
    /// A `--set-json` could not be read; Helm does not say why.
    #[error("failed parsing --set-json data {before}{text}")]
    Json {
        /// What Helm 4 says of objects.
        before: &'static str,
        /// What was given.
        text: String,
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

/// Applies one `--set`, `--set-string`, `--set-json` or `--set-literal`, as Helm 3 does.
pub fn set(values: &mut Map<String, Value>, kind: Kind, text: &str) -> Result<(), ValuesError> {
    set_for(Dialect::Helm3, values, kind, text)
}

/// Applies one `--set`, `--set-string`, `--set-json` or `--set-literal`, as one of the Helms does (pkg/cli/values, options.go).
pub fn set_for(dialect: Dialect, values: &mut Map<String, Value>, kind: Kind, text: &str) -> Result<(), ValuesError> {
    let object = text.trim();
    if dialect == Dialect::Helm4 && kind == Kind::Json && object.starts_with('{') {
        // Helm 4 takes whole objects as well, and merges them.
        let mut over = serde_json::from_str(object).map_err(|_| ValuesError::Json { before: "JSON: ", text: text.to_owned() })?;
        strvals::floats(&mut over);
        if let Value::Object(over) = over {
            merge(values, over);
        }
        return Ok(());
    }
    parse_into(values, kind, text, dialect).map_err(|source| match kind {
        Kind::Json => ValuesError::Json { before: "", text: text.to_owned() },
        _ => ValuesError::Set { flag: kind.flag(), source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number as a float: `toJson` does not tell them apart.
    fn normal(mut value: Value) -> Value {
        strvals::floats(&mut value);
        value
    }

    fn outcome(dialect: Dialect, flags: &Value) -> Value {
        let mut values = Map::new();
        // Helm's order, whatever the order on the command line.
        let order = ["set-json", "set", "set-string", "set-literal"];
        let mut flags = flags.as_array().unwrap().clone();
        flags.sort_by_key(|flag| order.iter().position(|kind| flag[0] == *kind));
        for flag in flags {
            let kind = match flag[0].as_str().unwrap() {
                "set" => Kind::Typed,
                "set-string" => Kind::Text,
                "set-json" => Kind::Json,
                _ => Kind::Literal,
            };
            if let Err(error) = set_for(dialect, &mut values, kind, flag[1].as_str().unwrap()) {
                return serde_json::json!({"error": error.to_string()});
            }
        }
        normal(serde_json::json!({"values": values}))
    }

    /// tests/fixtures/strvals.json: flags, and what helm 3.22 and 4.3 made of them where `.Values` is printed.
    #[test]
    fn flags_are_read_as_helm_reads_them() {
        let rows: Vec<Value> = serde_json::from_str(include_str!("../../../tests/fixtures/strvals.json")).unwrap();
        let mut wrong = Vec::new();
        for row in &rows {
            let flags = &row["flags"];
            for (dialect, want) in [(Dialect::Helm3, &row["helm"]), (Dialect::Helm4, row.get("helm4").unwrap_or(&row["helm"]))] {
                let found = outcome(dialect, flags);
                if found != normal(want.clone()) {
                    wrong.push(format!("{dialect:?} {flags}\n  ours {found}\n  helm {want}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    }

    #[test]
    fn the_largest_list_is_helms() {
        let mut values = Map::new();
        set(&mut values, Kind::Typed, "a[65536]=x").unwrap();
        assert_eq!(values["a"].as_array().map(Vec::len), Some(65_537));
    }

    #[test]
    fn documents_are_found_as_in_apimachinery() {
        let keys = |text: &str| parse_documents(text).map(|map| map.keys().cloned().collect::<Vec<_>>().join(" ")).map_err(|error| error.to_string());
        assert_eq!(keys("a: 1\n---\nb: 2\n--- # c\nc: 3").as_deref(), Ok("a b c"));
        assert_eq!(keys("---\na: 1\n---\n---\n").as_deref(), Ok("a"));
        assert_eq!(keys("a: 1\n--- x\n"), Err("error reading yaml document: invalid Yaml document separator: x".to_owned()));
        assert!(
            keys("a: 1\n---\n- b\n")
                .unwrap_err()
                .starts_with("cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array")
        );
    }
}

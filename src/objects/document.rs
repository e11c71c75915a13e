//! One document of a manifest, and what it is called.

use std::fmt;

use serde_json::Value;

use crate::goyaml::{self, YamlError};

/// A manifest that is not YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("YAML parse error on {source_path}: error converting YAML to JSON: {cause}")]
pub struct ObjectError {
    /// Where it came from.
    pub source_path: String,
    /// What is wrong.
    #[source]
    pub cause: YamlError,
}

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The template or file it came from.
    pub source: String,
    /// Its text.
    pub text: String,
    /// Its content; null if there are only comments.
    pub value: Value,
}

/// Group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvk {
    /// The group; empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
}

/// What an object is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: String,
    /// Its namespace, if the manifest says one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

impl Document {
    /// Reads a document.
    pub fn parse(source: &str, text: &str) -> Result<Self, ObjectError> {
        let value = goyaml::parse(text).map_err(|cause| ObjectError { source_path: source.to_owned(), cause })?;
        Ok(Self { source: source.to_owned(), text: text.to_owned(), value })
    }

    /// Group, version and kind; parts that are missing are empty.
    pub fn gvk(&self) -> Gvk {
        let text = |key: &str| self.value.get(key).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        Gvk { group: group.to_owned(), version: version.to_owned(), kind: text("kind").to_owned() }
    }

    /// Kind, namespace and name.
    pub fn id(&self) -> ObjectId {
        let text = |pointer: &str| self.value.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        ObjectId { kind: text("/kind").unwrap_or_default(), namespace: text("/metadata/namespace"), name: text("/metadata/name").unwrap_or_default() }
    }
}

/// All documents of a text that are more than comments.
pub fn documents(source: &str, text: &str) -> Result<Vec<Document>, ObjectError> {
    let mut documents = Vec::new();
    for text in super::split(text) {
        let document = Document::parse(source, &text)?;
        if !document.value.is_null() {
            documents.push(document);
        }
    }
    Ok(documents)
}

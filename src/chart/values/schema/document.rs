//! Schema documents: which draft holds where, which parts have names (santhosh-tekuri/jsonschema, roots.go, root.go, draft.go, loader.go).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use serde_json::{Map, Value};

use super::{
    RemoteSchemas,
    location::{decode, encode, join, lookup, push, split},
};

/// A version of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    V4,
    V6,
    V7,
    V2019,
    V2020,
}

/// Where schemas stand in a schema: a list of a name, and of what it holds.
const PLACES: [(&str, Holds, Draft); 23] = [
    ("definitions", Holds::Map, Draft::V4),
    ("not", Holds::One, Draft::V4),
    ("allOf", Holds::List, Draft::V4),
    ("anyOf", Holds::List, Draft::V4),
    ("oneOf", Holds::List, Draft::V4),
    ("properties", Holds::Map, Draft::V4),
    ("additionalProperties", Holds::One, Draft::V4),
    ("patternProperties", Holds::Map, Draft::V4),
    ("items", Holds::One, Draft::V4),
    ("items", Holds::List, Draft::V4),
    ("additionalItems", Holds::One, Draft::V4),
    ("dependencies", Holds::Map, Draft::V4),
    ("propertyNames", Holds::One, Draft::V6),
    ("contains", Holds::One, Draft::V6),
    ("if", Holds::One, Draft::V7),
    ("then", Holds::One, Draft::V7),
    ("else", Holds::One, Draft::V7),
    ("$defs", Holds::Map, Draft::V2019),
    ("dependentSchemas", Holds::Map, Draft::V2019),
    ("unevaluatedProperties", Holds::One, Draft::V2019),
    ("unevaluatedItems", Holds::One, Draft::V2019),
    ("contentSchema", Holds::One, Draft::V2019),
    ("prefixItems", Holds::List, Draft::V2020),
];

#[derive(Debug, Clone, Copy)]
enum Holds {
    One,
    List,
    Map,
}

impl Draft {
    /// The draft that a `$schema` names (`draftFromURL`).
    fn of(url: &str) -> Option<Self> {
        let (url, fragment) = split(url);
        if !fragment.is_empty() {
            return None;
        }
        let url = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or(url);
        Some(match url {
            "json-schema.org/schema" | "json-schema.org/draft/2020-12/schema" => Self::V2020,
            "json-schema.org/draft/2019-09/schema" => Self::V2019,
            "json-schema.org/draft-07/schema" => Self::V7,
            "json-schema.org/draft-06/schema" => Self::V6,
            "json-schema.org/draft-04/schema" => Self::V4,
            _ => return None,
        })
    }

    /// Where its own schema is.
    pub(super) fn url(self) -> &'static str {
        match self {
            Self::V4 => "http://json-schema.org/draft-04/schema",
            Self::V6 => "http://json-schema.org/draft-06/schema",
            Self::V7 => "http://json-schema.org/draft-07/schema",
            Self::V2019 => "https://json-schema.org/draft/2019-09/schema",
            Self::V2020 => "https://json-schema.org/draft/2020-12/schema",
        }
    }

    fn id_key(self) -> &'static str {
        if self == Self::V4 { "id" } else { "$id" }
    }

    fn id(self, schema: &Map<String, Value>) -> &str {
        // "All other properties in a "$ref" object MUST be ignored"
        if self < Self::V2019 && schema.contains_key("$ref") {
            return "";
        }
        schema.get(self.id_key()).and_then(Value::as_str).map_or("", |id| split(id).0)
    }

    /// The schemas in a schema, with their pointers.
    fn subschemas<'v>(self, schema: &'v Map<String, Value>, pointer: &str) -> Vec<(String, &'v Value)> {
        let mut found = Vec::new();
        for (name, holds, _) in PLACES.iter().filter(|(.., since)| *since <= self) {
            let Some(value) = schema.get(*name) else { continue };
            let at = push(pointer, name);
            match (holds, value) {
                (Holds::One, value) => found.push((at, value)),
                (Holds::List, Value::Array(items)) => found.extend(items.iter().enumerate().map(|(index, item)| (push(&at, &index.to_string()), item))),
                (Holds::Map, Value::Object(map)) => found.extend(map.iter().map(|(key, item)| (push(&at, key), item))),
                _ => {}
            }
        }
        found
    }
}

/// A part of a document with an `$id` of its own, or all of it.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) pointer: String,
    pub(super) id: String,
    pub(super) draft: Draft,
    pub(super) anchors: BTreeMap<String, String>,
    pub(super) dynamic: BTreeSet<String>,
}

/// A document that schemas are read from.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) url: String,
    pub(super) value: Arc<Value>,
    resources: BTreeMap<String, Resource>,
    done: BTreeSet<String>,
}

impl Document {
    pub(super) fn new(url: &str, value: Value, remote: &dyn RemoteSchemas) -> Result<Self, String> {
        let value = Arc::new(value);
        let mut document = Self { url: url.to_owned(), value: Arc::clone(&value), resources: BTreeMap::new(), done: BTreeSet::new() };
        document.collect(&value, url, "", Draft::V2020, remote)?;
        Ok(document)
    }

    pub(super) fn location(&self, pointer: &str) -> String {
        format!("{}#{}", self.url, encode(pointer))
    }

    /// The resource that a pointer lies in.
    pub(super) fn resource(&self, pointer: &str) -> &Resource {
        let mut at = pointer;
        loop {
            if let Some(found) = self.resources.get(at) {
                return found;
            }
            at = at.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }

    /// A resource by its URL; none if it is in another document.
    pub(super) fn resource_at(&self, url: &str) -> Option<&Resource> {
        if url == self.url { self.resources.get("") } else { self.resources.values().find(|resource| resource.id == url) }
    }

    /// Where a fragment of a resource leads.
    pub(super) fn resolve(&self, fragment: &str, resource: &Resource) -> Result<String, String> {
        if fragment.is_empty() || fragment.starts_with('/') {
            return Ok(format!("{}{fragment}", resource.pointer));
        }
        let missing = || format!("anchor in {:?} not found in schema {:?}", format!("{}#{}", resource.id, encode(fragment)), self.url);
        resource.anchors.get(fragment).cloned().ok_or_else(missing)
    }

    /// Sees to it that what stands at a pointer was looked through; true if it was not (`ensureSubschema`).
    pub(super) fn ensure(&mut self, pointer: &str, remote: &dyn RemoteSchemas) -> Result<bool, String> {
        if self.done.contains(pointer) {
            return Ok(false);
        }
        let value = Arc::clone(&self.value);
        let Some(found) = lookup(&value, pointer) else { return Err(format!("json-pointer in {:?} not found", self.location(pointer))) };
        let above = self.resource(pointer);
        let (base, draft) = (above.id.clone(), above.draft);
        self.collect(found, &base, pointer, draft, remote)?;
        Ok(true)
    }

    fn collect(&mut self, value: &Value, base: &str, pointer: &str, fallback: Draft, remote: &dyn RemoteSchemas) -> Result<(), String> {
        if !self.done.insert(pointer.to_owned()) {
            return Ok(());
        }
        let Value::Object(schema) = value else {
            if pointer.is_empty() {
                self.add(pointer, base, fallback)?;
            }
            return Ok(());
        };
        let mut draft = self.draft(schema, pointer, fallback, &mut Vec::new(), remote)?;
        let mut id = draft.id(schema);
        if id.is_empty() && !pointer.is_empty() {
            draft = fallback;
            id = draft.id(schema);
        }
        let mut base = base.to_owned();
        if !id.is_empty() {
            base = join(&base, id);
            self.add(pointer, &base, draft)?;
        } else if pointer.is_empty() {
            self.add(pointer, &base, draft)?;
        }
        let holder = self.resources.values().find(|resource| resource.id == base).map_or_else(String::new, |resource| resource.pointer.clone());
        self.anchors(schema, pointer, &holder)?;
        let inherited = self.resource(&holder).draft;
        for (at, inner) in draft.subschemas(schema, pointer) {
            self.collect(inner, &base, &at, inherited, remote)?;
        }
        Ok(())
    }

    fn add(&mut self, pointer: &str, id: &str, draft: Draft) -> Result<(), String> {
        if let Some(other) = self.resources.values().find(|resource| resource.id == id) {
            return if other.pointer == pointer {
                Ok(())
            } else {
                Err(format!("duplicate id {id:?} in {:?} at {pointer:?} and {:?}", self.url, other.pointer))
            };
        }
        let resource = Resource { pointer: pointer.to_owned(), id: id.to_owned(), draft, anchors: BTreeMap::new(), dynamic: BTreeSet::new() };
        self.resources.insert(pointer.to_owned(), resource);
        Ok(())
    }

    /// `getDraft`; another metaschema than those of the drafts would have to be fetched.
    fn draft(&self, schema: &Map<String, Value>, pointer: &str, fallback: Draft, seen: &mut Vec<String>, remote: &dyn RemoteSchemas) -> Result<Draft, String> {
        let Some(url) = schema.get("$schema").and_then(Value::as_str) else { return Ok(fallback) };
        if let Some(draft) = Draft::of(url) {
            return Ok(draft);
        }
        let (url, _) = split(url);
        if pointer.is_empty() && url == self.url {
            return Err(format!("draft {url:?} is not supported"));
        }
        if seen.iter().any(|known| known == url) {
            return Err(format!("cycle in resolving $schema in {url:?}"));
        }
        seen.push(url.to_owned());
        match load(url, remote)? {
            Value::Object(meta) => self.draft(&meta, "-", fallback, seen, remote),
            _ => Ok(fallback),
        }
    }

    fn anchors(&mut self, schema: &Map<String, Value>, pointer: &str, holder: &str) -> Result<(), String> {
        let url = self.url.clone();
        let Some(resource) = self.resources.get_mut(holder) else { return Ok(()) };
        let mut names = Vec::new();
        if resource.draft < Draft::V2019 {
            if schema.contains_key("$ref") {
                return Ok(());
            }
            if let Some(id) = schema.get(resource.draft.id_key()).and_then(Value::as_str) {
                let fragment = decode(split(id).1).ok_or_else(|| format!("error in parsing anchor at {:?}", format!("{url}#{}", encode(pointer))))?;
                names.extend((!fragment.is_empty() && !fragment.starts_with('/')).then_some(fragment));
            }
        } else {
            let text = |key: &str| schema.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
            names.extend(text("$anchor"));
            if let (Draft::V2020, Some(name)) = (resource.draft, text("$dynamicAnchor")) {
                resource.dynamic.insert(name.clone());
                names.push(name);
            }
        }
        for name in names {
            match resource.anchors.get(&name) {
                Some(other) if other != pointer => return Err(format!("duplicate anchor {name:?} in {url:?} at {other:?} and {pointer:?}")),
                Some(_) => {}
                None => {
                    resource.anchors.insert(name, pointer.to_owned());
                }
            }
        }
        Ok(())
    }
}

/// The drafts' own schemas, by their path at json-schema.org, where they come from.
static METASCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| serde_json::from_str(include_str!("metaschemas.json")).expect("the file is JSON"));

/// Whether a URL names the schema of a draft.
pub(super) fn is_metaschema(url: &str) -> bool {
    url.starts_with("http://json-schema.org/") || url.starts_with("https://json-schema.org/")
}

/// A document from elsewhere. Helm asks the disk too, but there is nothing at the addresses that a chart can name, as they start at `/`.
pub(super) fn load(url: &str, remote: &dyn RemoteSchemas) -> Result<Value, String> {
    if let Some(path) = url.strip_prefix("http://json-schema.org/").or_else(|| url.strip_prefix("https://json-schema.org/")) {
        let path = if path == "schema" { "draft/2020-12/schema" } else { path };
        if let Some(found) = METASCHEMAS.get(path) {
            return Ok(found.clone());
        }
    }
    let reason = match url.split_once(':') {
        // What a URN stands for may be anything (chartutil/jsonschema.go, `urnLoader`).
        Some(("urn", _)) => return Ok(Value::Bool(true)),
        Some(("file", path)) => format!("open {}: no such file or directory", decode(path.trim_start_matches("//")).unwrap_or_default()),
        Some(("http" | "https", _)) => match remote.get(url).and_then(|bytes| super::json::parse(&bytes)) {
            Ok(found) => return Ok(found),
            Err(reason) => reason,
        },
        _ => format!("no URLLoader registered for {url:?}"),
    };
    Err(format!("failing loading {url:?}: {reason}"))
}

//! Schemas made ready for checking (santhosh-tekuri/jsonschema, compiler.go and objcompiler.go).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use regex::Regex;
use serde_json::{Map, Value};

use super::{
    RemoteSchemas,
    document::{Document, Draft, is_metaschema, load},
    format::Format,
    location::{decode, join, lookup, push, split},
    number::Decimal,
    validate::metaschema_problem,
};
use crate::chart::funcs::regexp;

/// Schemas beyond this are refused.
const MAX_SCHEMAS: usize = 100_000;

/// `false`, `true` or a schema where only additional things count.
#[derive(Debug)]
pub(super) enum Additional {
    Bool(bool),
    Schema(usize),
}

/// `items` before 2020-12.
#[derive(Debug)]
pub(super) enum Items {
    All(usize),
    Each(Vec<usize>),
}

/// What a property asks for in `dependencies`.
#[derive(Debug)]
pub(super) enum Needs {
    Properties(Vec<String>),
    Schema(usize),
}

/// One schema. Others are named by their index in [`Compiled`].
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) draft: Draft,
    /// The schema of the resource that it is in.
    pub(super) resource: usize,
    pub(super) dynamic_anchors: BTreeMap<String, usize>,
    pub(super) location: String,
    pub(super) bool: Option<bool>,
    pub(super) reference: Option<usize>,
    pub(super) recursive_ref: Option<usize>,
    pub(super) recursive_anchor: bool,
    pub(super) dynamic_ref: Option<(usize, String)>,
    pub(super) dynamic_anchor: String,
    pub(super) types: u8,
    pub(super) enumeration: Option<Vec<Value>>,
    pub(super) constant: Option<Value>,
    pub(super) not: Option<usize>,
    pub(super) all_of: Vec<usize>,
    pub(super) any_of: Vec<usize>,
    pub(super) one_of: Vec<usize>,
    pub(super) condition: Option<usize>,
    pub(super) then: Option<usize>,
    pub(super) otherwise: Option<usize>,
    pub(super) format: Option<Format>,
    pub(super) max_properties: Option<usize>,
    pub(super) min_properties: Option<usize>,
    pub(super) required: Vec<String>,
    pub(super) property_names: Option<usize>,
    pub(super) properties: BTreeMap<String, usize>,
    pub(super) pattern_properties: Vec<(Regex, usize)>,
    pub(super) additional_properties: Option<Additional>,
    pub(super) dependencies: BTreeMap<String, Needs>,
    pub(super) dependent_required: BTreeMap<String, Vec<String>>,
    pub(super) dependent_schemas: BTreeMap<String, usize>,
    pub(super) unevaluated_properties: Option<usize>,
    pub(super) min_items: Option<usize>,
    pub(super) max_items: Option<usize>,
    pub(super) unique_items: bool,
    pub(super) contains: Option<usize>,
    pub(super) min_contains: Option<usize>,
    pub(super) max_contains: Option<usize>,
    pub(super) items: Option<Items>,
    pub(super) additional_items: Option<Additional>,
    pub(super) prefix_items: Vec<usize>,
    pub(super) items_2020: Option<usize>,
    pub(super) unevaluated_items: Option<usize>,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) pattern: Option<(String, Regex)>,
    pub(super) maximum: Option<Decimal>,
    pub(super) minimum: Option<Decimal>,
    pub(super) exclusive_maximum: Option<Decimal>,
    pub(super) exclusive_minimum: Option<Decimal>,
    pub(super) multiple_of: Option<Decimal>,
}

impl Schema {
    fn new(location: String) -> Self {
        Self {
            draft: Draft::V2020,
            resource: 0,
            dynamic_anchors: BTreeMap::new(),
            location,
            bool: None,
            reference: None,
            recursive_ref: None,
            recursive_anchor: false,
            dynamic_ref: None,
            dynamic_anchor: String::new(),
            types: 0,
            enumeration: None,
            constant: None,
            not: None,
            all_of: Vec::new(),
            any_of: Vec::new(),
            one_of: Vec::new(),
            condition: None,
            then: None,
            otherwise: None,
            format: None,
            max_properties: None,
            min_properties: None,
            required: Vec::new(),
            property_names: None,
            properties: BTreeMap::new(),
            pattern_properties: Vec::new(),
            additional_properties: None,
            dependencies: BTreeMap::new(),
            dependent_required: BTreeMap::new(),
            dependent_schemas: BTreeMap::new(),
            unevaluated_properties: None,
            min_items: None,
            max_items: None,
            unique_items: false,
            contains: None,
            min_contains: None,
            max_contains: None,
            items: None,
            additional_items: None,
            prefix_items: Vec::new(),
            items_2020: None,
            unevaluated_items: None,
            min_length: None,
            max_length: None,
            pattern: None,
            maximum: None,
            minimum: None,
            exclusive_maximum: None,
            exclusive_minimum: None,
            multiple_of: None,
        }
    }

    pub(super) fn all_properties_evaluated(&self) -> bool {
        self.additional_properties.is_some()
    }

    /// How many items from the first on are evaluated; none stands for all.
    pub(super) fn items_evaluated(&self) -> Option<usize> {
        if self.draft == Draft::V2020 {
            return self.items_2020.is_none().then_some(self.prefix_items.len());
        }
        match &self.items {
            Some(Items::All(_)) => None,
            _ if self.additional_items.is_some() => None,
            Some(Items::Each(items)) => Some(items.len()),
            None => Some(0),
        }
    }
}

/// A schema with all that it refers to.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) schemas: Vec<Schema>,
    pub(super) root: usize,
    /// URNs that stand for anything.
    pub(super) urns: Vec<String>,
}

/// Compiles what stands at a URL.
pub(super) fn compile(url: &str, value: Option<Value>, remote: &dyn RemoteSchemas) -> Result<Compiled, String> {
    let mut compiler =
        Compiler { documents: HashMap::new(), schemas: Vec::new(), places: Vec::new(), known: HashMap::new(), urns: Vec::new(), meta: value.is_none(), remote };
    compiler.document(url, value)?;
    let root = compiler.enqueue(url, "")?;
    let mut next = 0;
    while next < compiler.schemas.len() {
        compiler.compile(next)?;
        next += 1;
    }
    Ok(Compiled { schemas: compiler.schemas, root, urns: compiler.urns })
}

struct Compiler<'r> {
    documents: HashMap<String, Document>,
    schemas: Vec<Schema>,
    /// URL of the document and pointer of each schema.
    places: Vec<(String, String)>,
    known: HashMap<(String, String), usize>,
    urns: Vec<String>,
    /// Whether the schema of a draft is compiled; formats count there.
    meta: bool,
    remote: &'r dyn RemoteSchemas,
}

impl Compiler<'_> {
    /// Takes a document up, once (`orLoad`, `addRoot`).
    fn document(&mut self, url: &str, value: Option<Value>) -> Result<&mut Document, String> {
        if !self.documents.contains_key(url) {
            if url.starts_with("urn:") {
                self.urns.push(url.to_owned());
            }
            let value = value.map_or_else(|| load(url, self.remote), Ok)?;
            let document = Document::new(url, value, self.remote)?;
            if !is_metaschema(url) {
                check(&document, "")?;
            }
            self.documents.insert(url.to_owned(), document);
        }
        self.documents.get_mut(url).ok_or_else(|| format!("failing loading {url:?}"))
    }

    fn enqueue(&mut self, url: &str, pointer: &str) -> Result<usize, String> {
        let place = (url.to_owned(), pointer.to_owned());
        if let Some(known) = self.known.get(&place) {
            return Ok(*known);
        }
        if self.schemas.len() >= MAX_SCHEMAS {
            return Err(format!("more than {MAX_SCHEMAS} schemas"));
        }
        let location = self.document(url, None)?.location(pointer);
        self.schemas.push(Schema::new(location));
        self.places.push(place.clone());
        self.known.insert(place, self.schemas.len() - 1);
        Ok(self.schemas.len() - 1)
    }

    fn compile(&mut self, index: usize) -> Result<(), String> {
        let (url, pointer) = self.places[index].clone();
        let remote = self.remote;
        let document = self.document(&url, None)?;
        if document.ensure(&pointer, remote)? {
            check(document, &pointer)?;
        }
        let value = Arc::clone(&document.value);
        let Some(value) = lookup(&value, &pointer) else { return Err(format!("json-pointer in {:?} not found", document.location(&pointer))) };
        let resource = document.resource(&pointer).clone();
        self.schemas[index].draft = resource.draft;
        self.schemas[index].resource = self.enqueue(&url, &resource.pointer)?;
        if resource.draft == Draft::V2020 && pointer == resource.pointer {
            for name in &resource.dynamic {
                let at = resource.anchors.get(name).cloned().unwrap_or_default();
                let target = self.enqueue(&url, &at)?;
                self.schemas[index].dynamic_anchors.insert(name.clone(), target);
            }
        }
        match value {
            Value::Bool(truth) => self.schemas[index].bool = Some(*truth),
            Value::Object(map) if map.is_empty() => self.schemas[index].bool = Some(true),
            Value::Object(map) => {
                let mut keywords = Keywords { compiler: self, map, url: &url, pointer: &pointer, base: &resource.id };
                let mut schema = Schema::new(String::new());
                keywords.read(resource.draft, &mut schema)?;
                let slot = &mut self.schemas[index];
                schema.draft = slot.draft;
                schema.resource = slot.resource;
                schema.dynamic_anchors = std::mem::take(&mut slot.dynamic_anchors);
                schema.location = std::mem::take(&mut slot.location);
                *slot = schema;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Checks a document, or a part of it, against the schema of its draft.
fn check(document: &Document, pointer: &str) -> Result<(), String> {
    let draft = document.resource(pointer).draft;
    let value = lookup(&document.value, pointer).unwrap_or(&Value::Null);
    match metaschema_problem(draft, value)? {
        None => Ok(()),
        Some(problem) => Err(format!("{:?} is not valid against metaschema: {problem}", document.location(pointer))),
    }
}

/// The keywords of one schema.
struct Keywords<'c, 'v, 'r> {
    compiler: &'c mut Compiler<'r>,
    map: &'v Map<String, Value>,
    url: &'v str,
    pointer: &'v str,
    base: &'v str,
}

impl<'v> Keywords<'_, 'v, '_> {
    fn read(&mut self, draft: Draft, schema: &mut Schema) -> Result<(), String> {
        schema.reference = self.reference("$ref")?;
        if draft < Draft::V2019 && schema.reference.is_some() {
            // "All other properties in a "$ref" object MUST be ignored"
            return Ok(());
        }
        self.applicators(draft, schema)?;
        self.limits(schema)?;
        self.format(draft, schema);
        if draft >= Draft::V6 {
            schema.contains = self.one("contains")?;
            schema.property_names = self.one("propertyNames")?;
            schema.constant = self.map.get("const").cloned();
        }
        if draft >= Draft::V7 {
            schema.condition = self.one("if")?;
            let fixed = self.map.get("if").and_then(Value::as_bool);
            if schema.condition.is_some() {
                schema.then = if fixed == Some(false) { None } else { self.one("then")? };
                schema.otherwise = if fixed == Some(true) { None } else { self.one("else")? };
            }
        }
        if draft >= Draft::V2019 {
            self.since_2019(schema)?;
        }
        if draft >= Draft::V2020 {
            if let Some(target) = self.reference("$dynamicRef")? {
                let fragment = decode(split(self.text("$dynamicRef").unwrap_or_default()).1).unwrap_or_default();
                let anchor = if fragment.starts_with('/') { String::new() } else { fragment };
                schema.dynamic_ref = Some((target, anchor));
            }
            schema.dynamic_anchor = self.text("$dynamicAnchor").unwrap_or_default().to_owned();
            schema.prefix_items = self.list("prefixItems")?;
            schema.items_2020 = self.one("items")?;
        }
        Ok(())
    }

    fn applicators(&mut self, draft: Draft, schema: &mut Schema) -> Result<(), String> {
        schema.all_of = self.list("allOf")?;
        schema.any_of = self.list("anyOf")?;
        schema.one_of = self.list("oneOf")?;
        schema.not = self.one("not")?;
        if draft < Draft::V2020 {
            match self.map.get("items") {
                Some(Value::Array(_)) => {
                    schema.items = Some(Items::Each(self.list("items")?));
                    schema.additional_items = self.additional("additionalItems")?;
                }
                Some(_) => schema.items = self.one("items")?.map(Items::All),
                None => {}
            }
        }
        schema.properties = self.named("properties")?;
        for (text, target) in self.named("patternProperties")? {
            let compiled = regexp::compile(&text).map_err(|error| self.bad_pattern("patternProperties", &text, &error))?;
            schema.pattern_properties.push((compiled, target));
        }
        schema.additional_properties = self.additional("additionalProperties")?;
        if let Some(Value::Object(map)) = self.map.get("dependencies") {
            for (name, needs) in map {
                let needs = match needs {
                    Value::Array(names) => Needs::Properties(texts(names)),
                    _ => Needs::Schema(self.at(&push(&push(self.pointer, "dependencies"), name))?),
                };
                schema.dependencies.insert(name.clone(), needs);
            }
        }
        Ok(())
    }

    fn limits(&mut self, schema: &mut Schema) -> Result<(), String> {
        schema.types = match self.map.get("type") {
            Some(Value::String(name)) => type_bit(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(type_bit).fold(0, |all, one| all | one),
            _ => 0,
        };
        schema.enumeration = self.map.get("enum").and_then(Value::as_array).cloned();
        schema.multiple_of = self.number("multipleOf");
        schema.maximum = self.number("maximum");
        schema.exclusive_maximum = if self.truth("exclusiveMaximum") { schema.maximum.take() } else { self.number("exclusiveMaximum") };
        schema.minimum = self.number("minimum");
        schema.exclusive_minimum = if self.truth("exclusiveMinimum") { schema.minimum.take() } else { self.number("exclusiveMinimum") };
        schema.min_length = self.count("minLength");
        schema.max_length = self.count("maxLength");
        if let Some(text) = self.text("pattern") {
            let compiled = regexp::compile(text).map_err(|error| self.bad_pattern("pattern", text, &error))?;
            schema.pattern = Some((text.to_owned(), compiled));
        }
        schema.min_items = self.count("minItems");
        schema.max_items = self.count("maxItems");
        schema.unique_items = self.truth("uniqueItems");
        schema.min_properties = self.count("minProperties");
        schema.max_properties = self.count("maxProperties");
        schema.required = self.map.get("required").and_then(Value::as_array).map(|names| texts(names)).unwrap_or_default();
        Ok(())
    }

    /// Formats count in drafts before 2019-09 only (`assertFormat`).
    fn format(&mut self, draft: Draft, schema: &mut Schema) {
        if draft < Draft::V2019 || self.compiler.meta {
            schema.format = self.text("format").and_then(Format::named);
        }
    }

    fn since_2019(&mut self, schema: &mut Schema) -> Result<(), String> {
        schema.recursive_ref = self.reference("$recursiveRef")?;
        schema.recursive_anchor = self.truth("$recursiveAnchor");
        if schema.contains.is_some() {
            schema.min_contains = self.count("minContains");
            schema.max_contains = self.count("maxContains");
        }
        if let Some(Value::Object(map)) = self.map.get("dependentRequired") {
            let lists = map.iter().filter_map(|(name, names)| Some((name.clone(), texts(names.as_array()?))));
            schema.dependent_required = lists.collect();
        }
        schema.dependent_schemas = self.named("dependentSchemas")?;
        schema.unevaluated_items = self.one("unevaluatedItems")?;
        schema.unevaluated_properties = self.one("unevaluatedProperties")?;
        Ok(())
    }

    fn bad_pattern(&self, keyword: &str, text: &str, error: &str) -> String {
        let at = self.compiler.documents.get(self.url).map(|document| document.location(&push(self.pointer, keyword))).unwrap_or_default();
        format!("invalid regex {text:?} at {at:?}: {error}")
    }

    fn at(&mut self, pointer: &str) -> Result<usize, String> {
        self.compiler.enqueue(self.url, pointer)
    }

    fn reference(&mut self, keyword: &str) -> Result<Option<usize>, String> {
        let Some(text) = self.text(keyword) else { return Ok(None) };
        let (reference, fragment) = split(text);
        let url = join(self.base, reference);
        let fragment = decode(fragment).ok_or_else(|| format!("error in parsing {text:?}: invalid URL escape"))?;
        let here = self.compiler.document(self.url, None)?;
        if let Some(resource) = here.resource_at(&url) {
            let pointer = here.resolve(&fragment, resource)?;
            return self.at(&pointer).map(Some);
        }
        let there = self.compiler.document(&url, None)?;
        let pointer = there.resolve(&fragment, there.resource(""))?;
        self.compiler.enqueue(&url, &pointer).map(Some)
    }

    fn one(&mut self, keyword: &str) -> Result<Option<usize>, String> {
        if !self.map.contains_key(keyword) {
            return Ok(None);
        }
        self.at(&push(self.pointer, keyword)).map(Some)
    }

    fn list(&mut self, keyword: &str) -> Result<Vec<usize>, String> {
        let count = self.map.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        let at = push(self.pointer, keyword);
        (0..count).map(|index| self.at(&push(&at, &index.to_string()))).collect()
    }

    fn named(&mut self, keyword: &str) -> Result<BTreeMap<String, usize>, String> {
        let Some(Value::Object(map)) = self.map.get(keyword) else { return Ok(BTreeMap::new()) };
        let at = push(self.pointer, keyword);
        map.keys().map(|name| Ok((name.clone(), self.at(&push(&at, name))?))).collect()
    }

    fn additional(&mut self, keyword: &str) -> Result<Option<Additional>, String> {
        match self.map.get(keyword) {
            Some(Value::Bool(truth)) => Ok(Some(Additional::Bool(*truth))),
            _ => Ok(self.one(keyword)?.map(Additional::Schema)),
        }
    }

    fn text(&self, keyword: &str) -> Option<&'v str> {
        self.map.get(keyword).and_then(Value::as_str)
    }

    fn truth(&self, keyword: &str) -> bool {
        self.map.get(keyword).and_then(Value::as_bool).unwrap_or(false)
    }

    fn number(&self, keyword: &str) -> Option<Decimal> {
        self.map.get(keyword).and_then(Decimal::of)
    }

    fn count(&self, keyword: &str) -> Option<usize> {
        self.number(keyword).and_then(|number| number.whole())
    }
}

fn texts(items: &[Value]) -> Vec<String> {
    items.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// The types, in the order in which they are told.
pub(super) const TYPES: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];

/// A type's bit; none for what is no type.
pub(super) fn type_bit(name: &str) -> u8 {
    TYPES.iter().position(|known| *known == name).map_or(0, |place| 1 << place)
}

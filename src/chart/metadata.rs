//! Chart.yaml: what it may say, and how Helm reads it (pkg/chart/metadata.go).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{ChartError, semver::Version};
use crate::goyaml;

/// The content of a Chart.yaml. Serializes as Helm stores it in a release.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The chart's name; a subchart's alias once dependencies are processed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where the project lives.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub home: String,
    /// Where its source is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The chart's version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// One sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Who looks after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintainers: Vec<Maintainer>,
    /// Address of an icon.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icon: String,
    /// `v1` or `v2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Unused by Helm.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Unused by Helm.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tags: String,
    /// The version of what the chart installs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app_version: String,
    /// Whether it should no longer be used.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// Anything else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Which versions of Kubernetes it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    /// The charts it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// `application` or `library`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// Someone who looks after a chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Maintainer {
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Mail address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// Address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// A chart that another one needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Dependency {
    /// Its name; its alias once dependencies are processed.
    pub name: String,
    /// A constraint on its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Where it comes from.
    pub repository: String,
    /// Paths in the values that turn it on or off.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Tags that turn it on or off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it is on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    /// Values that are taken over from it.
    #[serde(rename = "import-values", skip_serializing_if = "Vec::is_empty")]
    pub import_values: Vec<Value>,
    /// Another name for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
}

impl Metadata {
    /// Reads Chart.yaml.
    pub(super) fn parse(text: &str) -> Result<Self, ChartError> {
        let mut metadata = Self::default();
        metadata.read("Chart.yaml", text)?;
        if metadata.api_version.is_empty() {
            // "Helm 2 accepted charts that did not provide an APIVersion" (loader/load.go).
            "v1".clone_into(&mut metadata.api_version);
        }
        Ok(metadata)
    }

    /// Reads a file over what is there, as `yaml.Unmarshal` into the same struct does: requirements.yaml has only dependencies.
    pub(super) fn read(&mut self, file: &str, text: &str) -> Result<(), ChartError> {
        let value = goyaml::parse(text).map_err(|source| ChartError::Yaml { file: file.to_owned(), source })?;
        let fields = Fields::new(file, "chart.Metadata", &value)?;
        fields.text("name", &mut self.name)?;
        fields.text("home", &mut self.home)?;
        fields.texts("sources", &mut self.sources)?;
        fields.text("version", &mut self.version)?;
        fields.text("description", &mut self.description)?;
        fields.texts("keywords", &mut self.keywords)?;
        fields.text("icon", &mut self.icon)?;
        fields.text("apiVersion", &mut self.api_version)?;
        fields.text("condition", &mut self.condition)?;
        fields.text("tags", &mut self.tags)?;
        fields.text("appVersion", &mut self.app_version)?;
        fields.text("kubeVersion", &mut self.kube_version)?;
        fields.text("type", &mut self.kind)?;
        fields.truth("deprecated", &mut self.deprecated)?;
        if let Some(map) = fields.get("annotations") {
            let map = Fields::new(file, "map[string]string", map)?;
            for key in map.keys() {
                let mut text = String::new();
                map.text(key, &mut text)?;
                self.annotations.insert(key.to_owned(), text);
            }
        }
        if let Some(list) = fields.list("maintainers")? {
            self.maintainers = list.iter().map(|item| Maintainer::read(file, item)).collect::<Result<_, _>>()?;
        }
        if let Some(list) = fields.list("dependencies")? {
            self.dependencies = list.iter().map(|item| Dependency::read(file, item)).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    /// `Metadata.Validate`; cleans texts on the way.
    pub(super) fn validate(&mut self) -> Result<(), ChartError> {
        for text in [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ] {
            clean(text);
        }
        self.sources.iter_mut().chain(&mut self.keywords).for_each(clean);
        for maintainer in &mut self.maintainers {
            [&mut maintainer.name, &mut maintainer.email, &mut maintainer.url].into_iter().for_each(clean);
        }
        let invalid = |problem: String| Err(ChartError::Invalid(problem));
        if self.name.is_empty() {
            return invalid("chart.metadata.name is required".to_owned());
        }
        if self.name == "." || self.name == ".." {
            return invalid(format!("chart.metadata.name {:?} is not allowed", self.name));
        }
        if self.name.contains('/') {
            return invalid(format!("chart.metadata.name {:?} is invalid", self.name));
        }
        if self.version.is_empty() {
            return invalid("chart.metadata.version is required".to_owned());
        }
        if Version::parse(&self.version).is_none() {
            return invalid(format!("chart.metadata.version {:?} is invalid", self.version));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return invalid("chart.metadata.type must be application or library".to_owned());
        }
        let mut seen = BTreeSet::new();
        for dependency in &mut self.dependencies {
            dependency.validate()?;
            let key = dependency.key().to_owned();
            if !seen.insert(key.clone()) {
                return invalid(format!("more than one dependency with name or alias {key:?}"));
            }
        }
        Ok(())
    }

    /// Whether the chart only lends templates to others.
    pub fn is_library(&self) -> bool {
        self.kind.eq_ignore_ascii_case("library")
    }

    /// `.Chart`, with the names of Go's fields.
    pub(super) fn go_value(&self, root: bool) -> Value {
        let people: Vec<Value> = self.maintainers.iter().map(|person| json!({"Name": person.name, "Email": person.email, "URL": person.url})).collect();
        json!({
            "Name": self.name, "Home": self.home, "Sources": self.sources, "Version": self.version, "Description": self.description,
            "Keywords": self.keywords, "Maintainers": people, "Icon": self.icon, "APIVersion": self.api_version, "Condition": self.condition,
            "Tags": self.tags, "AppVersion": self.app_version, "Deprecated": self.deprecated, "Annotations": self.annotations,
            "KubeVersion": self.kube_version, "Dependencies": self.dependencies.iter().map(Dependency::go_value).collect::<Vec<_>>(),
            "Type": self.kind, "IsRoot": root,
        })
    }
}

impl Maintainer {
    fn read(file: &str, value: &Value) -> Result<Self, ChartError> {
        if value.is_null() {
            return Err(ChartError::Invalid("maintainers must not contain empty or null nodes".to_owned()));
        }
        let fields = Fields::new(file, "chart.Maintainer", value)?;
        let mut person = Self::default();
        fields.text("name", &mut person.name)?;
        fields.text("email", &mut person.email)?;
        fields.text("url", &mut person.url)?;
        Ok(person)
    }
}

impl Dependency {
    pub(super) fn read(file: &str, value: &Value) -> Result<Self, ChartError> {
        if value.is_null() {
            return Err(ChartError::Invalid("dependencies must not contain empty or null nodes".to_owned()));
        }
        let fields = Fields::new(file, "chart.Dependency", value)?;
        let mut dependency = Self::default();
        fields.text("name", &mut dependency.name)?;
        fields.text("version", &mut dependency.version)?;
        fields.text("repository", &mut dependency.repository)?;
        fields.text("condition", &mut dependency.condition)?;
        fields.texts("tags", &mut dependency.tags)?;
        fields.truth("enabled", &mut dependency.enabled)?;
        fields.text("alias", &mut dependency.alias)?;
        if let Some(list) = fields.list("import-values")? {
            dependency.import_values.clone_from(list);
        }
        Ok(dependency)
    }

    fn validate(&mut self) -> Result<(), ChartError> {
        [&mut self.name, &mut self.version, &mut self.repository, &mut self.condition].into_iter().for_each(clean);
        self.tags.iter_mut().for_each(clean);
        let fits = self.alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if fits { Ok(()) } else { Err(ChartError::Invalid(format!("dependency {:?} has disallowed characters in the alias", self.name))) }
    }

    /// The name it goes by among its siblings.
    fn key(&self) -> &str {
        if self.alias.is_empty() { &self.name } else { &self.alias }
    }

    fn go_value(&self) -> Value {
        json!({
            "Name": self.name, "Version": self.version, "Repository": self.repository, "Condition": self.condition, "Tags": self.tags,
            "Enabled": self.enabled, "ImportValues": self.import_values, "Alias": self.alias,
        })
    }
}

/// `sanitizeString`: white space becomes a space, what cannot be printed goes.
fn clean(text: &mut String) {
    if text.contains(|c: char| c.is_control() || (c.is_whitespace() && c != ' ')) {
        *text = text.chars().filter_map(|c| if c.is_whitespace() { Some(' ') } else { (!c.is_control()).then_some(c) }).collect();
    }
}

/// The fields of a mapping, read as encoding/json reads into a struct: unknown ones and null do not matter, scalars become text where text is wanted.
struct Fields<'a> {
    file: &'a str,
    of: &'a str,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    fn new(file: &'a str, of: &'a str, value: &'a Value) -> Result<Self, ChartError> {
        match value {
            Value::Null => Ok(Self { file, of, map: None }),
            Value::Object(map) => Ok(Self { file, of, map: Some(map) }),
            other => Err(ChartError::Shape { file: file.to_owned(), problem: format!("json: cannot unmarshal {} into Go value of type {of}", kind(other)) }),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        let map = self.map?;
        map.get(key).or_else(|| map.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)).filter(|value| !value.is_null())
    }

    fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.into_iter().flat_map(|map| map.keys().map(String::as_str))
    }

    fn wrong<T>(&self, key: &str, value: &Value, wanted: &str) -> Result<T, ChartError> {
        let problem =
            format!("json: cannot unmarshal {} into Go struct field {}.{key} of type {wanted}", kind(value), self.of.rsplit('.').next().unwrap_or(self.of));
        Err(ChartError::Shape { file: self.file.to_owned(), problem })
    }

    fn text(&self, key: &str, into: &mut String) -> Result<(), ChartError> {
        let Some(value) = self.get(key) else { return Ok(()) };
        match goyaml::scalar_text(value) {
            Some(text) => *into = text,
            None => return self.wrong(key, value, "string"),
        }
        Ok(())
    }

    fn truth(&self, key: &str, into: &mut bool) -> Result<(), ChartError> {
        match self.get(key) {
            None => Ok(()),
            Some(Value::Bool(truth)) => {
                *into = *truth;
                Ok(())
            }
            Some(other) => self.wrong(key, other, "bool"),
        }
    }

    fn list(&self, key: &str) -> Result<Option<&'a Vec<Value>>, ChartError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => self.wrong(key, other, "[]interface {}"),
        }
    }

    fn texts(&self, key: &str, into: &mut Vec<String>) -> Result<(), ChartError> {
        let Some(items) = self.list(key)? else { return Ok(()) };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match goyaml::scalar_text(item) {
                Some(text) => texts.push(text),
                None if item.is_null() => texts.push(String::new()),
                None => return self.wrong(key, item, "string"),
            }
        }
        *into = texts;
        Ok(())
    }
}

/// The name encoding/json gives a kind of value in its errors.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

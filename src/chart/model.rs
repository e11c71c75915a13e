//! A chart in memory.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Metadata, rendered::Processed};

/// A file of a chart, by its path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartFile {
    /// The path.
    pub name: String,
    /// What is in it.
    pub data: Bytes,
}

impl ChartFile {
    /// What is in it as text; what is none becomes U+FFFD.
    pub(super) fn text(&self) -> Cow<'_, str> {
        text(&self.data)
    }
}

/// As `String::from_utf8_lossy`, which looks at every byte by itself.
fn text(data: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(data).map_or_else(|_| String::from_utf8_lossy(data), Cow::Borrowed)
}

/// A chart with its subcharts, or a folder of plain manifests that is treated as one.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    pub(super) metadata: Metadata,
    pub(super) lock: Option<Value>,
    pub(super) templates: Vec<ChartFile>,
    pub(super) files: Vec<ChartFile>,
    pub(super) values: Map<String, Value>,
    pub(super) schema: Option<Bytes>,
    pub(super) subcharts: Vec<Chart>,
    /// Every file as it was found, subcharts among them.
    pub(super) raw: Vec<ChartFile>,
    /// Whether templates are manifests already.
    pub(super) verbatim: bool,
    /// What was odd while loading.
    pub(super) warnings: Vec<String>,
}

/// A file under crds/ of a chart or one of its subcharts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrdFile {
    /// `CHART/charts/SUB/crds/FILE`.
    pub path: String,
    /// What is in it.
    pub data: Bytes,
}

impl CrdFile {
    /// What is in it, as text.
    pub fn text(&self) -> Cow<'_, str> {
        text(&self.data)
    }
}

impl Chart {
    /// The chart's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The chart's version.
    pub fn version(&self) -> &str {
        &self.metadata.version
    }

    /// Chart.yaml.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The chart's own defaults.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The values' JSON schema.
    pub fn schema(&self) -> Option<&Bytes> {
        self.schema.as_ref()
    }

    /// What is neither template nor subchart nor one of Helm's own files.
    pub fn files(&self) -> &[ChartFile] {
        &self.files
    }

    /// Templates, by path.
    pub fn templates(&self) -> &[ChartFile] {
        &self.templates
    }

    /// Charts under charts/.
    pub fn subcharts(&self) -> &[Chart] {
        &self.subcharts
    }

    /// Dependencies that Chart.yaml names and charts/ does not have (pkg/action, install.go, `CheckDependencies`).
    pub fn missing_dependencies(&self) -> Vec<String> {
        let has = |name: &str| self.subcharts.iter().any(|subchart| subchart.name() == name);
        self.metadata.dependencies.iter().filter(|need| !has(&need.name)).map(|need| need.name.clone()).collect()
    }

    /// Every file as it was loaded.
    pub fn raw(&self) -> &[ChartFile] {
        &self.raw
    }

    /// What was odd while loading.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The chart as Helm stores it in a release: after dependencies were processed, and without subcharts.
    pub fn release_json(&self, processed: &Processed) -> Value {
        let files = |files: &[ChartFile]| -> Vec<Value> { files.iter().map(|file| json!({"name": file.name, "data": STANDARD.encode(&file.data)})).collect() };
        json!({
            "metadata": processed.metadata,
            "lock": self.lock,
            "templates": files(&self.templates),
            "values": processed.values,
            "schema": self.schema.as_ref().map(|schema| STANDARD.encode(schema)),
            "files": files(&self.files),
        })
    }
}

/// The definitions among a chart's files (`Chart.CRDObjects`).
pub(super) fn own_crds(path: &str, files: &[ChartFile]) -> Vec<CrdFile> {
    let manifest = |name: &str| [".yaml", ".yml", ".json"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let wanted = files.iter().filter(|file| file.name.starts_with("crds/") && manifest(&file.name));
    wanted.map(|file| CrdFile { path: format!("{path}/{}", file.name), data: file.data.clone() }).collect()
}

//! Charts from files and from archives: Helm's pkg/chart/loader.

use std::{collections::BTreeMap, io::Read};

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::{Map, Value};

use super::{Chart, ChartError, ChartFile, Metadata, ignore::Rules, metadata};
use crate::{
    goyaml,
    tree::{FileTree, SafePath},
};

/// One file of a chart, as Helm limits it.
const MAX_FILE: u64 = 5 << 20;
/// All files of an unpacked chart archive, as Helm limits them.
const MAX_ARCHIVE: u64 = 100 << 20;
/// Charts in charts in charts.
const MAX_DEPTH: usize = 20;

impl Chart {
    /// Loads a chart from the files of its folder; .helmignore applies.
    pub fn load(tree: &FileTree) -> Result<Self, ChartError> {
        let rules = tree.get(".helmignore").map_or_else(|| Rules::parse(""), |rules| Rules::parse(&String::from_utf8_lossy(rules)))?;
        let mut files = Vec::new();
        for (path, content) in tree.iter().filter(|(path, _)| !rules.ignores(path.as_str())) {
            files.push(checked(path.as_str(), content)?);
        }
        from_files(files, 0)
    }

    /// Loads a chart from a .tgz.
    pub fn from_tgz(archive: &[u8]) -> Result<Self, ChartError> {
        from_archive(archive, 0)
    }
}

/// A chart that is not one: manifests, taken as they are, that go the way of a chart.
pub fn from_manifests(name: &str, version: &str, tree: &FileTree) -> Result<Chart, ChartError> {
    let mut metadata = Metadata { name: name.to_owned(), version: version.to_owned(), api_version: "v2".to_owned(), ..Metadata::default() };
    metadata.validate()?;
    let mut chart = Chart { metadata, verbatim: true, ..Chart::default() };
    for (path, content) in tree.iter() {
        let file = checked(path.as_str(), content)?;
        chart.raw.push(file.clone());
        if [".yaml", ".yml", ".json"].iter().any(|end| file.name.to_ascii_lowercase().ends_with(end)) {
            chart.templates.push(ChartFile { name: format!("templates/{}", file.name), data: file.data });
        }
    }
    Ok(chart)
}

fn checked(name: &str, content: &Bytes) -> Result<ChartFile, ChartError> {
    let found = content.len() as u64;
    if found > MAX_FILE {
        return Err(ChartError::TooLarge { subject: name.to_owned(), found, limit: MAX_FILE });
    }
    let data = if content.starts_with(b"\xef\xbb\xbf") { content.slice(3..) } else { content.clone() };
    Ok(ChartFile { name: name.to_owned(), data })
}

fn from_archive(archive: &[u8], depth: usize) -> Result<Chart, ChartError> {
    let unpacked = GzDecoder::new(archive).take(MAX_ARCHIVE + 1);
    let mut tar = tar::Archive::new(unpacked);
    let mut files: BTreeMap<SafePath, ChartFile> = BTreeMap::new();
    let mut total = 0;
    for entry in tar.entries().map_err(ChartError::Unpack)? {
        let mut entry = entry.map_err(ChartError::Unpack)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).replace('\\', "/");
        let path = path.strip_prefix("./").unwrap_or(&path);
        let Some((_, inner)) = path.split_once('/') else {
            return Err(ChartError::Archive(format!("`{path}` is not inside a folder")));
        };
        let name: SafePath = inner.parse().map_err(|error| ChartError::Archive(format!("{error}")))?;
        total += entry.size();
        for (subject, found, limit) in [(path, entry.size(), MAX_FILE), ("the unpacked archive", total, MAX_ARCHIVE)] {
            if found > limit {
                return Err(ChartError::TooLarge { subject: subject.to_owned(), found, limit });
            }
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data).map_err(ChartError::Unpack)?;
        let file = checked(inner, &Bytes::from(data))?;
        files.insert(name, file);
    }
    if files.is_empty() {
        return Err(ChartError::Archive("no files in chart archive".to_owned()));
    }
    from_files(files.into_values().collect(), depth)
}

fn from_files(files: Vec<ChartFile>, depth: usize) -> Result<Chart, ChartError> {
    if depth > MAX_DEPTH {
        return Err(ChartError::Invalid(format!("subcharts are nested more than {MAX_DEPTH} deep")));
    }
    let mut chart = Chart::default();
    let mut found = false;
    if let Some(file) = files.iter().find(|file| file.name == "Chart.yaml") {
        chart.metadata = Metadata::parse(&text(file))?;
        found = true;
    }
    let mut subcharts: BTreeMap<String, Vec<ChartFile>> = BTreeMap::new();
    for file in &files {
        found |= sort_in(&mut chart, file, &mut subcharts)?;
    }
    if !found {
        return Err(ChartError::Missing);
    }
    if chart.metadata.api_version.is_empty() {
        return Err(ChartError::Invalid("chart.metadata.apiVersion is required".to_owned()));
    }
    chart.metadata.validate()?;
    for (name, files) in subcharts {
        if name.starts_with(['_', '.']) {
            continue;
        }
        let subchart = load_subchart(&name, files, depth + 1).map_err(|source| ChartError::Subchart {
            subchart: name.clone(),
            chart: chart.metadata.name.clone(),
            source: Box::new(source),
        })?;
        chart.warnings.extend(subchart.warnings.iter().cloned());
        chart.subcharts.push(subchart);
    }
    chart.raw = files;
    Ok(chart)
}

fn load_subchart(name: &str, mut files: Vec<ChartFile>, depth: usize) -> Result<Chart, ChartError> {
    if std::path::Path::new(name).extension().is_some_and(|end| end == "tgz") {
        let file = files.swap_remove(0);
        if file.name != name {
            return Err(ChartError::Archive(format!("expected {name}, got {}", file.name)));
        }
        return from_archive(&file.data, depth);
    }
    // A plain file under charts/ has nothing below it: that is a chart without Chart.yaml.
    let inner = files.into_iter().filter_map(|file| file.name.split_once('/').map(|(_, name)| ChartFile { name: name.to_owned(), data: file.data.clone() }));
    from_files(inner.collect(), depth)
}

/// Puts a file where it belongs; whether it brought metadata.
fn sort_in(chart: &mut Chart, file: &ChartFile, subcharts: &mut BTreeMap<String, Vec<ChartFile>>) -> Result<bool, ChartError> {
    let v1 = chart.metadata.api_version == "v1";
    match file.name.as_str() {
        "Chart.yaml" => {}
        "Chart.lock" => chart.lock = Some(yaml(file)?),
        "values.yaml" => chart.values = values(file)?,
        "values.schema.json" => chart.schema = Some(file.data.clone()),
        "requirements.yaml" => {
            if !v1 {
                chart.warnings.push(
                    "Warning: Dependencies are handled in Chart.yaml since apiVersion \"v2\". We recommend migrating dependencies to Chart.yaml.".to_owned(),
                );
            }
            chart.metadata.read(&file.name, &text(file))?;
            if v1 {
                chart.files.push(file.clone());
            }
            return Ok(true);
        }
        "requirements.lock" => {
            chart.lock = Some(yaml(file)?);
            if v1 {
                chart.files.push(file.clone());
            }
        }
        name if name.starts_with("templates/") => chart.templates.push(file.clone()),
        name => match name.strip_prefix("charts/") {
            Some(_) if std::path::Path::new(name).extension().is_some_and(|end| end == "prov") => chart.files.push(file.clone()),
            Some(inner) => {
                let top = inner.split('/').next().unwrap_or(inner);
                subcharts.entry(top.to_owned()).or_default().push(ChartFile { name: inner.to_owned(), data: file.data.clone() });
            }
            None => chart.files.push(file.clone()),
        },
    }
    Ok(false)
}

fn text(file: &ChartFile) -> String {
    String::from_utf8_lossy(&file.data).into_owned()
}

fn yaml(file: &ChartFile) -> Result<Value, ChartError> {
    goyaml::parse(&text(file)).map_err(|source| ChartError::Yaml { file: file.name.clone(), source })
}

fn values(file: &ChartFile) -> Result<Map<String, Value>, ChartError> {
    match goyaml::parse_values(&text(file)).map_err(|source| ChartError::Yaml { file: file.name.clone(), source })? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        other => Err(ChartError::Shape {
            file: file.name.clone(),
            problem: format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", metadata::kind(&other)),
        }),
    }
}

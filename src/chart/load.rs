//! Charts from files: Helm's pkg/chart/loader.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Chart, ChartError, ChartFile, Metadata, ignore::Rules, loading::Loading, metadata, unpack::from_archive};
use crate::{goyaml, tree::FileTree};

/// One file of a chart, as Helm limits it.
pub(super) const MAX_FILE: u64 = 5 << 20;
/// All files of an unpacked chart archive, as Helm limits them.
pub(super) const MAX_ARCHIVE: u64 = 100 << 20;
/// What a byte of Chart.yaml may take once it is read.
const METADATA: u64 = 16;
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
        let mut loading = Loading::new(files.iter().map(|file| file.data.len() as u64).sum())?;
        from_files(files, 0, &mut loading)
    }

    /// Loads a chart from a .tgz.
    pub fn from_tgz(archive: &[u8]) -> Result<Self, ChartError> {
        from_archive(archive, 0, &mut Loading::new(archive.len() as u64)?)
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

pub(super) fn checked(name: &str, content: &Bytes) -> Result<ChartFile, ChartError> {
    let found = content.len() as u64;
    if found > MAX_FILE {
        return Err(ChartError::TooLarge { subject: name.to_owned(), found, limit: MAX_FILE });
    }
    let data = if content.starts_with(b"\xef\xbb\xbf") { content.slice(3..) } else { content.clone() };
    Ok(ChartFile { name: name.to_owned(), data })
}

pub(super) fn from_files(files: Vec<ChartFile>, depth: usize, loading: &mut Loading) -> Result<Chart, ChartError> {
    if depth > MAX_DEPTH {
        return Err(ChartError::Invalid(format!("subcharts are nested more than {MAX_DEPTH} deep")));
    }
    let mut chart = Chart::default();
    let mut found = false;
    if let Some(file) = files.iter().find(|file| file.name == "Chart.yaml") {
        loading.bytes(file.data.len() as u64 * METADATA)?;
        chart.metadata = Metadata::parse(&file.text())?;
        found = true;
    }
    let mut subcharts: BTreeMap<String, Vec<ChartFile>> = BTreeMap::new();
    for file in &files {
        loading.file(&file.name)?;
        found |= sort_in(&mut chart, file, &mut subcharts, depth, loading)?;
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
        let subchart = load_subchart(&name, files, depth + 1, loading).map_err(|source| ChartError::Subchart {
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

fn load_subchart(name: &str, mut files: Vec<ChartFile>, depth: usize, loading: &mut Loading) -> Result<Chart, ChartError> {
    if std::path::Path::new(name).extension().is_some_and(|end| end == "tgz") {
        let file = files.swap_remove(0);
        if file.name != name {
            return Err(ChartError::Archive(format!("expected {name}, got {}", file.name)));
        }
        return from_archive(&file.data, depth, loading);
    }
    // A plain file under charts/ has nothing below it: that is a chart without Chart.yaml.
    let inner = files.into_iter().filter_map(|file| file.name.split_once('/').map(|(_, name)| ChartFile { name: name.to_owned(), data: file.data.clone() }));
    from_files(inner.collect(), depth, loading)
}

/// Puts a file where it belongs; whether it brought metadata.
fn sort_in(
    chart: &mut Chart,
    file: &ChartFile,
    subcharts: &mut BTreeMap<String, Vec<ChartFile>>,
    depth: usize,
    loading: &mut Loading,
) -> Result<bool, ChartError> {
    let v1 = chart.metadata.api_version == "v1";
    match file.name.as_str() {
        "Chart.yaml" => {}
        "Chart.lock" => chart.lock = Some(yaml(file, loading)?),
        // They stand in the values of every chart above, too.
        "values.yaml" => chart.values = values(file, depth + 1, loading)?,
        "values.schema.json" => chart.schema = Some(file.data.clone()),
        "requirements.yaml" => {
            if !v1 {
                chart.warnings.push(
                    "Warning: Dependencies are handled in Chart.yaml since apiVersion \"v2\". We recommend migrating dependencies to Chart.yaml.".to_owned(),
                );
            }
            chart.metadata.read(&file.name, &file.text())?;
            if v1 {
                chart.files.push(file.clone());
            }
            return Ok(true);
        }
        "requirements.lock" => {
            chart.lock = Some(yaml(file, loading)?);
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

fn yaml(file: &ChartFile, loading: &mut Loading) -> Result<Value, ChartError> {
    let value = goyaml::parse(&file.text()).map_err(|source| ChartError::Yaml { file: file.name.clone(), source })?;
    loading.value(&value, 1)?;
    Ok(value)
}

fn values(file: &ChartFile, charts: usize, loading: &mut Loading) -> Result<Map<String, Value>, ChartError> {
    let value = goyaml::parse_values(&file.text()).map_err(|source| ChartError::Yaml { file: file.name.clone(), source })?;
    loading.value(&value, charts)?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        other => Err(ChartError::Shape {
            file: file.name.clone(),
            problem: format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", metadata::kind(&other)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{package, rendered::Processed};

    fn tree(files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new();
        for (name, text) in files {
            tree.insert(name.parse().unwrap(), Bytes::copy_from_slice(text.as_bytes()));
        }
        tree
    }

    const CHART: &str = "apiVersion: v2\nname: a\nversion: 1.0.0\nappVersion: 1.16\nunknown: x\n";

    #[test]
    fn files_go_into_their_buckets() {
        let sub = tree(&[("Chart.yaml", "name: packed\nversion: '2'\n"), ("templates/x.yaml", "a: 1")]);
        let packed = package("packed", &sub).unwrap();
        let mut files = tree(&[
            ("Chart.yaml", CHART),
            ("values.yaml", "\u{feff}count: 1\ny: yes\n"),
            ("templates/t.yaml", ""),
            ("templates/.hidden", ""),
            ("crds/c.yaml", "kind: X"),
            ("README.md", ""),
            ("charts/sub/Chart.yaml", "apiVersion: v1\nname: sub\nversion: 0.1.0\n"),
            ("charts/sub/crds/d.YML", "kind: Y"),
            ("charts/_off/Chart.yaml", ""),
        ]);
        files.insert("charts/packed-2.tgz".parse().unwrap(), packed.into());
        let chart = Chart::load(&files).unwrap();
        assert_eq!((chart.name(), chart.version(), chart.metadata().app_version.as_str()), ("a", "1.0.0", "1.16"));
        assert_eq!(Value::Object(chart.values().clone()), serde_json::json!({"count": 1.0, "true": true}));
        assert_eq!(chart.templates().iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["templates/t.yaml"]);
        assert_eq!(chart.subcharts().iter().map(Chart::name).collect::<Vec<_>>(), ["packed", "sub"]);
        let crds = crate::chart::crds(&chart, &Map::new()).unwrap();
        assert_eq!(crds.iter().map(|crd| crd.path.as_str()).collect::<Vec<_>>(), ["a/crds/c.yaml", "a/charts/sub/crds/d.YML"]);
        let archive = chart.package().unwrap();
        assert_eq!(archive, Chart::load(&files).unwrap().package().unwrap());
        let again = Chart::from_tgz(&archive).unwrap();
        assert_eq!((again.raw().len(), again.subcharts().len(), again.values() == chart.values()), (chart.raw().len(), 2, true));
        let processed = Processed { metadata: chart.metadata.clone(), values: chart.values.clone() };
        let stored = chart.release_json(&processed);
        assert_eq!(
            (&stored["metadata"]["appVersion"], &stored["templates"][0]["data"], &stored["lock"]),
            (&Value::from("1.16"), &Value::from(""), &Value::Null)
        );
    }

    #[test]
    fn faults_are_helms() {
        let rows: [(&[(&str, &str)], &str); 8] = [
            (&[("values.yaml", "")], "Chart.yaml file is missing"),
            (&[("Chart.yaml", "name: a/b\nversion: 1.0.0")], "validation: chart.metadata.name \"a/b\" is invalid"),
            (&[("Chart.yaml", "name: a\nversion: x")], "validation: chart.metadata.version \"x\" is invalid"),
            (&[("Chart.yaml", "name: a\nversion: 1.0.0\ntype: no")], "validation: chart.metadata.type must be application or library"),
            (
                &[("Chart.yaml", "name: {}")],
                "cannot load Chart.yaml: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go struct field Metadata.name of type string",
            ),
            (
                &[("Chart.yaml", CHART), ("values.yaml", "- a")],
                "cannot load values.yaml: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
            ),
            (&[("Chart.yaml", CHART), ("charts/README.md", "")], "error unpacking subchart README.md in a: Chart.yaml file is missing"),
            (
                &[("Chart.yaml", CHART), ("values.yaml", "a: b: c")],
                "cannot load values.yaml: error converting YAML to JSON: yaml: mapping values are not allowed in this context",
            ),
        ];
        for (files, want) in rows {
            assert_eq!(Chart::load(&tree(files)).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn archives_stay_inside() {
        let evil = |name: &str| {
            let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(0);
            header.set_cksum();
            tar.append(&header, std::io::empty()).unwrap();
            tar.into_inner().unwrap().finish().unwrap()
        };
        for name in ["a/../../x", "/etc/x", "Chart.yaml", "a\\..\\x"] {
            assert!(matches!(Chart::from_tgz(&evil(name)), Err(ChartError::Archive(_) | ChartError::Missing)), "{name}");
        }
        assert!(matches!(Chart::from_tgz(b"no gzip"), Err(ChartError::Unpack(_))));
    }

    #[test]
    fn manifests_are_a_chart_too() {
        let chart = from_manifests("glue", "0.0.0", &tree(&[("a.yaml", "kind: X\nx: '{{ no }}'"), ("readme.txt", "")])).unwrap();
        assert_eq!((chart.templates()[0].name.as_str(), chart.templates().len(), chart.raw().len()), ("templates/a.yaml", 1, 2));
        assert!(chart.verbatim);
    }
}

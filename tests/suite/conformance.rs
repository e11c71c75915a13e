//! Small charts against what real `helm template` printed for them (tests/fixtures/conformance), of Helm 3 and of Helm 4.

#![expect(clippy::unwrap_used, reason = "what cannot be read is a failed test")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use offline::{
    chart::{self, Chart, RenderOptions, TemplateText, engine::Dialect},
    tree::FileTree,
};
use serde_json::Map;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance")
}

fn read_tree(root: &Path, folder: &Path, tree: &mut FileTree) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_tree(root, &path, tree);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().parse().unwrap();
            tree.insert(name, fs::read(&path).unwrap().into());
        }
    }
}

/// Standard output, standard error and exit code, as `helm template` gives them.
#[derive(Debug, PartialEq, Eq, Default)]
struct Printed {
    out: String,
    err: String,
    failed: bool,
}

fn template(folder: &Path, dialect: Dialect) -> Printed {
    let mut tree = FileTree::new();
    read_tree(folder, folder, &mut tree);
    let chart = match Chart::load(&tree) {
        Ok(chart) => chart,
        Err(error) => return Printed { err: format!("Error: {error}\n"), failed: true, ..Printed::default() },
    };
    let mut lines = Vec::new();
    let options = RenderOptions { dialect, ..RenderOptions::new("rel", "ns") };
    let rendered = chart::render_logged(&chart, &Map::new(), &options, &mut lines);
    let mut printed = Printed { err: lines.iter().flat_map(|line| [line, "\n"]).collect(), ..Printed::default() };
    match rendered {
        Ok(rendered) => printed.out = rendered.template_text(TemplateText::default()),
        Err(error) => {
            let hint = if error.has_release() { "\n\nUse --debug flag to render out invalid YAML" } else { "" };
            writeln!(printed.err, "Error: {error}{hint}").unwrap();
            printed.failed = true;
        }
    }
    printed
}

/// What is wrong with one chart; none if all is as Helm has it.
fn difference(name: &str, expected: &str, dialect: Dialect) -> Option<String> {
    let read = |end: &str| fs::read_to_string(fixtures().join(expected).join(format!("{name}.{end}"))).unwrap();
    let helm = Printed { out: read("out"), err: read("err"), failed: read("rc").trim() != "0" };
    let ours = template(&fixtures().join("charts").join(name), dialect);
    (ours != helm).then(|| format!("--- ours\n{}{}--- helm\n{}{}", ours.out, ours.err, helm.out, helm.err))
}

fn check(expected: &str, dialect: Dialect) {
    let mut names: Vec<String> = fs::read_dir(fixtures().join("charts")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let differences: Vec<(&String, String)> =
        names.iter().filter_map(|name| difference(name, expected, dialect).map(|difference| (name, difference))).collect();
    for (name, difference) in &differences {
        println!("== {name}\n{difference}\n");
    }
    let failed: Vec<&&String> = differences.iter().map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "{} of {} charts differ from Helm's: {failed:?}", failed.len(), names.len());
}

#[test]
fn charts_render_as_helm_renders_them() {
    check("expected", Dialect::Helm3);
}

#[test]
fn charts_render_as_helm_4_renders_them() {
    check("expected-helm4", Dialect::Helm4);
}

//! Small charts against what real `helm template` printed for them (tests/fixtures/conformance).

#![expect(clippy::unwrap_used, reason = "what cannot be read is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use offline::{
    chart::{self, Chart, RenderOptions, TemplateText},
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

/// Standard output and the first line of standard error, as the command would give them.
fn template(folder: &Path) -> Result<String, String> {
    let mut tree = FileTree::new();
    read_tree(folder, folder, &mut tree);
    let chart = Chart::load(&tree).map_err(|error| error.to_string())?;
    let rendered = chart::render(&chart, &Map::new(), &RenderOptions::new("rel", "ns")).map_err(|error| error.to_string())?;
    Ok(rendered.template_text(TemplateText::default()))
}

fn known_failures() -> BTreeMap<String, String> {
    let text = fs::read_to_string(fixtures().join("known-failures.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").unwrap_or((line, ""))).map(|(name, reason)| (name.to_owned(), reason.to_owned())).collect()
}

/// What is wrong with one chart; none if all is as Helm has it.
fn difference(name: &str) -> Option<String> {
    let expected = |end: &str| fs::read_to_string(fixtures().join("expected").join(format!("{name}.{end}"))).unwrap();
    let fails = expected("rc").trim() != "0";
    match template(&fixtures().join("charts").join(name)) {
        Ok(text) if fails => Some(format!("rendered, but Helm says {}\n--- ours\n{text}", expected("err"))),
        Ok(text) if text == expected("out") => None,
        Ok(text) => Some(format!("--- ours\n{text}--- helm\n{}", expected("out"))),
        Err(error) if !fails => Some(format!("fails: {error}")),
        Err(error) => {
            let wanted = expected("err");
            // Errors must be Helm's up to the hint for people that follows.
            let wanted = wanted.split("\n\nUse --debug").next().unwrap_or_default().trim_end();
            let wanted = wanted.split_once("Error: ").map_or(wanted, |(_, wanted)| wanted);
            (error.trim_end() != wanted).then(|| format!("--- our error\n{error}\n--- helm's\n{wanted}"))
        }
    }
}

#[test]
fn charts_render_as_helm_renders_them() {
    let mut names: Vec<String> = fs::read_dir(fixtures().join("charts")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let known = known_failures();
    let mut failed = BTreeSet::new();
    for name in &names {
        if let Some(difference) = difference(name) {
            if !known.contains_key(name) {
                println!("== {name}\n{difference}\n");
            }
            failed.insert(name.clone());
        }
    }
    println!("{} of {} charts as Helm", names.len() - failed.len(), names.len());
    assert_eq!(failed.iter().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>(), "the failures must be exactly those of known-failures.txt");
}

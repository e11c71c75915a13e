//! The house rules that a compiler does not keep: layers, sizes, who may read the environment and who may print.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::support::root;

/// Longest file, in production lines.
const FILE_LINES: usize = 1000;
/// Longest function, in lines.
const FUNCTION_LINES: usize = 120;

/// Files and functions that are longer, with the reason.
const LONG: &[(&str, &str)] = &[
    ("tests/suite/attacks.rs: fn container", "a table, one attack after the other"),
    ("tests/suite/attacks.rs: fn index", "a table"),
    ("tests/suite/attacks.rs: fn documents", "a table"),
];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    found
}

fn all() -> Vec<(PathBuf, String)> {
    ["src", "agent/src", "tests/suite"].into_iter().flat_map(sources).collect()
}

/// What comes before the unit tests.
fn production(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod ").map_or(text, |at| &text[..at])
}

/// The table of docs/architecture.md: each module and the modules it may use.
fn layers() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rows: Vec<(Vec<String>, String)> = page
        .lines()
        .skip_while(|line| !line.starts_with("| module |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[1].split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect(), cells[3].to_owned())
        })
        .collect();
    let mut below: BTreeSet<String> = BTreeSet::new();
    let mut table = BTreeMap::new();
    for (names, uses) in rows {
        let mut may: BTreeSet<String> = uses.split(',').map(|name| name.split('(').next().unwrap_or_default().trim().trim_matches('`').to_owned()).collect();
        if uses.contains("everything above") {
            may.extend(below.iter().cloned());
        }
        may.extend(names.iter().cloned());
        below.extend(names.iter().cloned());
        table.extend(names.into_iter().map(|name| (name, may.clone())));
    }
    table
}

/// Names of modules after `crate::`, also inside braces.
fn used(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(inside) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (at, c) in inside.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    found.insert(name(&inside[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn modules_use_only_lower_layers() {
    let table = layers();
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let module = path.components().nth(1).unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some(may) = table.get(&module) else {
            wrong.push(format!("{}: `{module}` is not in docs/architecture.md", path.display()));
            continue;
        };
        let code: String = production(&text).lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect();
        wrong.extend(
            used(&code).into_iter().filter(|name| table.contains_key(name) && !may.contains(name)).map(|name| format!("{}: uses {name}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_inside_braces_are_found() {
    let text = "use crate::{\n    oci::{Digest, Platform},\n    tree,\n};\nuse crate::failure::Failure;";
    assert_eq!(used(text).into_iter().collect::<Vec<_>>(), ["failure", "oci", "tree"]);
}

#[test]
fn files_begin_with_what_they_are_and_stay_short() {
    let mut wrong = Vec::new();
    for (path, text) in all() {
        let name = path.display().to_string();
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: does not begin with //!"));
        }
        let lines = production(&text).lines().count();
        if lines > FILE_LINES && !LONG.iter().any(|(file, _)| *file == name) {
            wrong.push(format!("{name}: {lines} lines"));
        }
        let mut begun: Option<(usize, usize, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line
                .trim_start()
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .trim_start_matches("pub ")
                .trim_start_matches("const ")
                .trim_start_matches("async ");
            if begun.is_none() && head.starts_with("fn ") && !line.ends_with(['}', ';']) {
                begun = Some((number, indent, head.split(['(', '<']).next().unwrap_or_default().to_owned()));
            } else if let Some((from, depth, function)) = begun.clone()
                && indent == depth
                && line.trim() == "}"
            {
                let key = format!("{name}: {function}");
                if number - from > FUNCTION_LINES && !LONG.iter().any(|(function, _)| *function == key) {
                    wrong.push(format!("{key}: {} lines", number - from));
                }
                begun = None;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_context_reads_the_environment_and_only_report_prints() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let name = path.display().to_string();
        let rules = [
            (["env::var", "env::vars"].as_slice(), ["src/context", "src/main.rs"].as_slice()),
            (["println!(", "eprintln!(", "print!(", "stdout()", "stderr()"].as_slice(), ["src/report", "src/main.rs", "src/context"].as_slice()),
        ];
        for (words, allowed) in rules {
            if allowed.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            for (number, line) in production(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                wrong.extend(words.iter().filter(|word| line.contains(**word)).map(|word| format!("{name}:{}: {word}", number + 1)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_test_is_ignored_and_no_drawer_is_opened() {
    for (path, text) in all() {
        let mark = concat!("#[", "ignore");
        assert!(!text.contains(mark), "{}: a test that does not run proves nothing", path.display());
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(!["util", "utils", "common", "helpers"].contains(&stem), "{}", path.display());
    }
}

#[test]
fn the_plugin_has_the_packages_version() {
    let plugin = fs::read_to_string(root().join("plugin.yaml")).unwrap();
    assert!(plugin.contains(&format!("version: \"{}\"", env!("CARGO_PKG_VERSION"))), "{plugin}");
}

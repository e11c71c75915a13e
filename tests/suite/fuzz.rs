//! Mutated input for everything that reads a chart: no panic, no hang, and the same answer twice.
//!
//! A seeded xorshift mutates the texts of tests/fixtures, so that a run can be repeated on a stable compiler with nothing installed. Each target
//! gets the same inputs on every machine; `fuzz/run.sh SECONDS` runs them for a time, with another seed.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use offline::{
    chart::{self, Chart, RenderOptions, engine::Dialect, values},
    goyaml, semver,
    tree::FileTree,
};
use serde_json::{Map, Value};

use crate::support::root;

/// No input of these sizes may take longer, however busy the machine and however little the program is optimised.
const SLOWEST: Duration = Duration::from_secs(20);
/// Longest input.
const MAX_INPUT: usize = 4096;
/// Inputs of a target where no time is given.
const INPUTS: u64 = 200;

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}

/// Pieces that mean something to one of the readers.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    "{{/*",
    "*/}}",
    "(",
    ")",
    "|",
    "\"",
    "`",
    "'",
    "$",
    ".",
    ":=",
    "=",
    ",",
    "\n",
    "\r\n",
    "\t",
    " ",
    "if ",
    "else ",
    "end",
    "range ",
    "with ",
    "define \"a\"",
    "template \"a\" .",
    "block \"a\" .",
    "break",
    "continue",
    "nil",
    "0x",
    "1e9",
    "-",
    "?",
    ": ",
    "- ",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "!!",
    "!!binary ",
    "|\n ",
    ">-\n ",
    "%YAML 1.1\n",
    "---\n",
    "...\n",
    "[",
    "]",
    "{",
    "}",
    "\\",
    "\\u0000",
    "\u{feff}",
    "\u{85}",
    "\u{1F600}",
    "\0",
    "*",
    "[a-",
    "[^",
    "{a,b}",
    "/",
    "!",
    ">=",
    "~",
    "^",
    "||",
    " - ",
    "x",
    "999999999999999999999",
    "$ref",
    "\"$ref\":\"#\"",
    "pattern",
    "null",
    "true",
    "[0]",
    "include \"a\" .",
    "tpl . .",
    "toYaml .",
    "fromYaml ",
    "printf \"%v\" ",
    "repeat 9 ",
    "list ",
    "dict ",
    "index ",
    "int64 ",
    "quote ",
];

pub(crate) fn mutate(seeds: &[String], random: &mut Random) -> String {
    let mut bytes = seeds[random.below(seeds.len())].clone().into_bytes();
    if bytes.len() > MAX_INPUT {
        let from = random.below(bytes.len() - MAX_INPUT);
        bytes = bytes[from..from + MAX_INPUT].to_vec();
    }
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            2 => {
                let part = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, part));
            }
            3 => {
                let other = seeds[random.below(seeds.len())].as_bytes();
                let from = random.below(other.len() + 1);
                let part = other[from..(from + random.below(64)).min(other.len())].to_vec();
                drop(bytes.splice(at..end, part));
            }
            _ => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Texts of all files below a folder of fixtures with one of these endings.
fn seeds(folder: &str, endings: &[&str]) -> Vec<String> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<String>) {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                walk(&path, endings, found);
            } else if endings.iter().any(|ending| path.to_str().unwrap().ends_with(ending)) {
                found.extend(fs::read_to_string(&path).ok().filter(|text| !text.is_empty()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("tests/fixtures").join(folder), endings, &mut found);
    assert!(!found.is_empty(), "no seeds in {folder}");
    found
}

/// Runs a target on mutated seeds: `target` gives a digest of its answer, or panics.
pub(crate) fn fuzz(name: &str, seeds: &[String], target: impl Fn(&str) -> u64) {
    fuzz_with(name, |random| mutate(seeds, random), |input| target(input));
}

/// The same on whatever `make` makes.
pub(crate) fn fuzz_with<T: std::fmt::Debug>(name: &str, make: impl Fn(&mut Random) -> T, target: impl Fn(&T) -> u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let time = number("OFFLINE_FUZZ_MILLISECONDS").map(Duration::from_millis);
    let mut random = Random(number("OFFLINE_FUZZ_SEED").unwrap_or(0x9E37_79B9_7F4A_7C15).max(1));
    let (start, mut runs) = (Instant::now(), 0_u64);
    while time.map_or(runs < INPUTS, |time| start.elapsed() < time) {
        let input = make(&mut random);
        let before = Instant::now();
        let first = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let took = before.elapsed();
        let Ok(first) = first else { panic!("{name}: panics on {input:?}") };
        assert!(took < SLOWEST, "{name}: took {took:?} on {input:?}");
        assert_eq!(first, target(&input), "{name}: another answer the second time, on {input:?}");
        runs += 1;
    }
    println!("{name}: {runs} inputs in {:.1} s", start.elapsed().as_secs_f64());
}

pub(crate) fn digest(answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    hasher.finish()
}

fn rendered(files: &[(&str, &str)], dialect: Dialect) -> u64 {
    let mut tree = FileTree::new();
    tree.insert("Chart.yaml".parse().unwrap(), "apiVersion: v2\nname: f\nversion: 0.1.0\n".into());
    for (name, text) in files {
        tree.insert(name.parse().unwrap(), (*text).to_owned().into());
    }
    let chart = match Chart::load(&tree) {
        Ok(chart) => chart,
        Err(error) => return digest(&error.to_string()),
    };
    let answer = match chart::render(&chart, &Map::new(), &RenderOptions { dialect, ..RenderOptions::new("r", "n") }) {
        Ok(rendered) => rendered.manifest_text(),
        Err(error) => error.to_string(),
    };
    assert!(!answer.contains("the render thread failed"), "{answer}");
    digest(&answer)
}

/// Whether a text asks for what is another every time.
fn by_chance(text: &str) -> bool {
    ["rand", "uuid", "shuffle", "gen", "now", "bcrypt", "htpasswd", "encrypt", "ago", "date", "Time", "derive", "Cert"].iter().any(|word| text.contains(word))
}

#[test]
fn fuzz_templates() {
    let mut all = seeds("gotmpl", &[".json", ".txt", ".tpl", ".yaml"]);
    all.extend(seeds("conformance/charts", &[".yaml", ".tpl", ".txt"]));
    fuzz("templates", &all, |text| {
        // Text that asks for chance is rendered all the same; only its answers are not compared.
        let answer = rendered(&[("templates/a.yaml", text), ("values.yaml", "a: {b: [1, x, {c: null}]}\nn: 3\ns: text\n")], Dialect::Helm3);
        if by_chance(text) { 0 } else { answer }
    });
}

type Emit = fn(&Value) -> Result<String, goyaml::YamlError>;

/// go-yaml v3 writes lines of which the first begins with a tab as a block without an indentation indicator, and then refuses to read it.
const TAB: &str = "found a tab character where an indentation space is expected";

fn begins_with_a_tab(value: &Value) -> bool {
    let mut all = Vec::new();
    texts(value, &mut all);
    all.iter().any(|text| text.starts_with('\t'))
}

#[test]
fn fuzz_yaml() {
    let mut all = seeds("yaml", &[""]);
    all.extend(seeds("conformance/charts", &["values.yaml", "Chart.yaml"]));
    fuzz("yaml", &all, |text| {
        let value = match goyaml::parse(text) {
            Ok(value) => value,
            Err(error) => return digest(&error.to_string()),
        };
        let _ = goyaml::parse_all(text);
        for (emit, unreadable) in [(goyaml::emit as Emit, false), (goyaml::emit_pretty, begins_with_a_tab(&value))] {
            let Ok(once) = emit(&value) else { continue };
            match goyaml::parse(&once) {
                Ok(again) => assert_eq!(emit(&again).unwrap(), once, "emitting is not stable"),
                Err(error) => assert!(unreadable && error.to_string().contains(TAB), "what was emitted cannot be read: {error}\n{once}"),
            }
        }
        digest(&value.to_string())
    });
}

#[test]
fn fuzz_values() {
    let table: Value = serde_json::from_str(&fs::read_to_string(root().join("tests/fixtures/strvals.json")).unwrap()).unwrap();
    let mut all = Vec::new();
    texts(&table, &mut all);
    fuzz("values", &all, |text| {
        let kinds = [values::Kind::Typed, values::Kind::Text, values::Kind::Json, values::Kind::Literal];
        let answers = kinds.into_iter().flat_map(|kind| {
            [Dialect::Helm3, Dialect::Helm4].map(|dialect| {
                let mut map = Map::new();
                let answer = values::set_for(dialect, &mut map, kind, text).map_err(|error| error.to_string());
                let mut twice = map.clone();
                values::merge(&mut twice, map.clone());
                assert_eq!(twice, map, "merging with itself changes values");
                format!("{answer:?} {map:?}")
            })
        });
        digest(&answers.collect::<String>())
    });
}

/// All texts of a document.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}

#[test]
fn fuzz_schemas() {
    let table: Value = serde_json::from_str(&fs::read_to_string(root().join("tests/fixtures/schemas.json")).unwrap()).unwrap();
    let mut all = Vec::new();
    texts(&table, &mut all);
    if let Value::Array(rows) = &table {
        all.extend(rows.iter().flat_map(|row| row.as_object().into_iter().flat_map(|row| row.values().map(Value::to_string))));
    }
    fuzz("schemas", &all, |text| rendered(&[("values.schema.json", text), ("values.yaml", "a: {b: [1, x, {c: null}]}\nn: 3\ns: text\n")], Dialect::Helm3));
}

#[test]
fn fuzz_versions() {
    let all: Vec<String> = [">=1.2.3 <2 || ~1.2 || ^0.3.x-0", "1.2 - 3.4.5-a.b", "v1.2.3-rc.1+meta", "!=1.x, >2", "*", "=1.0.0-0"].map(str::to_owned).to_vec();
    fuzz("versions", &all, |text| {
        let version = semver::Version::parse(text);
        let accepts = semver::is_compatible(text, "1.2.3-a") | semver::is_compatible("^1", text);
        digest(&format!("{:?} {accepts}", version.map(|version| version.compare(&version))))
    });
}

#[test]
fn fuzz_globs() {
    let all: Vec<String> = ["*.txt\n/top\n!sub/\na/*.md", "[a-c]?x\n\\*\n[^z]*", "{a,b*}/**/c[!d]", "# c\n\n a b \n*/*/*"].map(str::to_owned).to_vec();
    fuzz("globs", &all, |text| {
        let quoted = serde_json::to_string(text).unwrap();
        let template = format!("{{{{ range $name, $_ := .Files.Glob {quoted} }}}}{{{{ $name }}}} {{{{ end }}}}");
        rendered(&[(".helmignore", text), ("a/b.md", "x"), ("x.txt", "y"), ("templates/a.yaml", &template)], Dialect::Helm3)
    });
}

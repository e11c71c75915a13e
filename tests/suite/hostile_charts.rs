//! Charts that want to take all time or all memory: each ends, with a clear error where it asks for too much, soon, and in little memory.
//!
//! tests/fixtures/hostile-charts has a template for each attack; what is large or no template is made here, or beside it in archives.
//! An unoptimised program takes forty times as long as one that is not. So templates get a fortieth of their steps there, in a process of
//! this program's tests; all else, and everything in an optimised build (fuzz/run.sh), is what the program itself does.

use std::{
    fmt::Write as _,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::{Duration, Instant},
};

use offline::{
    chart::{self, RenderOptions, engine::Budget},
    source,
};
use serde_json::Map;

use crate::{
    hostile_archives,
    support::{Program, peak, root},
};

/// What one chart may take here. The optimised program stays within a second; this one may not be optimised, and shares two cores with a cluster.
const SECONDS: u64 = if cfg!(debug_assertions) { 240 } else { 20 };
/// Peak memory of the program. The claim is the optimised program's (fuzz/run.sh); one that is not has larger frames.
const MEBIBYTES: u64 = if cfg!(debug_assertions) { 300 } else { 200 };
/// What an unoptimised build does not get.
const SLOWER: u64 = 40;
/// The folder of the chart that [`victim`] renders.
const VICTIM: &str = "OFFLINE_HOSTILE_CHART";

pub(crate) struct Attack {
    name: String,
    /// Files of the chart beside Chart.yaml.
    files: Vec<(String, Vec<u8>)>,
    /// The chart, if it is an archive.
    archive: Option<Vec<u8>>,
    args: Vec<String>,
    /// Whether it is templates that take the time.
    runs: bool,
}

impl Attack {
    pub(crate) fn new(name: &str, files: &[(&str, String)], args: &[&str]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.clone().into_bytes())).collect();
        Self { name: name.to_owned(), files, archive: None, args: args.iter().map(|arg| (*arg).to_owned()).collect(), runs: false }
    }

    pub(crate) fn running(self) -> Self {
        Self { runs: true, ..self }
    }

    pub(crate) fn archive(name: &str, archive: Vec<u8>) -> Self {
        Self { archive: Some(archive), ..Self::new(name, &[], &[]) }
    }
}

/// How a run ended.
struct End {
    code: Option<i32>,
    error: String,
    mebibytes: u64,
    took: Duration,
}

/// Writes the chart; where it is.
fn written(folder: &Path, attack: &Attack) -> PathBuf {
    if let Some(archive) = &attack.archive {
        let path = folder.join(format!("{}.tgz", attack.name));
        fs::write(&path, archive).unwrap();
        return path;
    }
    let chart = folder.join(&attack.name);
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: hostile\nversion: 0.1.0\n").unwrap();
    for (path, content) in &attack.files {
        let path = chart.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    chart
}

fn command(folder: &Path, attack: &Attack, chart: &Path) -> Command {
    if cfg!(debug_assertions) && attack.runs {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "hostile_charts::victim", "--nocapture", "--test-threads=1"]).env(VICTIM, chart);
        return command;
    }
    let mut args = vec!["template", "x", chart.to_str().unwrap()];
    args.extend(attack.args.iter().map(String::as_str));
    Program::new(folder).command(&args)
}

fn run(folder: &Path, attack: &Attack) -> End {
    let chart = written(folder, attack);
    let errors = folder.join(format!("{}.err", attack.name));
    let mut command = command(folder, attack, &chart);
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(fs::File::create(&errors).unwrap()).spawn().unwrap();
    let mut mebibytes = 0;
    let code = loop {
        mebibytes = mebibytes.max(peak(&child).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if start.elapsed() > Duration::from_secs(SECONDS) || mebibytes > 4 * MEBIBYTES {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let took = start.elapsed();
    let mut error = Vec::new();
    fs::File::open(errors).unwrap().take(1 << 16).read_to_end(&mut error).unwrap();
    End { code, error: String::from_utf8_lossy(&error).into_owned(), mebibytes, took }
}

/// Renders the chart that the test below names, and ends the process as the program would.
#[test]
#[expect(clippy::exit, reason = "the process is the program here")]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    let budget = Budget::default();
    let budget = Budget { steps: budget.steps / SLOWER, secrets: budget.secrets / SLOWER, ..budget };
    let options = RenderOptions { budget, ..RenderOptions::new("x", "default") };
    let rendered = source::chart(Path::new(&path)).map_err(|error| format!("{error:?}")).and_then(|found| {
        let rendered = chart::render(&found, &Map::new(), &options).map_err(|error| error.to_string())?;
        Ok(rendered.manifest_text().len())
    });
    if let Err(error) = rendered {
        eprintln!("Error: {error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// Those of the fixtures.
fn templates() -> Vec<Attack> {
    let folder = root().join("tests/fixtures/hostile-charts");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let attack = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        Attack { runs: true, ..Attack::new(name, &[(&format!("templates/{name}.yaml"), fs::read_to_string(path).unwrap())], &[]) }
    };
    paths.iter().map(attack).collect()
}

fn bomb(first: &str, levels: usize) -> String {
    let mut text = format!("a0: &a0 {first}\n");
    for i in 1..=levels {
        writeln!(text, "a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 9].join(",")).unwrap();
    }
    text
}

/// Those that are large, or hide elsewhere than in a template.
fn generated() -> Vec<Attack> {
    let template = |name: &str, text: String| Attack { runs: true, ..Attack::new(name, &[("templates/a.yaml", text)], &[]) };
    let values = |name: &str, text: String| Attack::new(name, &[("values.yaml", text)], &[]);
    let schema =
        |name: &str, text: &str, data: &str| Attack::new(name, &[("values.schema.json", text.to_owned()), ("values.yaml", data.to_owned())], &[]).running();
    let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        values("values-deep", deep.clone()),
        values("values-deep-braces", "{a: ".repeat(100_000)),
        values("values-deep-block", format!("{}x", "- ".repeat(100_000))),
        values("values-wide", format!("a: [{}x]", "x,".repeat(2_000_000))),
        values("values-aliases", bomb("[x,x,x,x,x,x,x,x,x]", 30)),
        Attack::new("metadata-aliases", &[("Chart.yaml", format!("apiVersion: v2\nname: hostile\nversion: 0.1.0\n{}", bomb("[x,x,x]", 30)))], &[]),
        Attack::new("metadata-deep", &[("Chart.yaml", format!("apiVersion: v2\nname: hostile\nversion: 0.1.0\n{deep}"))], &[]),
        Attack::new("lock-aliases", &[("Chart.lock", bomb("[x,x,x]", 30))], &[]),
        Attack::new("set-index", &[], &["--set", "a[1000000000]=1"]),
        Attack::new("set-beyond", &[], &["--set", "a[9999999999]=1"]),
        Attack::new("set-all", &[], &["--set", &(0..400).map(|i| format!("a[{}]={{x}}", i * 163)).collect::<Vec<_>>().join(",")]),
        Attack::new("set-deep", &[], &["--set", &format!("{}a=1", "a.".repeat(20_000))]),
        Attack::new("set-deep-lists", &[], &["--set", &format!("a{}=1", "[0]".repeat(20_000))]),
        Attack::new("set-json-deep", &[], &["--set-json", &format!("a={}", "[".repeat(50_000))]),
        template("text-actions", "{{ 1 }}".repeat(700_000)),
        template("text-arguments", format!("{{{{ list {} }}}}", "1 ".repeat(2_000_000))),
        template("text-fields", format!("{{{{ .a{} }}}}", ".a".repeat(2_000_000))),
        template("text-parens", format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000))),
        template("text-ifs", "{{if 1}}".repeat(100_000)),
        template("text-else-ifs", format!("{{{{if 0}}}}{}{{{{end}}}}{{{{fail \"end\"}}}}", "{{else if 0}}".repeat(100_000))),
        template("text-pipes", format!("{{{{ 1 {}}}}}{{{{fail \"end\"}}}}", "| int ".repeat(100_000))),
        template("text-defines", (0..60_000).map(|i| format!("{{{{define \"n{i}\"}}}}x{{{{end}}}}")).collect::<String>() + "{{fail \"end\"}}"),
        template("text-variables", (0..60_000).map(|i| format!("{{{{$x{i} := 1}}}}")).collect::<String>() + "{{fail \"end\"}}"),
        template("text-unclosed", format!("{{{{ \"{}", "x".repeat(4_000_000))),
        schema("schema-recursive", r##"{"$ref": "#"}"##, "a: 1\n"),
        schema(
            "schema-doubling",
            r##"{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"},{"$ref":"#/$defs/b"}]},"b":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}"##,
            "a: 1\n",
        ),
        schema("schema-pattern", r#"{"properties":{"a":{"pattern":"(((x{1,100}){1,100}){1,100}){1,100}"}}}"#, "a: x\n"),
        schema("schema-huge-pattern", &serde_json::json!({"properties": {"a": {"pattern": "(a|b)?".repeat(200_000)}}}).to_string(), "a: x\n"),
        schema("schema-many-patterns", &many_patterns(), "a: x\n"),
        schema("schema-backtracking", r#"{"properties":{"a":{"pattern":"^(a+)+$"},"b":{"pattern":"^(([a-z])+.)+[A-Z]([a-z])+$"}}}"#, &long_texts()),
        schema("schema-cycle", r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/c"},"c":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##, "a: 1\n"),
        schema("schema-deep", &format!("{}{{}}{}", "{\"not\":".repeat(50_000), "}".repeat(50_000)), "a: 1\n"),
        schema(
            "schema-unique",
            r#"{"properties":{"a":{"uniqueItems":true}}}"#,
            &format!("a: [{}0]\n", (1..90_000).map(|i| format!("{i},")).collect::<String>()),
        ),
        schema(
            "schema-enum",
            &format!(r#"{{"additionalProperties":{{"items":{{"enum":[{}0]}}}}}}"#, "[1,2,3],".repeat(20_000)),
            &format!("a: [{}0]\n", "[1,2,4],".repeat(20_000)),
        ),
        schema(
            "schema-contains",
            r#"{"properties":{"a":{"items":{"contains":{"contains":{"const":9}}}}}}"#,
            &format!("a: [{}1]\n", "[[1,1,1,1],[2,2]],".repeat(40_000)),
        ),
        Attack::new("ignore-stars", &[(".helmignore", format!("{}b\nChart.yaml\n", "*a".repeat(50_000))), (&"a".repeat(200), String::new())], &[]),
        Attack::new(
            "print-files",
            &[("templates/a.yaml", "{{ range until 100000 }}{{ $x := printf \"%v\" $.Files }}{{ end }}".to_owned()), ("big", "x".repeat(4 << 20))],
            &[],
        )
        .running(),
        Attack::new("manifest-documents", &[("templates/a.yaml", format!("{}a: b: c", "kind: X\n---\n".repeat(20_000)))], &[]),
    ]
}

fn many_patterns() -> String {
    let patterns: Map<String, serde_json::Value> = (0..3000).map(|i| (format!("^(x{i}{{1,900}}|y){{1,30}}$"), serde_json::json!({}))).collect();
    serde_json::json!({ "patternProperties": patterns }).to_string()
}

fn long_texts() -> String {
    format!("a: {}b\nb: {}\n", "a".repeat(500_000), "a".repeat(500_000))
}

/// What is wrong with how an attack ended.
fn fault(attack: &Attack, end: &End) -> Option<String> {
    let tail: String = end.error.chars().take(300).collect();
    let wrong = match end.code {
        // What only looks dangerous.
        Some(0) if end.mebibytes <= MEBIBYTES => return None,
        None => format!("did not end, or was ended by a signal, after {:.1} s with {} MiB", end.took.as_secs_f64(), end.mebibytes),
        Some(1 | 2) if end.mebibytes > MEBIBYTES => format!("took {} MiB", end.mebibytes),
        Some(1 | 2) if end.error.is_empty() || end.error.contains("panicked") => "has no clear error".to_owned(),
        Some(1 | 2) => return None,
        Some(code) => format!("ended with {code}"),
    };
    Some(format!("{}: {wrong}: {tail}", attack.name))
}

#[cfg(target_os = "linux")]
#[test]
fn every_attack_ends_soon_in_little_memory_with_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let attacks: Vec<Attack> = templates().into_iter().chain(generated()).chain(hostile_archives::all()).collect();
    let (next, faults, table) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    // Where times are measured, one at a time.
    let threads = if cfg!(debug_assertions) { std::thread::available_parallelism().map_or(2, usize::from) } else { 1 };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(attack) = attacks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let end = run(folder.path(), attack);
                    table.lock().unwrap().push(format!("{:6.2} s {:4} MiB  {:?} {}", end.took.as_secs_f64(), end.mebibytes, end.code, attack.name));
                    faults.lock().unwrap().extend(fault(attack, &end));
                }
            });
        }
    });
    let mut faults = faults.into_inner().unwrap();
    faults.sort();
    // What is wrong comes first: a log may be cut.
    if faults.is_empty() {
        let mut table = table.into_inner().unwrap();
        table.sort();
        println!("{}", table.join("\n"));
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), attacks.len(), faults.join("\n"));
}

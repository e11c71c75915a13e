//! Charts that want to take all time or all memory: each ends in an error that says where and why, soon, and in little memory.
//!
//! tests/fixtures/hostile-charts has a template for each attack; what is large or no template is made here.

use std::{
    fmt::Write as _,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::support::{Program, root};

/// What one chart may take here. The optimised program stays within a second; this one is not optimised, and not alone.
const SECONDS: u64 = 40;
/// Peak memory of the program.
const MEBIBYTES: u64 = 200;

struct Attack {
    name: String,
    /// Files of the chart beside Chart.yaml.
    files: Vec<(String, Vec<u8>)>,
    args: Vec<String>,
}

impl Attack {
    fn new(name: &str, files: &[(&str, String)], args: &[&str]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.clone().into_bytes())).collect();
        Self { name: name.to_owned(), files, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
    }
}

/// How a run ended.
struct End {
    code: Option<i32>,
    error: String,
    mebibytes: u64,
}

/// Peak resident memory of a process that still runs.
fn peak(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}

fn run(folder: &Path, attack: &Attack) -> End {
    let chart = folder.join(&attack.name);
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: hostile\nversion: 0.1.0\n").unwrap();
    for (path, content) in &attack.files {
        let path = chart.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let mut args = vec!["template", "x", chart.to_str().unwrap()];
    args.extend(attack.args.iter().map(String::as_str));
    let errors = folder.join(format!("{}.err", attack.name));
    let mut command = Program::new(folder).command(&args);
    let mut child = command.stdout(Stdio::null()).stderr(fs::File::create(&errors).unwrap()).spawn().unwrap();
    let (start, mut mebibytes) = (Instant::now(), 0);
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
        std::thread::sleep(Duration::from_millis(4));
    };
    let mut error = String::new();
    fs::File::open(errors).unwrap().take(1 << 16).read_to_string(&mut error).unwrap_or_default();
    End { code, error, mebibytes }
}

/// Those of the fixtures.
fn templates() -> Vec<Attack> {
    let folder = root().join("tests/fixtures/hostile-charts");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let attack = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        Attack::new(name, &[(&format!("templates/{name}.yaml"), fs::read_to_string(path).unwrap())], &[])
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
    let template = |name: &str, text: String| Attack::new(name, &[("templates/a.yaml", text)], &[]);
    let values = |name: &str, text: String| Attack::new(name, &[("values.yaml", text)], &[]);
    let schema = |name: &str, text: &str, data: &str| Attack::new(name, &[("values.schema.json", text.to_owned()), ("values.yaml", data.to_owned())], &[]);
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
        Attack::new("ignore-stars", &[(".helmignore", format!("{}b\nChart.yaml\n", "*a".repeat(50_000))), (&"a".repeat(200), String::new())], &[]),
        Attack::new("manifest-documents", &[("templates/a.yaml", format!("{}a: b: c", "kind: X\n---\n".repeat(20_000)))], &[]),
    ]
}

/// What is wrong with how an attack ended.
fn fault(attack: &Attack, end: &End) -> Option<String> {
    let tail: String = end.error.chars().take(300).collect();
    let wrong = match end.code {
        None => "did not end, or was ended by a signal".to_owned(),
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
    if std::env::var_os("OFFLINE_ATTACKS").is_none() {
        println!("not attacked: two hundred runs take minutes (OFFLINE_ATTACKS=1)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let attacks: Vec<Attack> = templates().into_iter().chain(generated()).collect();
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(attack) = attacks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    faults.lock().unwrap().extend(fault(attack, &run(folder.path(), attack)));
                }
            });
        }
    });
    let mut faults = faults.into_inner().unwrap();
    faults.sort();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), attacks.len(), faults.join("\n"));
}

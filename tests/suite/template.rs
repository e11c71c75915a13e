//! `template` on command lines of `helm template` against what Helm 3 and Helm 4 said to them (tests/fixtures/template; record.sh there
//! recorded it).

#![expect(clippy::unwrap_used, reason = "what cannot be read is a failed test")]

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/template")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if !name.to_string_lossy().starts_with("expected-") {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Arguments as a shell reads them, as far as the cases need it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn marked(text: &mut String, mark: char, lines: &str) {
    for line in lines.split_inclusive('\n') {
        write!(text, "{mark}{line}").unwrap();
    }
}

fn files(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, root, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// What this program says, written as record.sh writes it. Helm's exit code for every failure is 1.
fn say(arguments: &str, generation: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures(), folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-offline"));
    command.current_dir(folder.path()).args(["template", "--helm-version", generation]).args(words(arguments));
    command.env("KUBECONFIG", "/nonexistent").env("HOME", "/nonexistent").env_remove("HELM_NAMESPACE");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who reads no standard input closes it.
    let _ = child.stdin.take().unwrap().write_all(b"name: stdin\n");
    let output = child.wait_with_output().unwrap();
    let mut text = format!("exit {}\n", i32::from(!output.status.success()));
    marked(&mut text, '|', &String::from_utf8(output.stdout).unwrap());
    marked(&mut text, '!', &String::from_utf8(output.stderr).unwrap().replace("kubectl offline template", "helm template"));
    let mut written = Vec::new();
    files(&folder.path().join("O"), folder.path(), &mut written);
    written.sort();
    for path in written {
        writeln!(text, "={path}").unwrap();
        marked(&mut text, '>', &fs::read_to_string(folder.path().join(path)).unwrap());
    }
    text
}

/// Command lines with what was recorded.
fn recorded(generation: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(fixtures().join(format!("expected-helm{generation}.txt"))).unwrap();
    let mut cases: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix('$') {
            Some(arguments) => cases.push((arguments.trim_end_matches('\n').to_owned(), String::new())),
            None => cases.last_mut().unwrap().1.push_str(line),
        }
    }
    cases
}

fn compare(generation: &str) {
    let cases = recorded(generation);
    assert!(cases.len() > 100, "{} cases", cases.len());
    let wrong = Mutex::new(Vec::new());
    let (next, count) = (Mutex::new(cases.iter()), cases.len());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let case = next.lock().unwrap().next();
                    let Some((arguments, want)) = case else { return };
                    let got = say(arguments, generation);
                    if got != *want {
                        wrong.lock().unwrap().push(format!("== helm {generation} template{arguments}\n--- helm\n{want}--- ours\n{got}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}\n{} of {count} differ", wrong.join("\n"), wrong.len());
}

#[test]
fn template_says_what_helm_3_says() {
    compare("3");
}

#[test]
fn template_says_what_helm_4_says() {
    compare("4");
}

/// A command line that this program refuses, with what it says.
fn refused(arguments: &str) -> String {
    let text = say(arguments, "3");
    assert!(text.starts_with("exit 1\n!"), "{arguments}: {text}");
    text["exit 1\n!".len()..].trim_end().to_owned()
}

#[test]
fn what_needs_more_than_a_chart_is_refused_by_name() {
    for (arguments, want) in [
        ("old -f https://charts.example.com/values.yaml", "Error: https://charts.example.com/values.yaml is a URL"),
        ("old --validate", "Error: --validate needs a cluster"),
        ("old --dry-run=server", "Error: --dry-run=server lets `lookup` ask a cluster"),
        ("old --post-renderer sed", "Error: --post-renderer sed is not supported"),
    ] {
        let said = refused(arguments);
        assert!(said.starts_with(want), "{arguments}: {said}");
    }
}

#[test]
fn the_namespace_is_that_of_helm_or_of_the_kubeconfig() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures(), folder.path());
    let kubeconfig = "contexts:\n- {name: a, context: {cluster: c, user: u, namespace: from-a}}\n- {name: b, context: {cluster: c, user: u, namespace: from-b}}\ncurrent-context: a\n";
    fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let namespace = |flags: &[&str], environment: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-offline"));
        command.current_dir(folder.path()).args(["template", "shop", "-s", "templates/all.yaml"]).args(flags).env("KUBECONFIG", "kubeconfig");
        let output = command.env("HELM_NAMESPACE", environment).env("HELM_KUBECONTEXT", "").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| line.trim().strip_prefix("namespace: ")).unwrap().to_owned()
    };
    for (flags, environment, want) in [
        (&["-n", "flag"] as &[&str], "variable", "flag"),
        (&[], "variable", "variable"),
        (&[], "", "from-a"),
        (&["--kube-context", "b"], "", "from-b"),
        (&["--kube-context", "none"], "", "default"),
        (&["--kubeconfig", "none"], "", "default"),
    ] {
        assert_eq!(namespace(flags, environment), want, "{flags:?} {environment}");
    }
}

#[test]
fn rendering_that_is_no_yaml_is_shown_when_asked() {
    let said = say("broken --debug", "3");
    assert!(said.starts_with("exit 1\n|---\n|# Source: broken/templates/bad.yaml\n|a: b: c\n"), "{said}");
    assert!(said.contains("!Error: YAML parse error on broken/templates/bad.yaml") && !said.contains("Use --debug"), "{said}");
}

/// A hook's file of an earlier run grows, a manifest's is begun anew: `writeToFile` in both of Helm's places.
#[test]
fn a_second_run_writes_what_helms_second_run_writes() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures(), folder.path());
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-offline"));
        assert!(command.current_dir(folder.path()).args(["template", "shop", "--output-dir", "O"]).output().unwrap().status.success());
    }
    let count = |file: &str| fs::read_to_string(folder.path().join("O/shop/templates").join(file)).unwrap().matches("# Source").count();
    assert_eq!((count("before.yaml"), count("config/one.yaml"), count("all.yaml")), (2, 1, 2));
}

/// Paths in output come from the chart.
#[test]
fn charts_do_not_write_outside_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("evil");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: ..\nversion: 1.0.0\n").unwrap();
    fs::write(chart.join("templates/t.yaml"), "a: 1\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-offline"));
    let output = command.current_dir(folder.path()).args(["template", "evil", "--output-dir", "O/P"]).output().unwrap();
    assert!(!output.status.success());
    assert!(!folder.path().join("O/templates").exists());
}

//! Functions against what Helm v3.22 gives for them (tests/fixtures/functions, see the README there).

use std::{fs, path::Path};

use serde_json::Value;

use crate::chart::engine::{Budget, Capabilities, Dialect, EngineError, KubeVersion, Program, ReleaseInfo, Scope, Source, run};

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/functions")
}

/// An expression shows its value, its type and its JSON; a text with braces is a template of its own.
fn template(expression: &str) -> String {
    if expression.starts_with("{{") {
        return expression.to_owned();
    }
    format!("{{{{- $v := {expression} }}}}{{{{ printf \"%v|%T\" $v $v }}}}|{{{{ toJson $v }}}}")
}

fn render(text: &str, values: &Value) -> Result<String, String> {
    match render_as("c/templates/t.yaml", text, values) {
        // The recording program took any bytes; here only notes may hold them.
        Err(EngineError::NotText(_)) => render_as("c/templates/NOTES.txt", text, values),
        other => other,
    }
    .map_err(|e| e.to_string())
}

fn render_as(name: &str, text: &str, values: &Value) -> Result<String, EngineError> {
    let chart = serde_json::json!({"Name": "c", "Version": "1.0.0", "APIVersion": "v2", "IsRoot": true});
    let scope = Scope { values: values.as_object().cloned().unwrap_or_default(), chart, base_path: "c/templates".into(), ..Scope::default() };
    let program = Program {
        sources: vec![Source { name: name.into(), text: text.into(), scope: 0, execute: true }],
        scopes: vec![scope],
        release: ReleaseInfo { name: "r".into(), namespace: "n".into(), revision: 1, is_install: true, is_upgrade: false },
        capabilities: Capabilities {
            kube_version: KubeVersion { version: "v1.37.0".into(), major: "1".into(), minor: "37".into() },
            api_versions: vec!["v1".into()],
            helm_version: "v3.22.0".into(),
        },
        dialect: Dialect::Helm3,
        budget: Budget::default(),
        lookup: None,
        parsed: None,
        leave_out_failures: false,
    };
    run(program).map(|mut out| out.remove(name).unwrap_or_default())
}

/// An error without the place that Go names, which is the engine's business.
fn without_place(error: &str) -> String {
    match error.split_once(">: ") {
        Some((place, message)) if place.starts_with("template: ") => message.rsplit_once(">: ").map_or(message, |(_, message)| message).to_owned(),
        _ => error.to_owned(),
    }
}

/// The rows of one file that come out otherwise.
fn differences(file: &Path, values: &Value) -> (usize, Vec<String>) {
    let rows: Vec<Vec<Option<String>>> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for row in &rows {
        let expression = row[0].as_deref().unwrap();
        let ours = render(&template(expression), values).map_err(|e| without_place(&e));
        let helms = match row.get(2) {
            Some(error) => Err(without_place(error.as_deref().unwrap())),
            None => Ok(row[1].clone().unwrap()),
        };
        if ours != helms {
            wrong.push(format!("{expression}\n    helm {helms:?}\n    ours {ours:?}"));
        }
    }
    (rows.len(), wrong)
}

#[test]
fn functions_give_what_helm_gives() {
    let values = crate::goyaml::parse_values(&fs::read_to_string(fixtures().join("values.yaml")).unwrap()).unwrap();
    let mut files: Vec<std::path::PathBuf> =
        fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    let results: Vec<(String, usize, Vec<String>)> = std::thread::scope(|scope| {
        let running: Vec<_> = files.iter().map(|file| scope.spawn(|| differences(file, &values))).collect();
        files
            .iter()
            .zip(running)
            .map(|(file, thread)| (file.file_stem().unwrap().to_string_lossy().into_owned(), thread.join().unwrap()))
            .map(|(name, (rows, wrong))| (name, rows, wrong))
            .collect()
    });
    let told: Vec<String> = results
        .iter()
        .filter(|(.., wrong)| !wrong.is_empty())
        .map(|(name, rows, wrong)| format!("{name}: {} of {rows} differ\n{}", wrong.len(), wrong.join("\n")))
        .collect();
    assert!(told.is_empty(), "functions that differ from Helm's:\n{}", told.join("\n"));
}

/// `sprig.TxtFuncMap` v3.3.0 and the map of Helm's engine, without `env` and `expandenv`, and Go's builtins; taken from their
/// sources by script.
#[test]
fn no_function_is_missing() {
    let names = fs::read_to_string(fixtures().join("names.txt")).unwrap();
    let missing: Vec<&str> = names.lines().filter(|name| !super::exists(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

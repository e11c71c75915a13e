//! What `verify`, `inspect`, `diff` and `extract` print as JSON is what their schemas say: every member is known, and none that is promised is missing.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{
    sample,
    support::{Program, root},
};

/// Members of all objects in a schema.
fn known(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                found.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| known(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| known(item, found)),
        _ => {}
    }
}

/// Members of all objects in a document.
fn used(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::Object(members) => {
            found.extend(members.keys().cloned());
            members.values().for_each(|member| used(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| used(item, found)),
        _ => {}
    }
}

fn holds(name: &str, outcome: &Value) {
    let text = fs::read_to_string(root().join(format!("schemas/{name}.schema.json"))).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(outcome).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
    let (mut promised, mut found) = (BTreeSet::new(), BTreeSet::new());
    known(&schema, &mut promised);
    used(outcome, &mut found);
    let stray: Vec<&String> = found.difference(&promised).collect();
    assert!(stray.is_empty(), "{name}: {stray:?} are not in the schema");
    // And it can fail.
    for member in schema["required"].as_array().unwrap() {
        let mut less = outcome.clone();
        less.as_object_mut().unwrap().remove(member.as_str().unwrap()).unwrap();
        assert!(!validator.is_valid(&less), "{name} without {member}");
    }
}

#[test]
fn outcomes_are_what_their_schemas_say() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let program = Program::new(folder.path());
    sample::build_with_room("1.0", 2).write(&at("a.tar"), None);
    sample::build("1.1").write(&at("b.tar"), None);
    for name in ["one", "two"] {
        program.run(&["keygen", "-o", name]).ok();
        program.run(&["sign", "a.tar", "--add", "--key", &format!("{name}.key")]).ok();
    }
    let json = |arguments: &[&str]| program.run(&[arguments, &["--format", "json"]].concat());
    holds("verify", &json(&["verify", "a.tar", "--key", "one.pub", "--key", "two.pub"]).ok().json());
    holds("verify", &json(&["verify", "b.tar", "--allow-unsigned", "--deep"]).ok().json());
    for archive in ["a.tar", "b.tar"] {
        holds("inspect", &json(&["inspect", archive]).ok().json());
    }
    holds("diff", &json(&["diff", "a.tar", "b.tar"]).code(1).json());
    holds("diff", &json(&["diff", "a.tar", "a.tar"]).ok().json());
    holds("extract", &json(&["extract", "b.tar", "--allow-unsigned"]).ok().json());
    holds("extract", &json(&["extract", "b.tar", "--allow-unsigned", "--images", "oci", "-o", "oci"]).ok().json());
    for name in ["verify", "inspect", "diff", "extract"] {
        let kept = fs::read_to_string(root().join(format!("schemas/{name}.schema.json"))).unwrap();
        assert_eq!(program.run(&["schema", name]).ok().stdout, kept);
    }
}

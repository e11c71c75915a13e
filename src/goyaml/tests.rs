//! Against what Go's sigs.k8s.io/yaml said about the same cases (tests/fixtures/yaml).

use serde_json::{Value, json};

use super::*;

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Cases by hand, and cases by chance; expected is what Go's oracle printed for them.
fn cases() -> [(Value, Value); 2] {
    [
        (fixture(include_str!("../../tests/fixtures/yaml/cases.json")), fixture(include_str!("../../tests/fixtures/yaml/expected.json"))),
        (fixture(include_str!("../../tests/fixtures/yaml/generated.json")), fixture(include_str!("../../tests/fixtures/yaml/generated.expected.json"))),
    ]
}

/// Pairs of a case and what is expected of it.
fn pairs<'a>(cases: &'a [(Value, Value)], input: &'a str, expected: &'a str) -> impl Iterator<Item = (&'a Value, &'a str)> {
    let lists = cases.iter().map(move |(cases, wanted)| (cases[input].as_array().unwrap(), wanted[expected].as_array().unwrap()));
    lists.flat_map(|(cases, wanted)| cases.iter().zip(wanted)).map(|(case, wanted)| (case, wanted.as_str().unwrap()))
}

fn floats(mut value: Value) -> Value {
    number::all_floats(&mut value);
    value
}

#[test]
fn parses_as_go_does() {
    let mut wrong = Vec::new();
    for (text, want) in pairs(&cases(), "Parse", "parse") {
        let text = text.as_str().unwrap();
        match (parse(text), want.strip_prefix("ERR ")) {
            (Ok(value), None) if floats(value.clone()) == floats(fixture(want)) => {}
            (Err(error), Some(want)) if error.to_string() == want => {}
            (got, _) => wrong.push(format!("{text:?}: got {got:?}, want {want}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn emits_as_go_does() {
    let mut wrong = Vec::new();
    for (value, want) in pairs(&cases(), "Emit", "emit") {
        // The oracle read its cases into interface{}, where every number is a float.
        let got = emit(&floats(value.clone())).unwrap();
        if got != want {
            wrong.push(format!("{value}: got {got:?}, want {want:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pretty_indents_lists() {
    let value = json!({"b": [1, {"c": "y", "d": [1.5, 1_000_000.0]}], "a": "x\ty"});
    assert_eq!(emit_pretty(&value).unwrap(), "a: \"x\\ty\"\nb:\n  - 1\n  - c: \"y\"\n    d:\n      - 1.5\n      - 1e+06\n");
}

#[test]
fn spans_are_bytes_and_lines() {
    let text = "\u{feff}é: 'x'\nlist:\n- {a: 1}\n- |\n  z\n";
    let node = parse_nodes(text).unwrap();
    let value = node.get("é").unwrap();
    assert_eq!(&text[value.span.start..value.span.end], "'x'");
    assert_eq!((value.span.line, value.span.column), (1, 4));
    let inner = node.at("/list/0/a").unwrap();
    assert_eq!((&text[inner.span.start..inner.span.end], inner.span.line, inner.span.column), ("1", 3, 7));
    assert!(matches!(node.at("/list/1").unwrap().kind, NodeKind::Scalar { style: ScalarStyle::Literal, .. }));
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        let line = format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(","));
        bomb.push_str(&line);
    }
    assert_eq!(parse(&bomb).unwrap_err().to_string(), "yaml: document contains excessive aliasing");
    let deep = "[".repeat(5000);
    assert!(parse(&deep).is_err());
}

#[test]
fn values_are_floats() {
    assert_eq!(parse_values("a: 1\nb: [2]").unwrap(), json!({"a": 1.0, "b": [2.0]}));
}

#[test]
fn block_scalars_may_end_the_text() {
    for (text, want) in
        [("a: |\n  x", "x"), ("a: |\n  x\n", "x\n"), ("a: |-\n  x", "x"), ("a: |+\n  x\n\n  y", "x\n\ny"), ("a: >\n  x\n  y", "x y"), ("a: |\n  x\n ", "x\n")]
    {
        assert_eq!(parse(text), Ok(json!({"a": want})), "{text:?}");
    }
}

#[test]
fn keys_that_are_collections_are_named_as_go_writes_them() {
    for (text, want) in [
        ("a: {{ .Values.x }}\n", "yaml: invalid map key: map[interface {}]interface {}{\".Values.x\":interface {}(nil)}"),
        (
            "? [1, b, 1.5, true, {z: 1, y: \"q\\n\\\"\"}]\n: 2\n",
            "yaml: invalid map key: []interface {}{1, \"b\", 1.5, true, map[interface {}]interface {}{\"z\":1, true:\"q\\n\\\"\"}}",
        ),
        ("~: \n", "unsupported map key of type: %!s(<nil>), key: <nil>, value: <nil>"),
        ("~: a\n", "unsupported map key of type: %!s(<nil>), key: <nil>, value: \"a\""),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), want, "{text:?}");
    }
}

/// Found by fuzzing: the first byte of these is that of a byte order mark.
#[test]
fn texts_may_begin_with_full_width_characters() {
    for (text, line) in [("\u{ff01}a: 1\nb: 2\n", 1), ("\u{fffd}n: |\n  x", 1)] {
        let value = parse(text).unwrap();
        assert_eq!(value.as_object().map(|map| map.keys().all(|key| !key.starts_with('\u{feff}'))), Some(true), "{text}");
        let node = parse_nodes(text).unwrap();
        assert_eq!((node.span.start, node.span.line, node.span.column), (0, line, 1), "{text}");
        assert_eq!(parse(&emit(&value).unwrap()).unwrap(), value, "{text}");
    }
}

/// A public chart (greymatter's dashboard) ends a ConfigMap's text with a line of nothing but spaces, which belongs to the text where it is longer than
/// the indentation. What is wanted is what helm 3.22 made of these with `fromYaml`.
#[test]
fn a_last_line_of_spaces_is_content_if_it_is_longer_than_the_indentation() {
    let cases: Vec<(String, serde_json::Value)> = serde_json::from_str(include_str!("../../tests/fixtures/yaml/blank-ends.json")).unwrap();
    for (text, want) in &cases {
        assert_eq!(&parse(text).unwrap(), want, "{text:?}");
    }
    assert_eq!(cases.len(), 24);
}

/// Found by fuzzing. go-yaml v3 gives such a block no indentation indicator, and cannot read what it wrote; recorded from go.yaml.in/yaml/v3 3.0.4 and
/// sigs.k8s.io/yaml 1.6.
#[test]
fn lines_that_begin_with_a_tab_are_written_as_go_yaml_writes_them() {
    let value = |text: &str| serde_json::json!({ "a": text });
    for (text, v2, v3) in [
        ("\tfoo\nbar", "a: \"\\tfoo\\nbar\"\n", "a: |-\n  \tfoo\n  bar\n"),
        ("\n\tfoo\n", "a: \"\\n\\tfoo\\n\"\n", "a: |2\n\n  \tfoo\n"),
        (" \tx\ny", "a: \" \\tx\\ny\"\n", "a: |2-\n   \tx\n  y\n"),
        ("a\n\tb\n", "a: \"a\\n\\tb\\n\"\n", "a: |\n  a\n  \tb\n"),
    ] {
        assert_eq!((emit(&value(text)).unwrap().as_str(), emit_pretty(&value(text)).unwrap().as_str()), (v2, v3), "{text:?}");
    }
    let unread = parse("a: |-\n  \tfoo\n  bar\n").unwrap_err().to_string();
    assert_eq!(unread, "yaml: line 2: found a tab character where an indentation space is expected");
}

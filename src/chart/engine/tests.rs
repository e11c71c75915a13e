//! Expectations follow the behaviour of Go's text/template and of `helm template`; written by hand, not recorded.

use super::*;

fn render(text: &str) -> Result<String, String> {
    let values = serde_json::json!({"i": 3.0, "f": 1.5, "big": 1_000_000.0, "s": "héllo", "l": [1.0, 2.0, 3.0], "m": {"b": 2.0, "a": 1.0}, "n": null, "e": ""});
    let scope = Scope {
        values: values.as_object().cloned().unwrap_or_default(),
        base_path: "c/templates".into(),
        files: BTreeMap::from([("f".into(), "a\n\n".into())]),
        ..Scope::default()
    };
    let source = Source { name: "c/templates/x.yaml".into(), text: text.into(), scope: 0, execute: true };
    let program = Program {
        sources: vec![source],
        scopes: vec![scope],
        release: ReleaseInfo { name: "rel".into(), namespace: "ns".into(), revision: 1, is_install: true, is_upgrade: false },
        capabilities: Capabilities {
            kube_version: KubeVersion { version: "v1.34.0".into(), major: "1".into(), minor: "34".into() },
            api_versions: vec!["v1".into()],
            helm_version: "v3.22.0".into(),
        },
        dialect: Dialect::Helm3,
        budget: Budget::default(),
        lookup: None,
        parsed: None,
        leave_out_failures: false,
    };
    run(program).map(|mut out| out.remove("c/templates/x.yaml").unwrap_or_default()).map_err(|e| e.to_string())
}

#[test]
fn a_manifest_that_is_no_text_is_refused() {
    let wanted = "YAML parse error on c/templates/x.yaml: error converting YAML to JSON: yaml: invalid leading UTF-8 octet";
    assert_eq!(render("a: {{ \"/w==\" | b64dec }}"), Err(wanted.to_owned()));
    assert_eq!(render("a: {{ \"/w==\" | b64dec | b64enc }}"), Ok("a: /w==".to_owned()));
}

#[test]
fn output_is_gos() {
    let cases = [
        ("{{.Values.f}} {{.Values.i}} {{.Values.big}} {{.Values.m}} {{.Values.n}}|{{.Values.missing}}", "1.5 3 1e+06 map[a:1 b:2] |"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 5}}{{$x}}{{$y}}{{end}}{{$x}}", "252"),
        ("{{range $i, $e := .Values.l}}{{if eq $i 1}}{{continue}}{{end}}{{$i}}={{$e}},{{else}}none{{end}}", "0=1,2=3,"),
        ("{{range 3}}{{.}}{{end}}{{range $k, $v := .Values.m}}{{$k}}{{$v}}{{end}}", "012a1b2"),
        ("{{with .Values.e}}a{{else with .Values.s}}{{.}}{{end}}", "héllo"),
        ("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" 1}}{{include \"t\" \"x\" | upper}}", "<1><X>"),
        ("{{- $d := dict \"a\" 1 -}}{{- $_ := set $d \"b\" 2 -}} {{ $d }} {{- /* c */ -}} z", "map[a:1 b:2]z"),
        ("{{ printf \"%05.2f|%-6s|%+d|%q|%T\" 3.14159 \"ab\" 5 \"q\" .Values.i }}", "03.14|ab    |+5|\"q\"|float64"),
        ("{{ tpl \"{{ .Release.Name }}-{{ .Values.i }}\" . }} {{ .Template.Name }}", "rel-3 c/templates/x.yaml"),
        ("{{ and .Values.s .Values.i .Values.e }}|{{ or .Values.e 0 \"z\" }}|{{ .Values.e | default \"d\" | quote }}", "|z|\"d\""),
        ("{{ if semverCompare \">=1.19-0\" .Capabilities.KubeVersion.Version }}y{{ end }}{{ .Capabilities.APIVersions.Has \"v1\" }}", "ytrue"),
        ("{{ toYaml .Values.m | nindent 2 }}", "\n  a: 1\n  b: 2"),
        ("{{ $v := merge .Values }}{{ typeOf $v }} {{ dig \"m\" \"a\" 0 $v }}", "map[string]interface {} 1"),
        ("{{ (.Files.Glob \"*\").AsConfig | quote }}", "\"f: |+\\n  a\\n\""),
        ("{{ .Capabilities.HelmVersion }} {{ .Capabilities.HelmVersion | toYaml }}", "{v3.22.0   go1.26.8} go_version: go1.26.8\nversion: v3.22.0"),
        ("{{ add 1 2 }} {{ typeOf (add 1 2) }} {{ len .Values.l }} {{ (.Values.m).a }}", "3 int64 3 1"),
    ];
    for (template, wanted) in cases {
        assert_eq!(render(template).as_deref(), Ok(wanted), "{template}");
    }
}

#[test]
fn errors_are_gos() {
    let cases = [
        ("{{ if }}", "parse error at (c/templates/x.yaml:1): missing value for if"),
        ("{{ foo }}", "parse error at (c/templates/x.yaml:1): function \"foo\" not defined"),
        ("{{if true}}", "parse error at (c/templates/x.yaml:1): unexpected EOF"),
        ("{{ .Values.zz.b }}", "template: c/templates/x.yaml:1:10: executing \"c/templates/x.yaml\" at <.Values.zz.b>: nil pointer evaluating interface {}.b"),
        (
            "a\n  {{ eq .Values.i 3 }}",
            "template: c/templates/x.yaml:2:5: executing \"c/templates/x.yaml\" at <eq .Values.i 3>: error calling eq: incompatible types for comparison: float64 and int",
        ),
        ("a\n{{ required \"want it\" .Values.n }}", "execution error at (c/templates/x.yaml:2:3): want it"),
        ("{{ fail \"no\" }}", "execution error at (c/templates/x.yaml:1:3): no"),
    ];
    for (template, wanted) in cases {
        assert_eq!(render(template), Err(wanted.to_owned()), "{template}");
    }
}

#[test]
fn bombs_end() {
    let include = render("{{define \"a\"}}{{include \"a\" .}}{{end}}{{include \"a\" .}}");
    assert!(include.is_err_and(|e| e.contains("nested reference name")));
    assert!(render("{{ repeat 500000000 \"aaaa\" }}").is_err_and(|e| e.contains("bytes")));
    assert!(render("{{ tpl .Values.s . }}{{ $t := \"{{ tpl . . }}\" }}{{ tpl $t $t }}").is_err());
}

#[test]
fn values_without_end_are_errors() {
    let own = "{{ $d := dict }}{{ $_ := set $d \"self\" $d }}";
    let wide = "{{ $d := dict \"a\" 1 }}{{ range 40 }}{{ $d = dict \"a\" $d \"b\" $d }}{{ end }}";
    let deep = "{{ $l := list }}{{ range 50000 }}{{ $l = list $l }}{{ end }}{{ $d := dict }}{{ range 50000 }}{{ $d = dict \"a\" (list $d) }}{{ end }}";
    let uses = ["$d", "printf \"%v %#v %s\" $d $d $d", "mustToJson $d", "deepCopy $d", "quote $d", "toString $d", "cat $d \"x\"", "join \"\" (list $d)"];
    for tail in uses {
        let error = render(&format!("{own}{{{{ {tail} }}}}")).expect_err(tail);
        assert!(error.contains("nested more than"), "{tail}: {error}");
    }
    assert!(render(&format!("{wide}{{{{ mustToJson $d }}}}")).is_err_and(|e| e.contains("elements")));
    assert_eq!(render(&format!("{own}{{{{ toYaml $d }}}}|{{{{ toJson $d }}}}|{{{{ $_ := merge $d (deepCopy (dict)) }}}}")).as_deref(), Ok("||"));
    let other = "{{ $e := dict }}{{ $_ := set $e \"self\" $e }}";
    assert!(render(&format!("{own}{other}{{{{ deepEqual $d $e }}}}")).is_err_and(|e| e.contains("nested more than")));
    assert_eq!(render(&format!("{deep}ok")).as_deref(), Ok("ok"));
}

#[test]
fn nesting_of_texts_ends() {
    let cases = [("(", ")", 9_999, 10_001), ("{{ if 1 }}", "{{ end }}", 9_000, 20_000), ("{{ range 1 }}", "{{ end }}", 9_000, 20_000)];
    for (open, close, fits, too_deep) in cases {
        for depth in [fits, too_deep] {
            let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let text = if open == "(" { format!("{{{{ {body} }}}}") } else { body };
            let result = render(&text);
            assert!(result.is_ok() == (depth == fits), "{open} {depth}: {result:?}");
        }
    }
    for text in ["[", "{a: ", "- "] {
        assert!(render(&format!("{{{{ fromYaml {:?} }}}}", text.repeat(20_000))).is_ok(), "{text}");
    }
}

#[test]
fn chains_have_any_length() {
    let chain = format!("{{{{ if eq 1 0 }}}}x{}{{{{ else }}}}last{{{{ end }}}}", "{{ else if eq 1 2 }}y".repeat(20_000));
    assert_eq!(render(&chain).as_deref(), Ok("last"));
    let with = format!("{{{{ with \"\" }}}}x{}{{{{ end }}}}", "{{ else with \"\" }}y".repeat(20_000) + "{{ else with 7 }}{{ . }}");
    assert_eq!(render(&with).as_deref(), Ok("7"));
    assert_eq!(render(&format!("{{{{ 1{} }}}}", " | add 1".repeat(5_000))).as_deref(), Ok("5001"));
}

#[test]
fn nesting_of_templates_ends() {
    let error = render("{{define \"a\"}}{{if true}}{{range 1}}{{template \"a\" .}}{{end}}{{end}}{{end}}{{template \"a\" .}}").unwrap_err();
    assert!(error.ends_with("executing \"a\" at <{{template \"a\" .}}>: exceeded maximum template depth (100000)"), "{error}");
    let mutual = render("{{define \"a\"}}{{include \"b\" .}}{{end}}{{define \"b\"}}{{include \"a\" .}}{{end}}{{include \"a\" .}}").unwrap_err();
    assert!(mutual.contains("rendering template has a nested reference name: a: unable to execute template"), "{}", mutual.len());
    let counted =
        |n: usize| format!("{{{{define \"a\"}}}}{{{{if gt . 1}}}}{{{{include \"a\" (sub . 1 | int)}}}}{{{{end}}}}.{{{{end}}}}{{{{include \"a\" {n}}}}}");
    assert_eq!(render(&counted(1001)).map(|text| text.len()), Ok(1001));
    assert!(render(&counted(1002)).is_err());
    let text = "{{ $t := \"{{ tpl .t . }}\" }}{{ tpl $t (dict \"t\" $t) }}";
    let error = render(text).unwrap_err();
    assert!(error.starts_with("rendering c/templates/x.yaml was ended at gotpl:1:") && error.contains("its templates are nested"), "{error}");
}

//! What is wanted of the templates of small charts.

use super::*;
use crate::tree::FileTree;

fn chart(files: &[(&str, &str)]) -> Chart {
    let mut tree = FileTree::new();
    for (path, text) in files {
        tree.insert(path.parse().unwrap(), text.as_bytes().to_vec().into());
    }
    Chart::load(&tree).unwrap()
}

fn written(ways: &[Way]) -> Vec<String> {
    ways.iter().map(|way| way.wanted.iter().map(|(path, value)| format!("{}={value}", path.join("."))).collect::<Vec<_>>().join(",")).collect()
}

const VALUES: &str = "persistence: {enabled: true}\nvolumePermissions: {enabled: false, image: {repository: a/shell}}\nmode: single\nside: {live: false, image: a/side}\n\
    pool: {image: {repository: a/pool}}\nmetrics: {enabled: false, image: {repository: a/m}, jobs: {enabled: false}}\nold: {image: a/old}\nnew: {enabled: true}\n";

fn ask(template: &str, pointer: &str) -> Vec<String> {
    let helpers = "{{ define \"web.shell\" }}{{ include \"lib.image\" (dict \"root\" .Values.volumePermissions.image) }}{{ end }}\
        {{ define \"web.wantsShell\" }}{{ if and .Values.persistence.enabled .Values.volumePermissions.enabled }}true{{ end }}{{ end }}";
    let chart = chart(&[
        ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
        ("values.yaml", VALUES),
        ("templates/_helpers.tpl", helpers),
        ("templates/d.yaml", template),
    ]);
    written(&Reach::of(&chart, &Map::new(), &Parsed::default()).to_value("web/values.yaml", pointer))
}

#[test]
fn conditions_around_a_use() {
    for (template, pointer, want) in [
        ("{{ if .Values.side.live }}image: {{ .Values.side.image }}{{ end }}", "/side/image", vec!["side.live=true"]),
        ("{{ with .Values.side }}{{ if .live }}image: {{ .image }}{{ end }}{{ end }}", "/side/image", vec!["side.live=true"]),
        ("{{ with .Values.side }}{{ if $.Values.side.live }}image: {{ .image }}{{ end }}{{ end }}", "/side/image", vec!["side.live=true"]),
        ("{{ $s := .Values.side }}{{ if .Values.side.live }}image: {{ $s.image }}{{ end }}", "/side/image", vec!["side.live=true"]),
        ("{{ if eq .Values.mode \"cluster\" }}image: {{ .Values.pool.image.repository }}{{ end }}", "/pool/image", vec!["mode=\"cluster\""]),
        (
            "{{ if eq .Values.mode \"single\" }}x{{ else if eq .Values.mode \"cluster\" }}image: {{ .Values.pool.image.repository }}{{ end }}",
            "/pool/image",
            vec!["mode=\"cluster\""],
        ),
        ("{{ if .Values.new.enabled }}x{{ else }}image: {{ .Values.old.image }}{{ end }}", "/old/image", vec!["new.enabled=false"]),
        ("{{ if not .Values.new.enabled }}image: {{ .Values.old.image }}{{ end }}", "/old/image", vec!["new.enabled=false"]),
        (
            "{{ if and .Values.persistence.enabled .Values.volumePermissions.enabled }}image: {{ include \"web.shell\" . }}{{ end }}",
            "/volumePermissions/image",
            vec!["volumePermissions.enabled=true"],
        ),
        (
            "{{ if eq (include \"web.wantsShell\" .) \"true\" }}image: {{ include \"web.shell\" . }}{{ end }}",
            "/volumePermissions/image",
            vec!["volumePermissions.enabled=true"],
        ),
        ("{{ if include \"web.wantsShell\" . }}{{ template \"web.shell\" . }}{{ end }}", "/volumePermissions/image", vec!["volumePermissions.enabled=true"]),
        (
            "{{ if or .Values.side.live .Values.metrics.enabled }}{{ .Values.metrics.image.repository }}{{ end }}",
            "/metrics/image",
            vec!["metrics.enabled=true", "side.live=true"],
        ),
        ("{{ if .Values.side.live }}{{ if not .Values.side.live }}{{ .Values.old.image }}{{ end }}{{ end }}", "/old/image", vec![]),
        ("{{ .Values.old.image }}", "/old/image", vec![]),
    ] {
        assert_eq!(ask(template, pointer), want, "{template}");
    }
}

#[test]
fn subcharts_and_lines() {
    let chart = chart(&[
        (
            "Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: db, alias: store, version: 1.0.0, repository: '', condition: store.enabled}]\n",
        ),
        ("values.yaml", "store: {enabled: false}\n"),
        ("charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"),
        ("charts/db/values.yaml", "metrics: {live: false, image: a/m}\nglobal: {all: false}\n"),
        ("charts/db/templates/d.yaml", "{{ if .Values.metrics.live }}\n  x: {{ .Values.metrics.image }}\n  image: busybox\n{{ end }}\nplain: 1\n"),
    ]);
    let reach = Reach::of(&chart, &Map::new(), &Parsed::default());
    let want = ["store.enabled=true,store.metrics.live=true", "store.enabled=true"];
    assert_eq!(written(&reach.to_value("web/charts/store/values.yaml", "/metrics/image")), want);
    assert_eq!(written(&reach.to_line("web/charts/db/templates/d.yaml", 3)), ["store.enabled=true,store.metrics.live=true"]);
    assert_eq!(written(&reach.to_line("web/charts/db/templates/d.yaml", 5)), ["store.enabled=true"]);
}

#[test]
fn conditions_that_call_each_other_end() {
    let define = |n: usize| format!("{{{{ define \"d{n}\" }}}}{{{{ if include \"d{}\" . }}}}true{{{{ end }}}}{{{{ end }}}}", n + 1);
    let many = |n: usize| {
        let arms = format!("{{{{ else if include \"d{}\" . }}}}true", n + 1).repeat(12);
        format!("{{{{ define \"d{n}\" }}}}{{{{ if include \"d{}\" . }}}}false{arms}{{{{ end }}}}{{{{ end }}}}", n + 1)
    };
    let helpers: String = (0..40).map(|n| if n % 2 == 0 { many(n) } else { define(n) }).collect();
    let chart = chart(&[
        ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
        ("values.yaml", "image: a/b\n"),
        ("templates/_h.tpl", &helpers),
        ("templates/d.yaml", "{{ if include \"d0\" . }}{{ .Values.image }}{{ end }}"),
    ]);
    assert_eq!(written(&Reach::of(&chart, &Map::new(), &Parsed::default()).to_value("web/values.yaml", "/image")), Vec::<String>::new());
}

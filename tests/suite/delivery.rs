//! delivery.yaml: every mistake is found, all at once, each at its line and column.

use std::path::Path;

use offline::delivery::{AppSource, ChartSource, ImageEntry, parse};

const GOOD: &str = r#"
apiVersion: offline/v1
kind: Delivery
metadata: {name: shop, version: "1.0"}
spec:
  platforms: [linux/amd64, linux/arm64]
  registry: registry.shop.internal/mirror
  sources:
    docker.io: {mirror: mirror.corp/dockerhub, caFile: corp-ca.pem}
    registry.dev:5000: {plainHTTP: true}
  apps:
  - name: web
    dependsOn: [db]
    chart: {path: charts/web}
    values: [web.yaml]
    set: {auth.existingSecret: db, replicas: 2}
    profiles: [{name: ha, values: [ha.yaml]}]
    registryKeys: [global.imageRegistry]
    images: {include: [ghcr.io/acme/worker:2.1], exclude: ["*/tests:*"]}
  - name: db
    namespace: data
    manifests: [k8s/]
  images:
  - {ref: busybox}
  - {archive: vendor/tool.tar.gz}
  files: [{path: docs/runbook.pdf}]
"#;

#[test]
fn every_field_is_read() {
    let delivery = parse(Path::new("dir/delivery.yaml"), GOOD).unwrap();
    assert_eq!((delivery.name.as_str(), delivery.version.as_str()), ("shop", "1.0"));
    assert_eq!(delivery.spec.platforms.len(), 2);
    assert!(delivery.spec.sources["registry.dev:5000"].plain_http);
    assert_eq!(delivery.spec.sources["docker.io"].mirror.as_deref(), Some("mirror.corp/dockerhub"));
    let names: Vec<&str> = delivery.install_order().iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["db", "web"]);
    assert_eq!(delivery.spec.apps[0].source, AppSource::Chart(ChartSource::Path("charts/web".into())));
    assert_eq!(delivery.spec.apps[0].namespace, "default");
    assert_eq!(delivery.spec.images[0], ImageEntry::Ref("docker.io/library/busybox:latest".parse().unwrap()));
    assert_eq!(delivery.resolve(Path::new("x")), Path::new("dir/x"));
}

/// Line, column, and a part of the message.
type Place = (usize, usize, &'static str);

/// A change to the good file, and what must be said, with line and column.
#[test]
fn each_mistake_is_found_at_its_place() {
    let cases: &[(&str, &str, &[Place])] = &[
        ("platforms: [linux", "platfroms: [linux", &[(6, 3, "`spec` has no key `platfroms`")]),
        ("version: \"1.0\"", "version: 1.0", &[(4, 33, "`metadata.version` is the number 1.0; wanted a string")]),
        ("kind: Delivery", "kind: Deliver", &[(3, 7, "wanted Delivery")]),
        ("name: shop", "name: Shop", &[(4, 18, "does not match")]),
        ("linux/arm64]", "linux/arm64, linux]", &[(6, 41, "`linux` is not a platform")]),
        ("dependsOn: [db]", "dependsOn: [dbs]", &[(13, 17, "depends on `dbs`, which is no app")]),
        ("name: db\n    namespace", "name: web\n    namespace", &[(13, 17, "depends on `db`, which is no app"), (20, 11, "app `web` is there twice")]),
        ("namespace: data", "dependsOn: [web]", &[(13, 17, "in a circle: web → db → web"), (21, 17, "in a circle: db → web → db")]),
        ("{path: charts/web}", "{repo: 'https://charts.example'}", &[(14, 5, "`chart` with `repo` needs `name`")]),
        ("{path: charts/web}", "{repo: 'https://me:secret@charts.example', name: web}", &[(14, 19, "holds a user or a password")]),
        ("{path: charts/web}", "{repo: 'oci://charts.example', name: web}", &[(14, 19, "is no chart repository")]),
        ("{path: charts/web}", "{oci: charts/web}", &[(14, 18, "names no registry")]),
        ("{path: charts/web}", "{oci: 'r.example/web:1', version: '1'}", &[(14, 46, "`version` has no meaning")]),
        ("{path: charts/web}", "{path: charts/web, version: '1'}", &[(14, 40, "`version` has no meaning")]),
        ("{path: charts/web}", "{repo: '@corp', name: web, version: 15..2}", &[(14, 48, "`15..2` is neither a version nor a range")]),
        ("{path: charts/web}", "{oci: r.example/web, version: latest}", &[(14, 42, "`latest` is neither a version nor a range")]),
        ("{path: charts/web}", "{path: charts/web, keyring: ''}", &[(14, 40, "the path is empty")]),
        ("{path: charts/web}", "{path: charts/web, name: web}", &[(14, 37, "there is no `repo`")]),
        ("{path: charts/web}", "{path: charts/web, oci: r.example/web}", &[(14, 36, "both `path` and `oci`")]),
        ("{path: charts/web}", "{}", &[(14, 5, "`chart` needs `path`, `oci`, or `repo` with `name`")]),
        ("{path: charts/web}", "{path: /charts/web}", &[(14, 19, "`/charts/web` is absolute")]),
        ("{ref: busybox}", "{ref: Busybox}", &[(24, 11, "`Busybox` is not an image reference")]),
        ("{ref: busybox}", "{ref: busybox, tagPolicy: {regex: 'v('}}", &[(24, 39, "`v(` is no regular expression that can be used: unclosed group")]),
        ("{ref: busybox}", "{ref: busybox, tagPolicy: {regex: v, not: '*'}}", &[(24, 47, "`*` is no regular expression")]),
        ("{ref: busybox}", "{ref: busybox, tagPolicy: {regex: v, pick: latest}}", &[(24, 48, "wanted semver or newest or lexical")]),
        ("{ref: busybox}", "{ref: busybox, tagPolicy: {pick: newest}}", &[(24, 20, "`regex`")]),
        ("{ref: busybox}", "{ref: 'busybox:1', tagPolicy: {regex: v}}", &[(24, 11, "names a tag or a digest already, so `tagPolicy` has nothing to choose")]),
        ("{archive: vendor/tool.tar.gz}", "{archive: a.tar, tagPolicy: {regex: v}}", &[(25, 22, "`tagPolicy` has no meaning for an image archive")]),
        ("{path: charts/web}", "{path: charts/web, tagPolicy: {regex: v}}", &[(14, 31, "`tagPolicy` has no meaning for a chart at a path")]),
        ("{path: charts/web}", "{oci: 'r.example/web', version: '1', tagPolicy: {regex: v}}", &[(14, 49, "both `version` and `tagPolicy`")]),
        ("{path: charts/web}", "{oci: 'r.example/web:1', tagPolicy: {regex: v}}", &[(14, 37, "`tagPolicy` has no meaning")]),
        ("manifests: [k8s/]", "manifests: [k8s/]\n    chart: {path: x}", &[(22, 5, "both `chart` and `manifests`")]),
        ("  registry: registry.shop.internal/mirror", "  registry: 'registry.shop.internal:mirror'", &[(7, 13, "is no registry")]),
        ("set: {auth", "set: {auth.existingSecret: x, auth", &[(16, 35, "key `auth.existingSecret` is there twice")]),
        ("plainHTTP: true", "plainHTTP: 7", &[(10, 36, "`spec.sources.registry.dev:5000.plainHTTP` is the number 7; wanted true or false")]),
    ];
    for (from, to, wanted) in cases {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(&text, GOOD, "{from}");
        let error = parse(Path::new("delivery.yaml"), &text).expect_err(to);
        let found: Vec<_> = error.diagnostics.iter().map(|d| (d.line, d.column, d.message.as_str())).collect();
        assert_eq!(found.len(), wanted.len(), "{to}: {found:?}");
        for (found, (line, column, message)) in found.iter().zip(*wanted) {
            assert!(found.2.contains(message) && found.0 == *line && found.1 == *column, "{to}: wanted {line}:{column} {message}, found {found:?}");
        }
    }
}

#[test]
fn charts_come_from_paths_repositories_and_registries() {
    let read = |chart: &str| {
        let text = GOOD.replacen("{path: charts/web}", chart, 1);
        parse(Path::new("delivery.yaml"), &text).unwrap().spec.apps[0].source.clone()
    };
    let repository = |repository: &str, version: Option<&str>| {
        AppSource::Chart(ChartSource::Repository { repository: repository.into(), name: "web".into(), version: version.map(Into::into) })
    };
    assert_eq!(read("{repo: 'https://charts.example/stable', name: web, version: ~15.2}"), repository("https://charts.example/stable", Some("~15.2")));
    assert_eq!(read("{repo: '@corp', name: web}"), repository("@corp", None));
    let registry = |chart: &str| AppSource::Chart(ChartSource::Registry { chart: chart.into(), version: None });
    assert_eq!(read("{oci: 'oci://r.example:5000/charts/web'}"), registry("oci://r.example:5000/charts/web"));
    assert_eq!(read("{oci: 'r.example/web:1.0.0'}"), registry("oci://r.example/web:1.0.0"));
}

#[test]
fn all_mistakes_at_once() {
    let text = GOOD.replace("busybox", "Busybox").replace("linux/amd64", "linux").replace("dependsOn: [db]", "dependsOn: [nobody]");
    let error = parse(Path::new("delivery.yaml"), &text).unwrap_err();
    assert_eq!(error.diagnostics.len(), 3, "{error}");
    assert!(error.to_string().starts_with("delivery.yaml:6:"), "{error}");
}

#[test]
fn yaml_1_1_words_are_names_except_in_values() {
    let text = GOOD.replace("namespace: data", "namespace: n").replace("replicas: 2", "on: yes");
    let delivery = parse(Path::new("delivery.yaml"), &text).unwrap();
    assert_eq!(delivery.spec.apps[1].namespace, "n");
    assert_eq!(delivery.spec.apps[0].set["true"], serde_json::json!(true));
}

#[test]
fn wrong_yaml_has_a_line() {
    for (text, line) in [("a: [1\nb: 2\n", 2), ("a: b: c\n", 1), ("\ta: 1\n", 1), ("", 1), ("# nothing\n", 1), ("- a\n", 1)] {
        let error = parse(Path::new("delivery.yaml"), text).expect_err(text);
        assert!(error.diagnostics[0].line >= 1 && error.diagnostics[0].line <= line + 1, "{text:?}: {error}");
    }
}

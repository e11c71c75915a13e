//! Templates against what Helm v3.22's own engine made of them (tests/fixtures/gotmpl).

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Fixture {
    values: String,
    files: BTreeMap<String, String>,
    partial: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    output: Option<String>,
    error: Option<String>,
}

/// The chart that the recording program used.
fn chart() -> Value {
    serde_json::json!({
        "Name": "c", "Home": "", "Sources": [], "Version": "1.2.3", "Description": "", "Keywords": ["k1", "k2"],
        "Maintainers": [{"Name": "m", "Email": "e", "URL": ""}], "Icon": "", "APIVersion": "v2", "Condition": "", "Tags": "", "AppVersion": "4.5",
        "Deprecated": false, "Annotations": {"a": "b"}, "KubeVersion": "",
        "Dependencies": [{"Name": "d", "Version": "1", "Repository": "", "Condition": "", "Tags": [], "Enabled": false, "ImportValues": [], "Alias": ""}],
        "Type": "application", "IsRoot": true,
    })
}

fn program(fixture: &Fixture, template: &str) -> Program {
    let values = crate::goyaml::parse_values(&fixture.values).unwrap();
    let files = fixture.files.iter().map(|(name, text)| (name.clone(), Bytes::from(text.clone()))).collect();
    let scope = Scope { values: values.as_object().cloned().unwrap(), chart: chart(), files, base_path: "c/templates".into(), subcharts: BTreeMap::new() };
    let source = |name: &str, text: &str, execute| Source { name: format!("c/templates/{name}"), text: text.into(), scope: 0, execute };
    Program {
        sources: vec![source("x.yaml", template, true), source("_p.tpl", &fixture.partial, false)],
        scopes: vec![scope],
        release: ReleaseInfo { name: "rel".into(), namespace: "ns".into(), revision: 1, is_install: true, is_upgrade: false },
        capabilities: Capabilities {
            kube_version: KubeVersion { version: "v1.34.0".into(), major: "1".into(), minor: "34".into() },
            api_versions: vec!["v1".into(), "apps/v1".into()],
            helm_version: "v3.22.0".into(),
        },
        dialect: Dialect::Helm3,
        budget: Budget::default(),
        lookup: None,
        parsed: None,
        leave_out_failures: false,
    }
}

#[test]
fn templates_give_what_helm_recorded() {
    let fixture: Fixture = serde_json::from_str(include_str!("../../../tests/fixtures/gotmpl/cases.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &fixture.cases {
        let result = run(program(&fixture, &case.template)).map(|mut out| out.remove("c/templates/x.yaml").unwrap_or_default());
        let (ours, wanted) = match (&result, &case.output, &case.error) {
            (Ok(output), Some(wanted), _) if output == wanted => continue,
            // The recording program left out the version of Go, which Helm never does.
            (Err(error), _, Some(wanted)) if error.to_string() == wanted.replace("{v3.22.0   }", "{v3.22.0   go1.26.8}") => continue,
            (result, output, error) => (format!("{result:?}"), format!("{:?}", output.as_ref().ok_or(error))),
        };
        wrong.push(format!("{} {:?}\n  ours {ours}\n  helm {wanted}", case.name, case.template));
    }
    assert!(wrong.is_empty(), "{} of {} templates differ:\n{}", wrong.len(), fixture.cases.len(), wrong.join("\n"));
}

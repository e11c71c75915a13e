//! The certificates that templates make, as openssl sees them.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use offline::chart::engine::{self, Budget, Capabilities, Dialect, KubeVersion, Program, ReleaseInfo, Scope, Source};

/// Each value on a line of its own, in base64: `name=…`.
const TEMPLATE: &str = r#"
{{- $ca := genCA "my-ca" 365 -}}
{{- $signed := genSignedCert "svc" (list "10.1.2.3" "::1") (list "svc.ns" "*.svc.ns") 30 $ca -}}
{{- $built := buildCustomCert ($ca.Cert | b64enc) ($ca.Key | b64enc) -}}
{{- $second := genSignedCert "again" nil (list "again.ns") 10 $built -}}
{{- $self := genSelfSignedCert "self" nil (list "self.ns") 20 -}}
{{- $curve := genCAWithKey "curve-ca" 100 (genPrivateKey "ecdsa") -}}
{{- $leaf := genSignedCertWithKey "leaf" nil (list "leaf.ns") 5 $curve (genPrivateKey "ed25519") -}}
{{- range $name, $cert := dict "ca" $ca "signed" $signed "built" $built "second" $second "self" $self "curve" $curve "leaf" $leaf -}}
{{ $name }}.pem={{ $cert.Cert | b64enc }}
{{ $name }}.key={{ $cert.Key | b64enc }}
{{ end -}}
rsa.key={{ genPrivateKey "rsa" | b64enc }}
"#;

fn render() -> BTreeMap<String, Vec<u8>> {
    use base64::Engine as _;
    let program = Program {
        sources: vec![Source { name: "c/templates/t.yaml".into(), text: TEMPLATE.into(), scope: 0, execute: true }],
        scopes: vec![Scope { chart: serde_json::json!({"Name": "c"}), base_path: "c/templates".into(), ..Scope::default() }],
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
    let text = engine::run(program).unwrap().remove("c/templates/t.yaml").unwrap();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), base64::engine::general_purpose::STANDARD.decode(value).unwrap())).collect()
}

fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl").current_dir(folder).args(arguments).output().unwrap()
}

/// What openssl prints; it must succeed.
fn shown(folder: &Path, arguments: &[&str]) -> String {
    let output = openssl(folder, arguments);
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn certificates_of_templates_stand_up_to_openssl() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: certificates_of_templates_stand_up_to_openssl: there is no openssl on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let files = render();
    for (name, content) in &files {
        fs::write(folder.join(name), content).unwrap();
    }
    assert_eq!(files["ca.pem"], files["built.pem"], "buildCustomCert gives what it took");
    assert_eq!(files["ca.key"], files["built.key"]);
    let chains = [("ca", "ca"), ("ca", "signed"), ("ca", "second"), ("self", "self"), ("curve", "leaf")];
    for (ca, leaf) in chains {
        assert!(shown(folder, &["verify", "-x509_strict", "-CAfile", &format!("{ca}.pem"), &format!("{leaf}.pem")]).ends_with(": OK\n"), "{leaf}");
    }
    assert!(!openssl(folder, &["verify", "-CAfile", "ca.pem", "leaf.pem"]).status.success(), "a chain of another authority");
    for name in ["ca", "signed", "second", "self", "curve", "leaf"] {
        let of_certificate = shown(folder, &["x509", "-in", &format!("{name}.pem"), "-noout", "-pubkey"]);
        let of_key = shown(folder, &["pkey", "-in", &format!("{name}.key"), "-pubout"]);
        assert_eq!(of_certificate, of_key, "{name}");
    }
    for (name, bits) in [("ca", 2048), ("signed", 2048), ("self", 2048), ("rsa", 4096)] {
        let said = shown(folder, &["rsa", "-in", &format!("{name}.key"), "-check", "-noout", "-text"]);
        assert!(said.contains("RSA key ok") && said.contains(&format!("Private-Key: ({bits} bit, 2 primes)")), "{name}: {said}");
    }
    for (name, days) in [("ca", 365), ("signed", 30), ("second", 10), ("self", 20), ("curve", 100), ("leaf", 5)] {
        let ends = |seconds: i64| openssl(folder, &["x509", "-in", &format!("{name}.pem"), "-noout", "-checkend", &seconds.to_string()]).status.success();
        assert!(ends(days * 86_400 - 600) && !ends(days * 86_400 + 600), "{name} ends after {days} days");
    }
    let names = shown(folder, &["x509", "-in", "signed.pem", "-noout", "-ext", "subjectAltName,basicConstraints,extendedKeyUsage"]);
    for wanted in ["DNS:svc.ns, DNS:*.svc.ns, IP Address:10.1.2.3, IP Address:0:0:0:0:0:0:0:1", "CA:FALSE", "TLS Web Server Authentication"] {
        assert!(names.contains(wanted), "{wanted} in {names}");
    }
    let subject = shown(folder, &["x509", "-in", "signed.pem", "-noout", "-subject", "-issuer", "-nameopt", "RFC2253"]);
    assert_eq!(subject, "subject=CN=svc\nissuer=CN=my-ca\n");
}

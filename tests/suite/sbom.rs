//! Bills of materials: the same archive gives the same document, everything in it is there, and all that is referred to exists.

use std::{collections::BTreeSet, process::Command};

use offline::{
    archive::{self, Trust},
    oci::Digest,
    progress::Silent,
};
use serde_json::{Value, json};

use crate::{
    extracting::{Odd, Product},
    interop::tool,
    support::{Program, finish},
};

fn bill(program: &Program, archive: &str, format: &str) -> Value {
    program.run(&["inspect", archive, "--format", format]).ok().json()
}

fn texts<'a>(items: &'a Value, key: &str) -> Vec<&'a str> {
    items.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap()).collect()
}

/// Validates with other people's programs, where `tests/lab/build.sh sbom` has installed them.
fn validated(folder: &std::path::Path, spdx: &Value, cyclonedx: &Value) {
    let Some(python) = tool("sbom-python") else { return };
    let check = r"
import json, sys
from cyclonedx.validation.json import JsonStrictValidator
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
found = [str(m) for m in validate_full_spdx_document(parse_file('bill.spdx.json'))]
text = open('bill.cdx.json').read()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error: found.append(str(error))
def purls(c):
    for one in c:
        if 'purl' in one and PackageURL.from_string(one['purl']).to_string() != one['purl']: found.append(one['purl'])
        purls(one.get('components', []))
purls(json.loads(text)['components'])
print('\n'.join(found)); sys.exit(1 if found else 0)
";
    std::fs::write(folder.join("bill.spdx.json"), spdx.to_string()).unwrap();
    std::fs::write(folder.join("bill.cdx.json"), cyclonedx.to_string()).unwrap();
    let told = finish(Command::new(&python).args(["-c", check]).current_dir(folder));
    assert_eq!(told.code, 0, "{}{}", told.stdout, told.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_the_archive_holds_is_listed() {
    let product = Product::new().await;
    let program = Program::new(&product.path(""));
    let (spdx, cyclonedx) = (bill(&program, "a.tar", "spdx-json"), bill(&program, "a.tar", "cyclonedx-json"));
    validated(&product.path(""), &spdx, &cyclonedx);
    let archive = archive::open(&product.path("a.tar")).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap();
    let digests: BTreeSet<String> = texts(&spdx["packages"], "SPDXID")
        .iter()
        .enumerate()
        .filter_map(|(at, _)| spdx["packages"][at]["checksums"][0]["checksumValue"].as_str().map(str::to_owned))
        .collect();
    let of_bom: BTreeSet<String> =
        cyclonedx["components"].as_array().unwrap().iter().filter_map(|c| c["hashes"][0]["content"].as_str().map(str::to_owned)).collect();
    let images = archive.images().iter().map(|(_, image)| &image.digest);
    let files = archive.files().iter().map(|(_, file)| &file.digest);
    let packages = archive.charts().iter().map(|chart| &chart.package.digest).chain(archive.manifests().iter().map(|m| &m.package.digest));
    for digest in images.chain(files).chain(packages).chain(archive.agents().iter().map(|agent| &agent.agent.digest)) {
        assert!(digests.contains(digest.hex()) && of_bom.contains(digest.hex()), "{digest}");
    }
    let refs = texts(&cyclonedx["components"], "bom-ref");
    for wanted in ["app/glue", "app/web", "chart/web-1.2.3+build.4", "manifests/glue", "image/r.dev/app:1.0", "file/docs/runbook.txt", "agent/linux/amd64"] {
        assert!(refs.contains(&wanted), "{wanted} in {refs:?}");
    }
    let needs = |of: &str| {
        let all = cyclonedx["dependencies"].as_array().unwrap();
        all.iter().find(|dependency| dependency["ref"] == of).unwrap()["dependsOn"].clone()
    };
    assert_eq!(needs("app/web"), json!(["chart/web-1.2.3+build.4", "image/r.dev/app:1.0"]));
    assert_eq!(needs("app/glue"), json!(["app/web", "image/r.dev/side:1", "manifests/glue"]));
    let purl = format!("pkg:oci/app@{}?arch=amd64&repository_url=r.dev/app&tag=1.0", archive.image(&"r.dev/app:1.0".parse().unwrap()).unwrap().digest);
    let image = cyclonedx["components"].as_array().unwrap().iter().find(|c| c["bom-ref"] == "image/r.dev/app:1.0").unwrap();
    assert_eq!((&image["purl"], &image["type"], &image["version"]), (&json!(purl), &json!("container"), &json!("1.0")));
    // Nobody's images say when they were made, and nobody said a time.
    assert_eq!((&spdx["creationInfo"]["created"], &cyclonedx["metadata"]["timestamp"]), (&json!("1970-01-01T00:00:00Z"), &Value::Null));
}

#[test]
fn relations_lead_somewhere_and_names_are_unique() {
    let folder = tempfile::tempdir().unwrap();
    // Names that are one once everything but letters and digits is a dash.
    Odd { files: &["a b", "a-b", "a_b", "ü", "delivery.yaml"], ..Odd::default() }.write(&folder.path().join("a.tar"));
    let program = Program::new(folder.path());
    let (spdx, cyclonedx) = (bill(&program, "a.tar", "spdx-json"), bill(&program, "a.tar", "cyclonedx-json"));
    validated(folder.path(), &spdx, &cyclonedx);
    let ids = texts(&spdx["packages"], "SPDXID");
    let unique: BTreeSet<&str> = ids.iter().copied().chain(["SPDXRef-DOCUMENT"]).collect();
    assert_eq!(unique.len(), ids.len() + 1);
    for id in &ids {
        assert!(id.strip_prefix("SPDXRef-").unwrap().chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)), "{id}");
    }
    for end in ["spdxElementId", "relatedSpdxElement"] {
        assert!(texts(&spdx["relationships"], end).iter().all(|id| unique.contains(id)), "{end}");
    }
    // An image for two platforms: each of them is a variant.
    let kinds = texts(&spdx["relationships"], "relationshipType");
    let count = |kind: &str| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((count("DESCRIBES"), count("VARIANT_OF")), (1, 2));
    let image = cyclonedx["components"].as_array().unwrap().iter().find(|c| c["type"] == "container").unwrap();
    let archs: Vec<bool> = texts(&image["components"], "purl").iter().map(|purl| purl.contains("?arch=amd64&") || purl.contains("?arch=arm64&")).collect();
    assert_eq!(archs, [true, true]);
    assert!(!image["purl"].as_str().unwrap().contains("arch="), "an index is of no architecture");
    // The newest time that an image bears, in UTC; no time is none.
    assert_eq!((&spdx["creationInfo"]["created"], &cyclonedx["metadata"]["timestamp"]), (&json!("2024-02-03T03:05:06Z"), &json!("2024-02-03T03:05:06Z")));
}

#[test]
fn the_same_archive_gives_the_same_document_and_another_gives_another() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.tar");
    Odd::default().write(&archive);
    let other = folder.path().join("b.tar");
    Odd { files: &["delivery.yaml", "more"], ..Odd::default() }.write(&other);
    let program = Program::new(folder.path());
    for (format, name) in [("spdx-json", "documentNamespace"), ("cyclonedx-json", "serialNumber")] {
        let text = |archive: &str| program.run(&["inspect", archive, "--format", format]).ok().stdout;
        assert_eq!(text("a.tar"), text("a.tar"));
        std::fs::copy(&archive, folder.path().join("moved.tar")).unwrap();
        assert_eq!(text("a.tar"), text("moved.tar"), "where it lies is no matter");
        assert_ne!(bill(&program, "a.tar", format)[name], bill(&program, "b.tar", format)[name]);
        let dated = Program::new(folder.path()).env("SOURCE_DATE_EPOCH", "1700000000").run(&["inspect", "a.tar", "--format", format]).ok();
        assert!(dated.stdout.contains("\"2023-11-14T22:13:20Z\""), "{}", dated.stdout);
        Program::new(folder.path()).env("SOURCE_DATE_EPOCH", "now").run(&["inspect", "a.tar", "--format", format]).code(2).says("SOURCE_DATE_EPOCH is `now`");
    }
    let spdx = bill(&program, "a.tar", "spdx-json");
    let index = Digest::of(archive::open(&archive).unwrap().verify(&Trust::AllowUnsigned, &Silent).unwrap().index_json());
    assert!(spdx["documentNamespace"].as_str().unwrap().ends_with(index.hex()), "{spdx}");
    // A bill goes beside the page, and a signature is still asked for where a key is given.
    program.run(&["inspect", "a.tar", "--format", "spdx-json", "--report", "r.html"]).ok().json();
    assert!(folder.path().join("r.html").exists());
    program.run(&["keygen", "-o", "k"]).ok();
    program.run(&["inspect", "a.tar", "--format", "spdx-json", "--key", "k.pub"]).code(3);
}

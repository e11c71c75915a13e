//! SPDX 2.3 as JSON (spdx-spec v2.3, schemas/spdx-schema.json).

use serde_json::{Value, json};

use super::model::{Bill, Thing, What};
use crate::oci::Digest;

/// Where names of documents begin. A namespace need not lead anywhere (clause 6.5).
const NAMESPACE: &str = "https://offline.dev/spdx";

/// The document.
pub(super) fn document(bill: &Bill) -> Value {
    let delivery = &bill.delivery;
    let name = format!("{}-{}", delivery.name, delivery.version.as_deref().unwrap_or_default());
    let mut packages = vec![package(delivery)];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", &id(delivery))];
    for thing in &bill.things {
        packages.push(package(thing));
        relations.push(relation(&id(delivery), "CONTAINS", &id(thing)));
        for inner in &thing.inside {
            packages.push(package(inner));
            relations.push(match thing.what {
                What::Image => relation(&id(inner), "VARIANT_OF", &id(thing)),
                _ => relation(&id(thing), "CONTAINS", &id(inner)),
            });
        }
    }
    for (who, whom) in &bill.needs {
        relations.push(relation(&id_of(who), "DEPENDS_ON", &id_of(whom)));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("{NAMESPACE}/{}-{}", words(&name), bill.index.hex()),
        "creationInfo": {
            // It must be there (clause 6.9), and nothing else here has a time.
            "created": stamp(bill.created.unwrap_or(jiff::Timestamp::UNIX_EPOCH)),
            "creators": [format!("Tool: kubectl-offline-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relations,
    })
}

/// A time as SPDX and CycloneDX have it, to the second.
pub(super) fn stamp(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn package(thing: &Thing) -> Value {
    let purpose = match thing.what {
        What::Delivery => "ARCHIVE",
        What::App | What::Chart | What::Agent => "APPLICATION",
        What::Image => "CONTAINER",
        What::Manifests | What::File => "FILE",
    };
    let mut package = json!({
        "SPDXID": id(thing),
        "name": thing.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "supplier": "NOASSERTION",
        "primaryPackagePurpose": purpose,
    });
    if let Some(version) = &thing.version {
        package["versionInfo"] = json!(version);
    }
    if let Some(digest) = &thing.digest {
        package["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": digest.hex()}]);
    }
    if let Some(purl) = &thing.purl {
        package["externalRefs"] = json!([{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]);
    }
    if let Some(created) = thing.created {
        package["builtDate"] = json!(stamp(created));
    }
    if let Some((_, source)) = thing.facts.iter().find(|(name, _)| *name == "source") {
        package["sourceInfo"] = json!(format!("chart of {source}"));
    }
    if !thing.facts.is_empty() {
        package["comment"] = json!(thing.facts.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n"));
    }
    package
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn id(thing: &Thing) -> String {
    id_of(&thing.key)
}

/// Letters, digits, `.` and `-` (clause 7.2). As that makes one of many names, a piece of the name's digest makes it two again.
fn id_of(key: &str) -> String {
    format!("SPDXRef-{}-{}", words(key), Digest::of(key.as_bytes()).short())
}

fn words(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' }).collect()
}

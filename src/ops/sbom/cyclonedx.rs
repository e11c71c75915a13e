//! CycloneDX 1.6 as JSON (ECMA-424; CycloneDX/specification, schema/bom-1.6.schema.json).

use serde_json::{Value, json};

use super::{
    model::{Bill, Thing, What},
    spdx::stamp,
};
use crate::oci::Digest;

/// How names of properties begin (CycloneDX/cyclonedx-property-taxonomy).
const PREFIX: &str = "dev.offline";

/// The document.
pub(super) fn document(bill: &Bill) -> Value {
    let keys = bill.things.iter().map(|thing| thing.key.as_str());
    let mut dependencies = vec![json!({"ref": bill.delivery.key, "dependsOn": keys.clone().collect::<Vec<_>>()})];
    for key in keys {
        let needs: Vec<&str> = bill.needs.iter().filter(|(who, _)| who == key).map(|(_, whom)| whom.as_str()).collect();
        dependencies.push(json!({"ref": key, "dependsOn": needs}));
    }
    let mut metadata = json!({
        "tools": {"components": [{"type": "application", "name": "kubectl-offline", "version": env!("CARGO_PKG_VERSION")}]},
        "component": component(&bill.delivery),
    });
    if let Some(created) = bill.created {
        metadata["timestamp"] = json!(stamp(created));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&bill.index)),
        "version": 1,
        "metadata": metadata,
        "components": bill.things.iter().map(component).collect::<Vec<_>>(),
        "dependencies": dependencies,
    })
}

/// A UUID that follows from the archive: version 8, of one's own making (RFC 9562, section 5.8).
fn uuid(index: &Digest) -> String {
    let hex = Digest::of(format!("cyclonedx {index}").as_bytes()).hex().to_owned();
    format!("{}-{}-8{}-9{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

fn component(thing: &Thing) -> Value {
    let kind = match thing.what {
        What::Delivery | What::App | What::Chart | What::Agent => "application",
        What::Image => "container",
        What::Manifests | What::File => "file",
    };
    let mut component = json!({"type": kind, "bom-ref": thing.key, "name": thing.name});
    if let Some(version) = &thing.version {
        component["version"] = json!(version);
    }
    if let Some(digest) = &thing.digest {
        component["hashes"] = json!([{"alg": "SHA-256", "content": digest.hex()}]);
    }
    if let Some(purl) = &thing.purl {
        component["purl"] = json!(purl);
    }
    let mut properties: Vec<Value> = thing.facts.iter().map(|(name, value)| json!({"name": format!("{PREFIX}:{name}"), "value": value})).collect();
    properties.extend(thing.created.map(|created| json!({"name": format!("{PREFIX}:created"), "value": stamp(created)})));
    if !properties.is_empty() {
        component["properties"] = json!(properties);
    }
    if !thing.inside.is_empty() {
        component["components"] = json!(thing.inside.iter().map(self::component).collect::<Vec<_>>());
    }
    component
}

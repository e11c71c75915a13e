//! Moving an object from Helm 3's way of writing (create and patch) to server-side apply, by its managed fields.
//!
//! Without it, fields that Helm 3 wrote would belong to its `Update` entry for ever, and an apply that leaves them out would not remove
//! them. The rule is client-go's util/csaupgrade, which Helm 4 uses too.

use serde_json::{Map, Value, json};

/// The field manager of Helm 3 and 4, and ours.
pub(super) const MANAGER: &str = "helm";

/// The patch that hands the fields of `helm`'s updates over to its apply; none where there is nothing to hand over.
pub(super) fn migration(live: &Value) -> Option<Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let of_helm = |entry: &&Value, operation: &str| {
        entry["manager"] == MANAGER && entry["operation"] == operation && entry.get("subresource").and_then(Value::as_str).unwrap_or_default().is_empty()
    };
    let api_version = entries.iter().find(|e| of_helm(e, "Apply")).or_else(|| entries.iter().find(|e| of_helm(e, "Update")))?.get("apiVersion")?.clone();
    let moves = |entry: &&Value| of_helm(entry, "Update") && entry["apiVersion"] == api_version;
    if !entries.iter().any(|e| moves(&e)) {
        return None;
    }
    let ours = |entry: &&Value| moves(entry) || (of_helm(entry, "Apply") && entry["apiVersion"] == api_version);
    let mut fields = Map::new();
    for entry in entries.iter().filter(ours) {
        if let Some(Value::Object(more)) = entry.get("fieldsV1") {
            unite(&mut fields, more);
        }
    }
    let kept = entries.iter().filter(|e| !ours(e)).cloned();
    let united = json!({"manager": MANAGER, "operation": "Apply", "apiVersion": api_version, "fieldsType": "FieldsV1", "fieldsV1": fields});
    let all: Vec<Value> = std::iter::once(united).chain(kept).collect();
    Some(json!({"metadata": {"managedFields": all, "resourceVersion": live.pointer("/metadata/resourceVersion")}}))
}

fn unite(into: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        match (into.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => unite(old, new),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_of_helm_become_its_apply() {
        let live = json!({"metadata": {"resourceVersion": "7", "managedFields": [
            {"manager": "helm", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:a": {}, ".": {}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:status": {}}},
            {"manager": "helm", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:b": {}}}},
        ]}});
        let patch = migration(&live).unwrap();
        let entries = patch["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0]["operation"], "Apply");
        assert_eq!(entries[0]["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}, ".": {}}}));
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let migrated = json!({"metadata": {"managedFields": entries}});
        assert_eq!(migration(&migrated), None);
        assert_eq!(migration(&json!({"metadata": {}})), None);
    }
}

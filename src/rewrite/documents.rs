//! Rewriting the documents themselves, and proving that every image they name is in the archive.

use serde_json::Value;

use super::{Plan, RewriteError, Slot};
use crate::{
    goyaml,
    objects::{self, Edits, ImageSlot, SlotKind, edit},
    oci::Reference,
};

/// Where a document comes from, for errors.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its template.
    pub template: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
}

impl Place<'_> {
    fn object(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    fn unusable(&self, reason: &dyn std::fmt::Display) -> RewriteError {
        RewriteError::Document { object: self.object(), template: self.template.to_owned(), reason: reason.to_string() }
    }
}

/// The images that a document names for certain, each with its place.
pub fn slots(place: Place<'_>, text: &str) -> Result<Vec<Slot>, RewriteError> {
    let value = goyaml::parse(text).map_err(|e| place.unusable(&e))?;
    let prefix = format!("{} {}", place.template, place.object());
    let sure = objects::image_slots(&value).into_iter().filter(|slot| slot.doubt.is_none());
    Ok(sure.map(|slot| Slot { place: format!("{prefix} {}", slot.pointer), image: slot.image }).collect())
}

/// Gives every image of a document its planned name, and every container that runs a packed image a pull policy that works without a
/// registry. Fails on an image that did not travel; what only looks like an image is renamed if it did. What needs no change stays byte
/// for byte.
pub fn rewrite(plan: &Plan, place: Place<'_>, text: &str) -> Result<String, RewriteError> {
    let mut value = goyaml::parse(text).map_err(|e| place.unusable(&e))?;
    let edits = edits(plan, place, &value)?;
    if edits.is_empty() {
        return Ok(text.to_owned());
    }
    let (replaced, added) = edits.resolve(&value);
    if added.is_empty() {
        return edit::replace(text, &replaced).map_err(|e| place.unusable(&e));
    }
    // A key that is not there cannot be replaced: the document is written anew, as `toYaml` would.
    put(&mut value, replaced);
    for (pointer, new) in added {
        let Some((owner, key)) = pointer.rsplit_once('/') else { continue };
        if let Some(Value::Object(owner)) = value.pointer_mut(owner) {
            owner.insert(key.to_owned(), Value::String(new));
        }
    }
    goyaml::emit(&value).map_err(|e| place.unusable(&e))
}

/// Gives every image of an object that is no text any more its planned name. For definitions, which run nothing themselves.
pub fn rewrite_value(plan: &Plan, template: &str, value: &mut Value) -> Result<(), RewriteError> {
    let text = |at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let place = Place { template, kind: &kind, name: &name };
    put(value, edits(plan, place, value)?.resolve(value).0);
    Ok(())
}

/// New names and pull policies of a document.
fn edits(plan: &Plan, place: Place<'_>, value: &Value) -> Result<Edits, RewriteError> {
    let mut edits = Edits::new();
    for slot in objects::image_slots(value) {
        let Some(name) = new_name(plan, place, &slot)? else { continue };
        if slot.image.parse().ok().as_ref() != Some(&name) {
            edits.rename(&slot, &name.to_string());
        }
        let Some(policy) = policy_of(&slot) else { continue };
        match value.pointer(&policy).and_then(Value::as_str) {
            Some("Always") => edits.replace(policy, IF_NOT_PRESENT.to_owned()),
            None | Some("") if defaults_to_always(&name) => edits.add(policy, IF_NOT_PRESENT.to_owned()),
            _ => {}
        }
    }
    Ok(edits)
}

/// Puts texts where others are.
fn put(value: &mut Value, texts: impl IntoIterator<Item = (String, String)>) {
    for (pointer, new) in texts {
        if let Some(slot) = value.pointer_mut(&pointer) {
            *slot = Value::String(new);
        }
    }
}

const IF_NOT_PRESENT: &str = "IfNotPresent";

/// The planned name. A name of the other side stays: the chart itself moved it. None for a guess that did not travel.
fn new_name(plan: &Plan, place: Place<'_>, slot: &ImageSlot) -> Result<Option<Reference>, RewriteError> {
    let (object, template, pointer) = (place.object(), place.template.to_owned(), slot.pointer.clone());
    let reference: Reference = match slot.image.parse() {
        Ok(reference) => reference,
        Err(_) if slot.doubt.is_some() => return Ok(None),
        Err(source) => return Err(RewriteError::BadImage { object, template, pointer, source }),
    };
    if let Some(new) = plan.new_name(&reference) {
        return Ok(Some(new.clone()));
    }
    match (plan.is_new_name(&reference), &slot.doubt) {
        (true, _) => Ok(Some(reference)),
        (false, Some(_)) => Ok(None),
        (false, None) => Err(RewriteError::NotPacked { object, template, pointer, image: slot.image.clone() }),
    }
}

/// Where the pull policy of a slot stands; none for slots that have none.
fn policy_of(slot: &ImageSlot) -> Option<String> {
    match slot.kind {
        SlotKind::Container => slot.pointer.strip_suffix("/image").map(|container| format!("{container}/imagePullPolicy")),
        SlotKind::Volume => slot.pointer.strip_suffix("/reference").map(|image| format!("{image}/pullPolicy")),
        SlotKind::Field | SlotKind::Group { .. } | SlotKind::Text { .. } | SlotKind::Derived => None,
    }
}

/// What the API server makes of an absent policy (Kubernetes, pkg/apis/core/v1/defaults.go, `SetDefaults_Container`).
fn defaults_to_always(image: &Reference) -> bool {
    image.digest().is_none() && image.tag().is_none_or(|tag| tag == "latest")
}

#[cfg(test)]
mod tests {
    use super::{super::plan::tests::record, *};

    const PLACE: Place<'static> = Place { template: "web/templates/web.yaml", kind: "Deployment", name: "web" };

    fn pod(lines: &str) -> String {
        format!(
            "# kept\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  template:\n    spec:\n      containers:\n      - name: c\n{lines}"
        )
    }

    fn plan(registry: Option<&str>) -> Plan {
        Plan::new(&[record("nginx:1.27"), record("ghcr.io/acme/tool")], registry).unwrap()
    }

    #[test]
    fn images_move_and_the_rest_stays() {
        let text = pod("        image: nginx:1.27 # the web\n        imagePullPolicy: Always\n");
        let moved = rewrite(&plan(Some("r.io/m")), PLACE, &text).unwrap();
        assert_eq!(moved, text.replace("nginx:1.27", "r.io/m/library/nginx:1.27").replace("Always", "IfNotPresent"));
        assert_eq!(rewrite(&plan(Some("r.io/m")), PLACE, &moved).unwrap(), moved);
        let fine = pod("        image: nginx:1.27\n");
        assert_eq!(rewrite(&plan(None), PLACE, &fine).unwrap(), fine);
    }

    #[test]
    fn an_absent_policy_that_would_pull_is_set() {
        for image in ["ghcr.io/acme/tool", "ghcr.io/acme/tool:latest"] {
            let text = rewrite(&plan(None), PLACE, &pod(&format!("        image: {image}\n"))).unwrap();
            let value = goyaml::parse(&text).unwrap();
            assert_eq!(value.pointer("/spec/template/spec/containers/0/imagePullPolicy").unwrap(), "IfNotPresent", "{text}");
            assert_eq!(value.pointer("/spec/template/spec/containers/0/image").unwrap(), image);
        }
        let never = pod("        image: ghcr.io/acme/tool\n        imagePullPolicy: Never\n");
        assert_eq!(rewrite(&plan(None), PLACE, &never).unwrap(), never);
    }

    #[test]
    fn an_image_that_did_not_travel_is_an_error() {
        let error = rewrite(&plan(None), PLACE, &pod("        image: nginx:1.28\n")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Deployment/web (web/templates/web.yaml, /spec/template/spec/containers/0/image) needs the image nginx:1.28, which is not in the archive"
        );
        assert!(matches!(
            rewrite(&plan(None), PLACE, &pod("        image: UPPER/case:1\n")),
            Err(RewriteError::BadImage { .. } | RewriteError::NotPacked { .. })
        ));
    }

    #[test]
    fn what_a_definition_gives_to_resources_is_renamed() {
        let schema = |web: &str| format!("openAPIV3Schema: {{properties: {{image: {{default: '{web}'}}, toolImage: {{default: 'ghcr.io/acme/other:1'}}}}}}");
        let text =
            |web: &str| format!("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {{versions: [{{schema: {{{}}}}}]}}\n", schema(web));
        let mut value = goyaml::parse(&text("nginx:1.27")).unwrap();
        rewrite_value(&plan(Some("r.io/m")), "web/crds/a.yaml", &mut value).unwrap();
        assert_eq!(value, goyaml::parse(&text("r.io/m/library/nginx:1.27")).unwrap());
    }

    #[test]
    fn what_was_taken_is_renamed_where_it_stands() {
        let plan = plan(Some("r.io/m"));
        let text = "kind: ConfigMap\napiVersion: v1\ndata:\n  # kept\n  a: \"run ghcr.io/acme/tool:latest, not quay.io/x/y:1\"\n";
        assert_eq!(rewrite(&plan, PLACE, text).unwrap(), text.replace("ghcr.io/acme/tool:latest", "r.io/m/acme/tool:latest"));
        let args = pod("        image: nginx:1.27\n        args:\n        - --worker-image=nginx:1.27\n        - --other=web/x:1.2\n");
        assert_eq!(rewrite(&plan, PLACE, &args).unwrap(), args.replace("nginx:1.27", "r.io/m/library/nginx:1.27"));
        let derived = Plan::new(&[record("docker.elastic.co/kibana/kibana:8.1.0")], Some("r.io")).unwrap();
        let kibana = rewrite(&derived, PLACE, "apiVersion: kibana.k8s.elastic.co/v1\nkind: Kibana\nspec: {version: 8.1.0}\n").unwrap();
        assert_eq!(kibana, "apiVersion: kibana.k8s.elastic.co/v1\nkind: Kibana\nspec:\n  image: r.io/kibana/kibana:8.1.0\n  version: 8.1.0\n");
    }
}

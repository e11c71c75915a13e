//! Finding, by trial, the value with which a chart itself moves its images.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Plan;

/// Keys that charts in the wild use for the registry of all their images, the most common first.
pub const KNOWN_KEYS: [&str; 8] = [
    "global.imageRegistry",
    "global.image.registry",
    "global.registry",
    "global.hub",
    "global.containerRegistry",
    "image.registry",
    "imageRegistry",
    "registry",
];

/// A place that names an image: template, object and pointer, and the image there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Unique in a rendering, and the same in all renderings.
    pub place: String,
    /// The image as it stands there.
    pub image: String,
}

/// Renders the chart with values and gives its slots; none if that fails.
pub type Render<'a> = dyn FnMut(&Map<String, Value>) -> Option<Vec<Slot>> + 'a;

/// What a rendering with a key set did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTrial {
    /// Images that now have exactly their planned name.
    pub moved: usize,
    /// Images that did not change.
    pub unmoved: usize,
}

impl KeyTrial {
    /// Compares two renderings; none if the key did anything but move images to their planned names.
    pub fn compare(plan: &Plan, before: &[Slot], after: &[Slot]) -> Option<Self> {
        let places: BTreeMap<&str, &str> = after.iter().map(|slot| (slot.place.as_str(), slot.image.as_str())).collect();
        if before.len() != after.len() {
            return None;
        }
        let mut trial = Self { moved: 0, unmoved: 0 };
        for slot in before {
            let image = *places.get(slot.place.as_str())?;
            let planned = slot.image.parse().ok().and_then(|old| plan.new_name(&old).cloned());
            if planned.is_some() && image.parse().ok() == planned {
                trial.moved += 1;
            } else if image == slot.image {
                trial.unmoved += 1;
            } else {
                return None;
            }
        }
        (trial.moved > 0).then_some(trial)
    }
}

/// Tries sets of keys and returns the values with the one that moves most. `render` gives the slots of a rendering; one that fails
/// speaks against the keys, not against the chart.
pub fn choose(plan: &Plan, registry: &str, values: &Map<String, Value>, given: Option<&[String]>, render: &mut Render<'_>) -> Option<Map<String, Value>> {
    let before = render(values)?;
    if before.is_empty() {
        return None;
    }
    let candidates: Vec<Vec<&str>> = match given {
        Some(keys) => vec![keys.iter().map(String::as_str).collect()],
        None => KNOWN_KEYS.iter().map(|key| vec![*key]).collect(),
    };
    let mut best: Option<(usize, Map<String, Value>)> = None;
    for keys in candidates {
        let mut changed = values.clone();
        let possible = keys.iter().all(|key| set(&mut changed, key, Value::String(registry.to_owned())));
        let Some(trial) = possible.then(|| render(&changed)).flatten().and_then(|after| KeyTrial::compare(plan, &before, &after)) else { continue };
        if best.as_ref().is_none_or(|(moved, _)| trial.moved > *moved) {
            best = Some((trial.moved, changed));
        }
        if trial.unmoved == 0 {
            break;
        }
    }
    best.map(|(_, values)| values)
}

/// Sets a dotted key. Refuses to go through something that is no map.
pub fn set(values: &mut Map<String, Value>, key: &str, value: Value) -> bool {
    match key.split_once('.') {
        None => {
            values.insert(key.to_owned(), value);
            true
        }
        Some((head, rest)) => {
            let entry = values.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if entry.is_null() {
                *entry = Value::Object(Map::new());
            }
            entry.as_object_mut().is_some_and(|inner| set(inner, rest, value))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::plan::tests::record, *};

    /// A chart with two images, of which the second knows only the second key.
    fn chart(values: &Map<String, Value>) -> Vec<Slot> {
        let at = |pointer: &str, or: &str| json!(values).pointer(pointer).and_then(Value::as_str).unwrap_or(or).to_owned();
        let image = |registry: String, rest: &str| format!("{registry}/{rest}");
        vec![
            Slot { place: "a".into(), image: image(at("/global/registry", &at("/global/imageRegistry", "docker.io")), "acme/a:1") },
            Slot { place: "b".into(), image: image(at("/global/registry", "ghcr.io"), "acme/b:1") },
        ]
    }

    #[test]
    fn the_key_that_moves_most_is_set() {
        let plan = Plan::new(&[record("docker.io/acme/a:1"), record("ghcr.io/acme/b:1")], Some("r.io/m")).unwrap();
        let values = choose(&plan, "r.io/m", &Map::new(), None, &mut |v| Some(chart(v))).unwrap();
        assert_eq!(Value::Object(values), json!({"global": {"registry": "r.io/m"}}));
        let given = vec!["global.imageRegistry".to_owned()];
        let values = choose(&plan, "r.io/m", &Map::new(), Some(&given), &mut |v| Some(chart(v))).unwrap();
        assert_eq!(Value::Object(values), json!({"global": {"imageRegistry": "r.io/m"}}));
    }

    #[test]
    fn a_key_that_moves_elsewhere_is_not_taken() {
        let plan = Plan::new(&[record("docker.io/acme/a:1")], Some("r.io/m")).unwrap();
        let mut odd = |values: &Map<String, Value>| {
            Some(vec![Slot { place: "a".into(), image: if values.is_empty() { "acme/a:1".into() } else { "r.io/m/docker.io/acme/a:1".to_owned() } }])
        };
        assert_eq!(choose(&plan, "r.io/m", &Map::new(), None, &mut odd), None);
    }

    #[test]
    fn keys_are_set_through_maps_only() {
        let mut values = json!({"image": "text", "global": null}).as_object().unwrap().clone();
        assert!(!set(&mut values, "image.registry", json!("r")));
        assert!(set(&mut values, "global.imageRegistry", json!("r")));
        assert_eq!(values["global"], json!({"imageRegistry": "r"}));
    }
}

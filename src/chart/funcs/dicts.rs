//! Dictionaries: shared, mutable maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Kind::{Any, Dict, Str};
use super::{Call, Function, empty, fixed, text_of, variadic};
use crate::chart::meter;
use crate::chart::value::{Go, List, MAX_NESTING, Map, MapType};

/// What a copied or merged entry counts in the budget, in bytes.
const ENTRY: u64 = 96;

pub(super) const ALL: &[Function] = &[
    variadic("dict", &[Any], |c| {
        let pairs = c.args.chunks(2).map(|p| (Arc::from(text_of(&p[0])), p.get(1).cloned().unwrap_or_else(|| "".into())));
        Ok(Go::map(pairs.collect()))
    }),
    fixed("set", &[Dict, Str, Any], |c| {
        meter::bytes(ENTRY + c.str(1).len() as u64)?;
        c.map(0)?.lock().insert(c.str(1), c.any(2));
        Ok(c.any(0))
    }),
    fixed("unset", &[Dict, Str], |c| {
        if let Go::Map(map) = c.any(0) {
            map.lock().remove(&c.str(1));
        }
        Ok(c.any(0))
    }),
    fixed("get", &[Dict, Str], |c| Ok(c.map(0).ok().and_then(|m| m.get(&c.str(1))).unwrap_or_else(|| "".into()))),
    fixed("hasKey", &[Dict, Str], |c| Ok(c.map(0).is_ok_and(|m| m.lock().contains_key(&c.str(1))).into())),
    variadic("keys", &[Dict], |c| Ok(Go::strings(maps(c)?.iter().flat_map(|m| m.snapshot().into_keys()).map(Go::Str)))),
    fixed("values", &[Dict], |c| Ok(Go::list(maps(c)?.iter().flat_map(|m| m.snapshot().into_values()).collect()))),
    variadic("pick", &[Dict, Str], |c| filtered(c, true)),
    variadic("omit", &[Dict, Str], |c| filtered(c, false)),
    variadic("pluck", &[Str, Dict], |c| Ok(Go::list(maps(c)?.iter().filter_map(|m| m.get(&c.str(0))).collect()))),
    variadic("dig", &[Any], dig),
    variadic("merge", &[Dict, Dict], |c| merge_all(c, false)),
    variadic("mustMerge", &[Dict, Dict], |c| merge_all(c, false)),
    variadic("mergeOverwrite", &[Dict, Dict], |c| merge_all(c, true)),
    variadic("mustMergeOverwrite", &[Dict, Dict], |c| merge_all(c, true)),
    fixed("deepCopy", &[Any], |c| copy(c, &c.any(0), 0)),
    fixed("mustDeepCopy", &[Any], |c| copy(c, &c.any(0), 0)),
];

/// The maps among the arguments; going through them takes steps.
fn maps(c: &Call<'_>) -> Result<Vec<Arc<Map>>, String> {
    let maps: Vec<Arc<Map>> = c.args.iter().filter_map(|a| if let Go::Map(m) = a { Some(Arc::clone(m)) } else { None }).collect();
    meter::steps(maps.iter().map(|m| m.len() as u64).sum())?;
    Ok(maps)
}

fn filtered(c: &Call<'_>, keep: bool) -> Result<Go, String> {
    let wanted: Vec<Arc<str>> = (1..c.args.len()).map(|i| c.str(i)).collect();
    maps(c)?;
    let all = c.map(0).map(|m| m.snapshot()).unwrap_or_default();
    meter::steps(all.len() as u64 * wanted.len() as u64 / 4)?;
    Ok(Go::map(all.into_iter().filter(|(k, _)| wanted.contains(k) == keep).collect::<BTreeMap<_, _>>()))
}

fn dig(c: &mut Call<'_>) -> Result<Go, String> {
    let n = c.args.len();
    if n < 3 {
        return Err("dig needs at least three arguments".to_owned());
    }
    let map = |value: &Go| match value {
        Go::Map(map) if map.map_type() == MapType::Any => Ok(Arc::clone(map)),
        other => Err(conversion(other, "map[string]interface {}")),
    };
    let mut map_now = map(&c.args[n - 1])?;
    let keys: Vec<Arc<str>> = c.args[..n - 2]
        .iter()
        .map(|key| if let Go::Str(key) = key { Ok(Arc::clone(key)) } else { Err(conversion(key, "string")) })
        .collect::<Result<_, _>>()?;
    for (i, key) in keys.iter().enumerate() {
        match map_now.get(key) {
            None => return Ok(c.any(n - 2)),
            Some(found) if i + 1 == keys.len() => return Ok(found),
            Some(found) => map_now = map(&found)?,
        }
    }
    Ok(c.any(n - 2))
}

/// What Go's failed type assertion says.
fn conversion(value: &Go, wanted: &str) -> String {
    let found = if matches!(value, Go::Nil) { "nil" } else { value.type_name() };
    format!("interface conversion: interface {{}} is {found}, not {wanted}")
}

fn merge_all(c: &mut Call<'_>, overwrite: bool) -> Result<Go, String> {
    if c.map(0).is_err() {
        c.args[0] = Go::dict([]);
    }
    let target = c.map(0)?;
    for source in maps(c)?.iter().skip(1) {
        merge(c, &target, source, overwrite, 0)?;
    }
    Ok(c.any(0))
}

/// mergo v1.0.1: `merge` fills what is empty and skips nil, `mergeOverwrite` takes every key of the source; maps that are not empty
/// are merged either way.
fn merge(c: &Call<'_>, target: &Arc<Map>, source: &Arc<Map>, overwrite: bool, depth: usize) -> Result<(), String> {
    if depth > MAX_NESTING {
        return Err(format!("maps are nested more than {MAX_NESTING} deep"));
    }
    if Arc::ptr_eq(target, source) {
        return Ok(());
    }
    for (key, new) in source.snapshot() {
        c.run.reserve(ENTRY)?;
        let old = target.get(&key);
        match (&old, &new) {
            (_, Go::Nil) if !overwrite => {}
            (Some(Go::Map(old)), Go::Map(new)) if old.len() > 0 => merge(c, old, new, overwrite, depth + 1)?,
            (Some(old), _) if !overwrite && !empty(old) => {}
            _ => {
                target.lock().insert(key, new);
            }
        }
    }
    Ok(())
}

/// A copy that shares nothing.
fn copy(c: &Call<'_>, value: &Go, depth: usize) -> Result<Go, String> {
    if depth == 0 && matches!(value, Go::Nil) {
        return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
    }
    if depth > MAX_NESTING {
        return Err(format!("values are nested more than {MAX_NESTING} deep"));
    }
    c.run.reserve(if matches!(value, Go::Map(_) | Go::List(_)) { 2 * ENTRY } else { ENTRY / 2 })?;
    Ok(match value {
        Go::Map(map) => {
            let entries = map.snapshot().into_iter().map(|(k, v)| Ok((k, copy(c, &v, depth + 1)?)));
            Go::Map(Arc::new(Map::of(map.map_type(), entries.collect::<Result<_, String>>()?)))
        }
        Go::List(items) => Go::List(Arc::new(List::of(items.element(), items.iter().map(|v| copy(c, v, depth + 1)).collect::<Result<_, _>>()?))),
        Go::Host(host) if host.type_name() == "*semver.Version" => super::semver::blank(),
        other => other.clone(),
    })
}

//! Lists, and Go's `len`, `index` and `slice`.

use std::sync::Arc;

use super::Kind::{Any, Int};
use super::convert::to_int;
use super::{Call, Function, empty, fixed, variadic};
use crate::chart::meter;
use crate::chart::value::{Element, Go, IntKind, List, MapType, bytes_of, deep_equal, sprintf};

/// What a copied item takes.
const ITEM: u64 = 24;
/// What a list takes beside its items.
const CHUNK: u64 = 80;

pub(super) const ALL: &[Function] = &[
    variadic("list", &[Any], |c| Ok(Go::list(std::mem::take(&mut c.args)))),
    variadic("tuple", &[Any], |c| Ok(Go::list(std::mem::take(&mut c.args)))),
    fixed("first", &[Any], |c| Ok(items(c, 0, "first")?.first().cloned().unwrap_or(Go::Nil))),
    fixed("mustFirst", &[Any], |c| Ok(items(c, 0, "first")?.first().cloned().unwrap_or(Go::Nil))),
    fixed("last", &[Any], |c| Ok(items(c, 0, "last")?.pop().unwrap_or(Go::Nil))),
    fixed("mustLast", &[Any], |c| Ok(items(c, 0, "last")?.pop().unwrap_or(Go::Nil))),
    fixed("rest", &[Any], |c| Ok(part(items(c, 0, "rest")?, |all| all.remove(0)))),
    fixed("mustRest", &[Any], |c| Ok(part(items(c, 0, "rest")?, |all| all.remove(0)))),
    fixed("initial", &[Any], |c| Ok(part(items(c, 0, "initial")?, |all| all.pop().unwrap_or(Go::Nil)))),
    fixed("mustInitial", &[Any], |c| Ok(part(items(c, 0, "initial")?, |all| all.pop().unwrap_or(Go::Nil)))),
    fixed("append", &[Any, Any], append),
    fixed("mustAppend", &[Any, Any], append),
    fixed("push", &[Any, Any], append),
    fixed("mustPush", &[Any, Any], append),
    fixed("prepend", &[Any, Any], |c| {
        let mut all = vec![c.any(1)];
        all.extend(items(c, 0, "prepend")?);
        Ok(Go::list(all))
    }),
    fixed("mustPrepend", &[Any, Any], |c| {
        let mut all = vec![c.any(1)];
        all.extend(items(c, 0, "prepend")?);
        Ok(Go::list(all))
    }),
    variadic("concat", &[Any], |c| {
        let mut all = Vec::new();
        for i in 0..c.args.len() {
            all.extend(items(c, i, "concat")?);
        }
        Ok(if all.is_empty() { nil_slice() } else { Go::list(all) })
    }),
    fixed("reverse", &[Any], |c| Ok(Go::list(items(c, 0, "reverse")?.into_iter().rev().collect()))),
    fixed("mustReverse", &[Any], |c| Ok(Go::list(items(c, 0, "reverse")?.into_iter().rev().collect()))),
    fixed("uniq", &[Any], |c| Ok(Go::list(unique(items(c, 0, "uniq")?)?))),
    fixed("mustUniq", &[Any], |c| Ok(Go::list(unique(items(c, 0, "uniq")?)?))),
    fixed("compact", &[Any], |c| Ok(Go::list(items(c, 0, "compact")?.into_iter().filter(|i| !empty(i)).collect()))),
    fixed("mustCompact", &[Any], |c| Ok(Go::list(items(c, 0, "compact")?.into_iter().filter(|i| !empty(i)).collect()))),
    variadic("without", &[Any, Any], without),
    variadic("mustWithout", &[Any, Any], without),
    fixed("has", &[Any, Any], |c| Ok((!matches!(c.any(1), Go::Nil) && contains(&items(c, 1, "has")?, &c.args[0])?).into())),
    fixed("mustHas", &[Any, Any], |c| Ok((!matches!(c.any(1), Go::Nil) && contains(&items(c, 1, "has")?, &c.args[0])?).into())),
    fixed("chunk", &[Int, Any], chunk),
    fixed("mustChunk", &[Int, Any], chunk),
    variadic("slice", &[Any, Any], slice),
    variadic("mustSlice", &[Any, Any], slice),
    fixed("len", &[Any], |c| match c.any(0) {
        Go::Str(s) => Ok(Go::int(bytes_of(&s).len())),
        Go::Bytes(b) => Ok(Go::int(b.len())),
        Go::List(l) => Ok(Go::int(l.len())),
        Go::Map(m) => Ok(Go::int(m.len())),
        Go::Nil => Err("len of nil pointer".to_owned()),
        Go::Host(h) if h.entries().is_some() => {
            c.args = vec![h.entries().unwrap_or(Go::Nil)];
            (super::find("len").ok_or("no len")?.call)(c)
        }
        // Pointers are followed.
        other => Err(format!("len of type {}", other.type_name().trim_start_matches('*'))),
    }),
    variadic("index", &[Any, Any], index),
    variadic("call", &[Any, Any], |c| match c.any(0) {
        Go::Nil => Err("call of nil".to_owned()),
        // Templates have no values that are functions.
        other => Err(format!("non-function {} of type {}", sprintf("%#v", std::slice::from_ref(&other)), other.type_name())),
    }),
];

fn items(c: &Call<'_>, i: usize, name: &str) -> Result<Vec<Go>, String> {
    match c.any(i) {
        Go::List(items) => {
            meter::bytes(items.len() as u64 * ITEM)?;
            Ok(items.to_vec())
        }
        Go::Bytes(b) => meter::bytes(b.len() as u64 * ITEM).map(|()| b.iter().map(|b| Go::Int(i64::from(*b), IntKind::Uint8)).collect()),
        Go::Nil => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
        Go::Host(h) if matches!(h.entries(), Some(Go::List(_))) => match h.entries() {
            Some(Go::List(items)) => Ok(items.to_vec()),
            _ => Ok(Vec::new()),
        },
        other => Err(match name {
            "slice" => format!("list should be type of slice or array but {}", other.kind()),
            "append" => format!("Cannot push on type {}", other.kind()),
            "prepend" | "compact" => format!("Cannot {name} on type {}", other.kind()),
            "chunk" => format!("Cannot chunk type {}", other.kind()),
            "concat" => format!("Cannot concat type {} as list", other.kind()),
            _ => format!("Cannot find {name} on type {}", other.kind()),
        }),
    }
}

fn append(c: &mut Call<'_>) -> Result<Go, String> {
    let mut all = items(c, 0, "append")?;
    all.push(c.any(1));
    Ok(Go::list(all))
}

fn unique(all: Vec<Go>) -> Result<Vec<Go>, String> {
    let mut out: Vec<Go> = Vec::new();
    for item in all {
        if !contains(&out, &item)? {
            out.push(item);
        }
    }
    Ok(out)
}

fn contains(items: &[Go], wanted: &Go) -> Result<bool, String> {
    for item in items {
        if deep_equal(item, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn without(c: &mut Call<'_>) -> Result<Go, String> {
    let mut kept = Vec::new();
    for item in items(c, 0, "without")? {
        if !contains(&c.args[1..], &item)? {
            kept.push(item);
        }
    }
    Ok(Go::list(kept))
}

/// sprig's `mustSlice`: what it gives has the type of what it took.
fn slice(c: &mut Call<'_>) -> Result<Go, String> {
    let all = items(c, 0, "slice")?;
    if all.is_empty() {
        return Ok(Go::Nil);
    }
    let from = usize::try_from(c.args.get(1).map_or(0, to_int)).ok();
    let to = c.args.get(2).map_or(Some(all.len()), |n| usize::try_from(to_int(n)).ok());
    let part = from.zip(to).and_then(|(from, to)| all.get(from..to)).ok_or("reflect.Value.Slice: slice index out of bounds")?;
    let element = if let Go::List(list) = c.any(0) { list.element() } else { Element::Any };
    Ok(Go::List(Arc::new(List::of(element, part.to_vec()))))
}

fn nil_slice() -> Go {
    Go::List(Arc::new(List::of(Element::Nil, Vec::new())))
}

/// All but one; of nothing, it is nil.
fn part(mut all: Vec<Go>, remove: impl Fn(&mut Vec<Go>) -> Go) -> Go {
    if all.is_empty() {
        return nil_slice();
    }
    remove(&mut all);
    Go::list(all)
}

/// sprig's `mustChunk`, with what becomes of its floats where the size is none.
fn chunk(c: &mut Call<'_>) -> Result<Go, String> {
    let all = items(c, 1, "chunk")?;
    let chunks: Vec<Go> = match usize::try_from(c.int(0)) {
        Ok(0) => return Err("runtime error: makeslice: len out of range".to_owned()),
        Ok(size) => meter::bytes((all.len() / size) as u64 * CHUNK).map(|()| all.chunks(size).map(|part| Go::list(part.to_vec())).collect())?,
        Err(_) if all.len() > 1 => Vec::new(),
        Err(_) => return Err("runtime error: makeslice: len out of range".to_owned()),
    };
    Ok(Go::List(Arc::new(List::of(Element::List, chunks))))
}

/// Go's `index`: maps by string, lists and strings by integer; a missing key is nil.
fn index(c: &mut Call<'_>) -> Result<Go, String> {
    let mut value = c.any(0);
    if matches!(value, Go::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    for key in &c.args[1..] {
        if let (Go::Host(host), Go::Str(name)) = (&value, key)
            && host.kind() == "map"
        {
            value = host.field(name).unwrap_or(Go::Nil);
            continue;
        }
        if let Go::Host(host) = &value
            && let Some(entries) = host.entries()
        {
            value = entries;
        }
        let position = |len: usize| match key {
            Go::Int(n, _) => match usize::try_from(*n) {
                Ok(n) if n < len => Ok(n),
                Ok(n) if n == len => Err(format!("reflect: {} index out of range", value.kind())),
                _ => Err(format!("index out of range: {n}")),
            },
            Go::Nil => Err("cannot index slice/array with nil".to_owned()),
            other => Err(format!("cannot index slice/array with type {}", other.type_name())),
        };
        value = match &value {
            Go::Map(map) => match key {
                Go::Str(key) => map.get(key).unwrap_or_else(|| if map.map_type() == MapType::Strings { "".into() } else { Go::Nil }),
                Go::Nil => return Err("value is nil; should be of type string".to_owned()),
                other => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            Go::List(items) => items[position(items.len())?].clone(),
            Go::Str(text) => {
                let bytes = bytes_of(text);
                Go::Int(i64::from(bytes[position(bytes.len())?]), IntKind::Uint8)
            }
            Go::Nil => return Err("index of nil pointer".to_owned()),
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

//! Lists and shared maps. Templates can nest them without limit, so neither may be dropped recursively.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Go;

/// Go's type of a list's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Element {
    /// `interface {}`.
    #[default]
    Any,
    /// `string`.
    Str,
    /// `int`.
    Int,
    /// Something of Helm's: the name of the list's type.
    Other(&'static str),
    /// `[]interface {}`, what `chunk` makes.
    List,
    /// `interface {}`, of a slice that is nil: JSON shows it.
    Nil,
    /// `string`, of a slice that is nil.
    NilStr,
    /// Something of Helm's, of a slice that is nil.
    NilOther(&'static str),
    /// `map[string]interface {}`, what TOML's arrays of tables are.
    Maps,
}

/// An immutable list.
#[derive(Debug, Default)]
pub(crate) struct List {
    items: Vec<Go>,
    element: Element,
}

impl List {
    pub(crate) fn new(items: Vec<Go>) -> Self {
        List { items, element: Element::Any }
    }

    /// A list that says in Go of what it is.
    pub(crate) fn of(element: Element, items: Vec<Go>) -> Self {
        List { items, element }
    }

    /// Whether it is nil.
    pub(crate) fn is_nil(&self) -> bool {
        matches!(self.element, Element::Nil | Element::NilStr | Element::NilOther(_))
    }

    /// What it is of.
    pub(crate) fn element(&self) -> Element {
        self.element
    }

    /// Go's `%T`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.element {
            Element::Any | Element::Nil => "[]interface {}",
            Element::List => "[][]interface {}",
            Element::Maps => "[]map[string]interface {}",
            Element::Str | Element::NilStr => "[]string",
            Element::Int => "[]int",
            Element::Other(name) | Element::NilOther(name) => name,
        }
    }
}

impl Deref for List {
    type Target = [Go];

    fn deref(&self) -> &[Go] {
        &self.items
    }
}

impl Drop for List {
    fn drop(&mut self) {
        release(std::mem::take(&mut self.items));
    }
}

/// Go's type of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MapType {
    /// `map[string]interface {}`.
    #[default]
    Any,
    /// `map[string]string`.
    Strings,
    /// Helm's `chartutil.Values`, which has methods.
    Values,
    /// The same in Helm 4.
    CommonValues,
}

impl MapType {
    /// Whether it is Helm's `Values`.
    pub(crate) fn has_methods(self) -> bool {
        matches!(self, MapType::Values | MapType::CommonValues)
    }
}

/// A mutable map.
#[derive(Debug)]
pub(crate) struct Map {
    entries: Entries,
    of: MapType,
    nil: bool,
}

#[derive(Debug)]
enum Entries {
    Own(Mutex<BTreeMap<Arc<str>, Go>>),
    /// Those of another map, as Go shares them between two types.
    Of(Arc<Map>),
}

impl Map {
    pub(crate) fn new(entries: BTreeMap<Arc<str>, Go>) -> Self {
        Map::of(MapType::Any, entries)
    }

    /// A map of this type.
    pub(crate) fn of(of: MapType, entries: BTreeMap<Arc<str>, Go>) -> Self {
        Map { entries: Entries::Own(Mutex::new(entries)), of, nil: false }
    }

    /// A nil map of this type: it is read as an empty one, and nobody may write to it.
    pub(crate) fn nil(of: MapType) -> Go {
        Go::Map(Arc::new(Map { entries: Entries::Own(Mutex::default()), of, nil: true }))
    }

    /// Whether it is nil.
    pub(crate) fn is_nil(&self) -> bool {
        self.nil
    }

    /// The same map as another type.
    pub(crate) fn view(map: &Arc<Map>, of: MapType) -> Arc<Map> {
        match &map.entries {
            _ if map.of == of => Arc::clone(map),
            Entries::Of(inner) if inner.of == of => Arc::clone(inner),
            Entries::Of(inner) => Arc::new(Map { entries: Entries::Of(Arc::clone(inner)), of, nil: inner.nil }),
            Entries::Own(_) => Arc::new(Map { entries: Entries::Of(Arc::clone(map)), of, nil: map.nil }),
        }
    }

    /// Which type it has.
    pub(crate) fn map_type(&self) -> MapType {
        self.of
    }

    /// Go's `%T`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.of {
            MapType::Any => "map[string]interface {}",
            MapType::Strings => "map[string]string",
            MapType::Values => "chartutil.Values",
            MapType::CommonValues => "common.Values",
        }
    }

    /// The entries; callers never hold this across another map's lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Go>> {
        match &self.entries {
            Entries::Own(entries) => entries.lock().unwrap_or_else(PoisonError::into_inner),
            Entries::Of(map) => map.lock(),
        }
    }

    /// A shallow copy.
    pub(crate) fn snapshot(&self) -> BTreeMap<Arc<str>, Go> {
        self.lock().clone()
    }

    /// The entries in order.
    pub(crate) fn entries(&self) -> Vec<(Arc<str>, Go)> {
        self.lock().iter().map(|(key, value)| (Arc::clone(key), value.clone())).collect()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Go> {
        self.lock().get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let Entries::Own(entries) = &mut self.entries else { return };
        let entries = std::mem::take(entries.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !entries.is_empty() {
            release(entries.into_values().collect());
        }
    }
}

/// Drops values level by level: what is owned by nobody else is emptied before it is dropped.
fn release(mut values: Vec<Go>) {
    values.retain(|value| matches!(value, Go::List(_) | Go::Map(_)));
    while let Some(value) = values.pop() {
        match value {
            Go::List(mut list) => {
                if let Some(list) = Arc::get_mut(&mut list) {
                    values.append(&mut list.items);
                }
            }
            Go::Map(mut map) => {
                if let Some(Map { entries: Entries::Own(entries), .. }) = Arc::get_mut(&mut map) {
                    let entries = std::mem::take(entries.get_mut().unwrap_or_else(PoisonError::into_inner));
                    values.extend(entries.into_values());
                }
            }
            _ => {}
        }
    }
}

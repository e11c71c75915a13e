//! Lists and shared maps. Templates can nest them without limit, so neither may be dropped recursively.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Go;

/// An immutable list.
#[derive(Debug, Default)]
pub(crate) struct List(Vec<Go>);

impl List {
    pub(crate) fn new(items: Vec<Go>) -> Self {
        List(items)
    }
}

impl Deref for List {
    type Target = [Go];

    fn deref(&self) -> &[Go] {
        &self.0
    }
}

impl Drop for List {
    fn drop(&mut self) {
        release(std::mem::take(&mut self.0));
    }
}

/// A mutable map.
#[derive(Debug, Default)]
pub(crate) struct Map(Mutex<BTreeMap<Arc<str>, Go>>);

impl Map {
    pub(crate) fn new(entries: BTreeMap<Arc<str>, Go>) -> Self {
        Map(Mutex::new(entries))
    }

    /// The entries; callers never hold this across another map's lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Go>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A shallow copy.
    pub(crate) fn snapshot(&self) -> BTreeMap<Arc<str>, Go> {
        self.lock().clone()
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
        release(std::mem::take(&mut *self.lock()).into_values().collect());
    }
}

/// Drops values level by level: what is owned by nobody else is emptied before it is dropped.
fn release(mut values: Vec<Go>) {
    values.retain(|value| matches!(value, Go::List(_) | Go::Map(_)));
    while let Some(value) = values.pop() {
        match value {
            Go::List(mut list) => {
                if let Some(list) = Arc::get_mut(&mut list) {
                    values.append(&mut list.0);
                }
            }
            Go::Map(mut map) => {
                if let Some(map) = Arc::get_mut(&mut map) {
                    values.extend(std::mem::take(&mut *map.lock()).into_values());
                }
            }
            _ => {}
        }
    }
}

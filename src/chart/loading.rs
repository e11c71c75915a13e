//! What a chart may take while it is loaded: one account for all charts and archives in it.

use serde_json::{Map, Value};

use super::ChartError;

/// Memory for files, their names and what is read from them. Helm allows an archive 100 MiB, and each archive in it as much again.
const MAX_BYTES: u64 = 128 << 20;
/// Files and other entries; those of a subchart count in every chart above it as well.
const MAX_ENTRIES: u64 = 50_000;
/// What a file takes beside its bytes and its name.
const FILE: u64 = 160;
/// What a value, or a key, takes beside its bytes.
const VALUE: u64 = 40;
/// What a part of a map takes.
const NODE: u64 = 640;

/// What is left.
#[derive(Debug)]
pub(super) struct Loading {
    bytes: u64,
    entries: u64,
}

impl Loading {
    /// Of a chart whose archive has so many bytes.
    pub(super) fn new(archive: u64) -> Result<Self, ChartError> {
        let mut loading = Self { bytes: MAX_BYTES, entries: MAX_ENTRIES };
        loading.bytes(archive)?;
        Ok(loading)
    }

    /// Takes an entry of an archive or of a chart.
    pub(super) fn entry(&mut self) -> Result<(), ChartError> {
        self.entries = self.entries.checked_sub(1).ok_or_else(|| ChartError::Budget(format!("{MAX_ENTRIES} files")))?;
        Ok(())
    }

    /// Takes bytes.
    pub(super) fn bytes(&mut self, count: u64) -> Result<(), ChartError> {
        self.bytes = self.bytes.checked_sub(count).ok_or_else(|| ChartError::Budget(format!("{MAX_BYTES} bytes")))?;
        Ok(())
    }

    /// Takes a file of a chart, without what is in it.
    pub(super) fn file(&mut self, name: &str) -> Result<(), ChartError> {
        self.entry()?;
        self.bytes(FILE + name.len() as u64)
    }

    /// Takes values that stand in so many charts.
    pub(super) fn value(&mut self, value: &Value, charts: usize) -> Result<(), ChartError> {
        self.bytes(weight(value).saturating_mul(charts as u64))
    }
}

/// Memory of a value.
fn weight(value: &Value) -> u64 {
    VALUE
        + match value {
            Value::String(text) => text.len() as u64,
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(map) => weight_of(map),
            _ => 0,
        }
}

/// Memory of a map's entries: where one is, there is room for eleven.
pub(super) fn weight_of(map: &Map<String, Value>) -> u64 {
    map.len().div_ceil(6) as u64 * NODE + map.iter().map(|(key, value)| key.len() as u64 + VALUE + weight(value)).sum::<u64>()
}

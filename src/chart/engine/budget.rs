//! How much a chart may take, as nobody has read it before.

use serde_json::{Map, Value};

/// What one of a user's values adds to [`Budget::secrets`]: the hash of a password that it may be.
const SECRETS_A_VALUE: u64 = 50;
/// Values that add to it.
const VALUES_MAX: u64 = 100;

/// Limits on untrusted charts.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Time: evaluations (function calls, field accesses, iterations) of the whole run, and what functions read.
    pub steps: u64,
    /// Memory: bytes that all values, results and outputs of the run may have together.
    pub max_bytes: u64,
    /// Keys, certificates and hashes of passwords, in units of about two milliseconds.
    pub secrets: u64,
    /// Nested `include` and `tpl`; `template` has Go's own limit.
    pub max_depth: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: 3_000_000, max_bytes: 160 << 20, secrets: 600, max_depth: 10_000 }
    }
}

impl Budget {
    /// With what a user's own values allow beyond it: a chart gets twelve hashes of passwords by itself, and twenty more if its user lists twenty accounts.
    #[must_use]
    pub fn with_values(self, values: &Map<String, Value>) -> Self {
        let count = values.values().map(leaves).sum::<u64>().min(VALUES_MAX);
        Self { secrets: self.secrets.saturating_add(count * SECRETS_A_VALUE), ..self }
    }
}

/// Values that have no others inside.
fn leaves(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(leaves).sum(),
        Value::Object(fields) => fields.values().map(leaves).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_a_users_values_allows_a_hash_more_up_to_a_hundred() {
        let own = Budget::default();
        let with = |values: Value| own.with_values(values.as_object().unwrap()).secrets - own.secrets;
        assert_eq!(with(serde_json::json!({})), 0);
        assert_eq!(with(serde_json::json!({"accounts": [{"name": "a", "password": "b"}, "c"], "on": true, "none": {}})), 200);
        assert_eq!(with(serde_json::json!({"many": vec![0; 1000]})), 5000);
    }
}

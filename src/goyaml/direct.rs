//! The short way from events to JSON, for what nearly every text is: no anchors, no tags, no merges, keys that are text.
//!
//! Whatever else there is, faults included, is left to the long way over nodes; where this one gives a value, it is the same.

use libyaml_safer::{Event, EventData};
use serde_json::{Map, Number, Value};

use super::{
    ScalarStyle,
    compose::{Composer, style_of, with_composer},
    resolve::{Resolved, resolve},
};

/// Deeper ones go the long way, which knows what is too deep.
const MAX_DEPTH: usize = 100;

/// The first document of a text. Of a mapping only the entries whose names `wanted` has (whatever the case of letters), if it has any.
pub(super) fn value(text: &str, wanted: &[&str]) -> Option<Value> {
    with_composer(text, |composer| Ok(Direct { composer, wanted }.document())).ok().flatten()
}

struct Direct<'c, 'b> {
    composer: &'c mut Composer<'b>,
    wanted: &'c [&'c str],
}

impl Direct<'_, '_> {
    fn next(&mut self) -> Option<Event> {
        self.composer.next().ok()
    }

    fn document(&mut self) -> Option<Value> {
        if matches!(self.next()?.data, EventData::StreamEnd) {
            return Some(Value::Null);
        }
        let event = self.next()?;
        let value = self.value(event, 0)?;
        // The end of the document.
        self.next()?;
        Some(value)
    }

    fn value(&mut self, event: Event, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(match event.data {
            EventData::Scalar { anchor: None, tag: None, mut value, style, .. } => {
                let style = style_of(style);
                self.composer.reopen(&mut value, style, event.end_mark);
                if style == ScalarStyle::Plain { resolved(value)? } else { Value::String(value) }
            }
            EventData::SequenceStart { anchor: None, tag: None, .. } => {
                let mut items = Vec::new();
                loop {
                    let event = self.next()?;
                    if matches!(event.data, EventData::SequenceEnd) {
                        return Some(Value::Array(items));
                    }
                    items.push(self.value(event, depth + 1)?);
                }
            }
            EventData::MappingStart { anchor: None, tag: None, .. } => {
                let mut map = Map::new();
                loop {
                    let event = self.next()?;
                    if matches!(event.data, EventData::MappingEnd) {
                        return Some(Value::Object(map));
                    }
                    let key = key(event)?;
                    let event = self.next()?;
                    let value = self.value(event, depth + 1)?;
                    if depth > 0 || self.wanted.is_empty() || self.wanted.iter().any(|name| name.eq_ignore_ascii_case(&key)) {
                        map.insert(key, value);
                    }
                }
            }
            _ => return None,
        })
    }
}

/// A plain scalar.
fn resolved(text: String) -> Option<Value> {
    Some(match resolve(&text) {
        Resolved::Null => Value::Null,
        Resolved::Bool(truth) => Value::Bool(truth),
        Resolved::Int(number) => Value::from(number),
        Resolved::Uint(number) => Value::from(number),
        Resolved::Float(number) => Value::Number(Number::from_f64(number)?),
        Resolved::Timestamp | Resolved::Str => Value::String(text),
    })
}

/// A key that is text, and no merge.
fn key(event: Event) -> Option<String> {
    match event.data {
        EventData::Scalar { anchor: None, tag: None, value, style, .. } => {
            let text = style_of(style) != ScalarStyle::Plain || (value != "<<" && matches!(resolve(&value), Resolved::Timestamp | Resolved::Str));
            text.then_some(value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goyaml::{convert, parse_nodes};

    #[test]
    fn both_ways_lead_to_the_same() {
        let texts = [
            "",
            "# nothing\n",
            "a: 1\nb: [x, 'y', \"z\", ~, 1.5, 0x10, yes]\nc:\n- d: |\n    t\n  e: >-\n    f\n    g\n",
            "a: 1\na: 2\n",
            "2001-01-01: 2001-01-02\n",
            "a: |\n  last",
            "a: 18446744073709551615",
            "text",
            "a: 1\n---\nb: : 2",
            "? k\n: v\n",
        ];
        for text in texts {
            let long = convert::to_json(&parse_nodes(text).unwrap()).unwrap();
            assert_eq!(value(text, &[]), Some(long), "{text:?}");
        }
    }

    #[test]
    fn what_is_rare_goes_the_long_way() {
        let deep = "[".repeat(120) + &"]".repeat(120);
        for text in ["a: &x 1", "a: !!str 1", "<<: {a: 1}", "1: a", "yes: a", "[a]: b", "a: .inf", "a: b: c", "a: [", &deep] {
            assert_eq!(value(text, &[]), None, "{text:?}");
        }
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let found = value("Kind: a\nspec: {kind: b}\nmetadata: {name: c, spec: d}\n", &["kind", "metadata"]);
        assert_eq!(found, Some(serde_json::json!({"Kind": "a", "metadata": {"name": "c", "spec": "d"}})));
        assert_eq!(value("spec: .inf", &["kind"]), None);
    }
}

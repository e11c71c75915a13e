//! Go's structs as templates, fmt and encoding/json see them.

use super::{Go, Host};

/// A field of a struct.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Go's name.
    pub name: &'static str,
    /// The name in JSON, with `omitempty` where that is said.
    pub json: Tag,
    /// What is in it.
    pub value: Go,
}

/// What encoding/json does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// It is written under this name.
    Name(&'static str),
    /// It is, unless it is empty.
    OmitEmpty(&'static str),
    /// It is embedded: its fields are written in its place.
    Inline,
    /// It is not exported: only fmt sees it.
    Hidden,
}

impl Member {
    pub(crate) fn new(name: &'static str, json: Tag, value: Go) -> Self {
        Member { name, json, value }
    }

    /// Whether encoding/json leaves it out (`isEmptyValue`).
    pub(crate) fn omitted(&self) -> bool {
        matches!(self.json, Tag::OmitEmpty(_)) && !matches!(self.value, Go::Host(_)) && !self.value.truth()
    }
}

/// The members as encoding/json writes them, in order.
pub(crate) fn json_members(members: Vec<Member>) -> Vec<(&'static str, Go)> {
    let mut out = Vec::new();
    for member in members {
        match (member.json, &member.value) {
            _ if member.omitted() => {}
            (Tag::Name(name) | Tag::OmitEmpty(name), _) => out.push((name, member.value)),
            (Tag::Inline, Go::Host(host)) => out.extend(json_members(host.members().unwrap_or_default())),
            (Tag::Inline | Tag::Hidden, _) => {}
        }
    }
    out
}

/// The members with those of embedded structs in their place.
pub(crate) fn flattened(members: Vec<Member>) -> Vec<Member> {
    let mut out = Vec::new();
    for member in members {
        match &member.value {
            Go::Host(host) if member.json == Tag::Inline => out.extend(flattened(host.members().unwrap_or_default())),
            _ => out.push(member),
        }
    }
    out
}

/// A struct without methods.
#[derive(Debug)]
pub(crate) struct Struct {
    /// Go's `%T`.
    pub type_name: &'static str,
    /// The fields in Go's order.
    pub members: Vec<Member>,
}

impl Host for Struct {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn kind(&self) -> &'static str {
        if self.type_name.starts_with('*') { "ptr" } else { "struct" }
    }

    fn field(&self, name: &str) -> Option<Go> {
        if let Some(member) = self.members.iter().find(|member| member.name == name) {
            return Some(member.value.clone());
        }
        self.members.iter().filter(|member| member.json == Tag::Inline).find_map(|member| match &member.value {
            Go::Host(host) => host.field(name),
            _ => None,
        })
    }

    fn members(&self) -> Option<Vec<Member>> {
        Some(self.members.clone())
    }

    fn stringer(&self) -> bool {
        false
    }

    fn text(&self) -> String {
        let values: Vec<String> = self.members.iter().map(|member| super::sprint(std::slice::from_ref(&member.value))).collect();
        format!("{{{}}}", values.join(" "))
    }

    fn json(&self) -> serde_json::Value {
        json_object(self.members.clone())
    }
}

/// The members as an object, for what does not care for their order.
pub(crate) fn json_object(members: Vec<Member>) -> serde_json::Value {
    let entries = json_members(members).into_iter();
    serde_json::Value::Object(entries.filter_map(|(name, value)| Some((name.to_owned(), super::to_json(&value).ok()?))).collect())
}

//! Names of releases: which are valid, and how `--name-template` makes one.

use serde_json::Map;

use super::{
    RenderOptions,
    engine::{self, Budget, Dialect, EngineError, Program, Scope, Source},
};

/// How a template that makes a name is called in errors (pkg/action, install.go, `TemplateName`).
const TEMPLATE: &str = "name-template";
/// The longest name of a release (pkg/chartutil, `validate_name.go`).
const NAME_MAX: usize = 53;

/// Whether a release may be called so: labels of letters, digits and `-`, joined by dots (pkg/chartutil, `ValidateReleaseName`).
pub fn is_release_name(name: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain) && bytes.iter().all(|b| plain(b) || *b == b'-')
    };
    name.len() <= NAME_MAX && name.split('.').all(label)
}

/// The name that a template gives. Sprig's functions can be called; there are no values.
pub fn name_from_template(template: &str) -> Result<String, EngineError> {
    let nothing = RenderOptions::new("", "");
    let outputs = engine::run(Program {
        sources: vec![Source { name: TEMPLATE.to_owned(), text: template.to_owned(), scope: 0, execute: true }],
        scopes: vec![Scope { values: Map::new(), ..Scope::default() }],
        release: nothing.release,
        capabilities: nothing.capabilities,
        dialect: Dialect::Helm3,
        budget: Budget::default(),
        lookup: None,
        parsed: None,
        leave_out_failures: false,
    });
    match outputs {
        Ok(mut outputs) => Ok(outputs.remove(TEMPLATE).unwrap_or_default()),
        // Go's own words: Helm makes others of them only for charts (pkg/engine, `cleanupParseError`).
        Err(EngineError::Parse(text)) => Err(EngineError::Parse(match text.strip_prefix("parse error at (").and_then(|rest| rest.split_once("): ")) {
            Some((at, fault)) => format!("template: {at}: {fault}"),
            None => text,
        })),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_helm_does() {
        let longest = "a".repeat(NAME_MAX);
        for name in ["a", "0", "a-b.c", "release-name", &longest] {
            assert!(is_release_name(name), "{name}");
        }
        for name in ["", "-a", "a-", "a..b", ".a", "A", "a_b", "a/b", &format!("{longest}a")] {
            assert!(!is_release_name(name), "{name}");
        }
    }

    #[test]
    fn templates_make_names() {
        assert_eq!(name_from_template("foobar-{{ b64enc \"abc\" | lower }}-baz").unwrap(), "foobar-ywjj-baz");
        assert_eq!(name_from_template("{{ \"x\" ").unwrap_err().to_string(), "template: name-template:1: unclosed action");
        assert_eq!(name_from_template("{{ nope }}").unwrap_err().to_string(), "template: name-template:1: function \"nope\" not defined");
    }
}

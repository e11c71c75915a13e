//! Helm 4's layout of an error of a template: one line for each place it passed (pkg/engine/engine.go, `reformatExecErrorMsg`).
//!
//! Helm takes the texts of the errors apart again, and so does this.

use std::fmt::Write as _;

/// One error of the chain (`TraceableError`).
#[derive(Debug, PartialEq, Eq, Default)]
struct Place {
    location: String,
    executed: String,
    message: String,
}

impl Place {
    /// `parseTemplateExecErrorString`.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("template: ")?;
        if rest.starts_with("no template ") {
            return Some(Self { message: text.to_owned(), ..Self::default() });
        }
        Self::executing(rest).or_else(|| {
            let (location, message) = rest.rsplit_once(": ")?;
            Some(Self { location: location.to_owned(), message: up_to_next(message), ..Self::default() })
        })
    }

    /// `parseTemplateExecutingAtErrorType`.
    fn executing(rest: &str) -> Option<Self> {
        let (location, function, at, message) = split_executing(rest)?;
        Some(Self { location: location.to_owned(), executed: format!("executing \"{function}\" at <{at}>:"), message: up_to_next(message) })
    }
}

/// Location, template, place and message of `NAME:1:2: executing "T" at <PLACE>: MESSAGE`.
fn split_executing(rest: &str) -> Option<(&str, &str, &str, &str)> {
    let (location, after) = rest.split_once(": executing ")?;
    let (function, after) = after.strip_prefix('"')?.split_once('"')?;
    let (at, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
    Some((location, function, at, message))
}

/// "trim chained next error starting with space + \"template:\" if present"
fn up_to_next(message: &str) -> String {
    message.split_once(" template:").map_or(message, |(message, _)| message).to_owned()
}

/// The error that an error wraps: text/template wraps what a function returned (exec.go, `error calling %s: %w`), and nothing else.
fn wrapped(text: &str) -> Option<&str> {
    let (.., message) = split_executing(text.strip_prefix("template: ")?)?;
    let (function, inner) = message.strip_prefix("error calling ")?.split_once(": ")?;
    function.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(inner)
}

/// The error as Helm 4 lays it out; as it is where Helm 4 does not understand all of it.
pub(super) fn lay_out(text: &str) -> String {
    let mut places: Vec<Place> = Vec::new();
    let mut next = Some(text);
    while let Some(current) = next {
        let Some(place) = Place::parse(current) else { return text.to_owned() };
        if places.last() != Some(&place) {
            places.push(place);
        }
        next = wrapped(current);
    }
    let mut shown = String::new();
    for place in places {
        for (part, end) in [(place.location, "\n  "), (place.executed, "\n    "), (place.message, "\n")] {
            if !part.is_empty() {
                write!(shown, "{part}{end}").expect("writing to a String cannot fail");
            }
        }
    }
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_laid_out_as_helm_4_does() {
        for (text, want) in [
            (
                "template: c/t.yaml:1:42: executing \"r2\" at <.a.b>: nil pointer evaluating interface {}.b",
                "c/t.yaml:1:42\n  executing \"r2\" at <.a.b>:\n    nil pointer evaluating interface {}.b",
            ),
            (
                "template: c/b.yaml:1:6: executing \"c/b.yaml\" at <include \"x\" .>: error calling include: template: no template \"x\" associated with template \"gotpl\"",
                "c/b.yaml:1:6\n  executing \"c/b.yaml\" at <include \"x\" .>:\n    error calling include:\ntemplate: no template \"x\" associated with template \"gotpl\"",
            ),
            (
                "template: c/b.yaml:1:6: executing \"c/b.yaml\" at <index .a 5>: error calling index: index out of range: 5",
                "template: c/b.yaml:1:6: executing \"c/b.yaml\" at <index .a 5>: error calling index: index out of range: 5",
            ),
            ("execution error at (c/t.yaml:1:3): no", "execution error at (c/t.yaml:1:3): no"),
        ] {
            assert_eq!(lay_out(text), want);
        }
    }
}

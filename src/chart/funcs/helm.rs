//! Helm's own: `include`, `tpl`, `required`, `fail`, `lookup`.

use super::Kind::{Any, Str};
use super::{Call, Function, fixed};
use crate::chart::engine::{WARN_END, WARN_START};
use crate::chart::value::{Go, from_json};

pub(super) const ALL: &[Function] = &[
    fixed("include", &[Str, Any], |c| Ok(c.run.include(&c.str(0), &c.any(1))?.into())),
    fixed("tpl", &[Str, Any], |c| Ok(c.run.tpl(&c.str(0), &c.any(1))?.into())),
    fixed("required", &[Str, Any], |c| match c.last() {
        Go::Nil => Err(warning(c)),
        Go::Str(s) if s.is_empty() => Err(warning(c)),
        value => Ok(value),
    }),
    fixed("fail", &[Str], |c| Err(warning(c))),
    fixed("lookup", &[Str, Str, Str, Str], |c| Ok(from_json(&c.run.lookup([&c.str(0), &c.str(1), &c.str(2), &c.str(3)])?))),
    fixed("getHostByName", &[Str], |_| Ok("".into())),
];

fn warning(c: &Call<'_>) -> String {
    format!("{WARN_START}{}{WARN_END}", c.str(0))
}

//! Flags as Helm's library reads them (github.com/spf13/pflag), where clap would read them differently.

use std::error::Error as _;

use clap::{
    Arg, ArgAction,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Gives every flag of a command pflag's manners: switches take `=false`, and a value may begin with a dash.
pub(super) fn manners(arg: Arg) -> Arg {
    if arg.is_positional() {
        return arg;
    }
    match arg.get_action() {
        ArgAction::SetTrue => {
            let arg = arg.action(ArgAction::Set).num_args(0..=1).require_equals(true).default_missing_value("true").default_value("false");
            arg.value_parser(switch).value_name("BOOL").hide_default_value(true)
        }
        ArgAction::Set | ArgAction::Append => arg.allow_hyphen_values(true),
        _ => arg,
    }
}

/// `strconv.ParseBool`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// `strconv.ParseInt`, as far as it tells what is one.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
}

/// `strconv.ParseFloat`, as far as it tells what is one.
pub(super) fn float(text: &str) -> Result<f32, String> {
    text.parse().map_err(|_| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
}

/// A command line that cannot be read, in pflag's words; none where pflag has none.
pub(super) fn words(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let name = text(ContextKind::InvalidArg)?;
    let flag = name.split(['[', ' ', '=']).next().unwrap_or(name);
    match (error.kind(), text(ContextKind::InvalidValue)) {
        (ErrorKind::UnknownArgument, _) if flag.starts_with("--") => Some(format!("unknown flag: {flag}")),
        (ErrorKind::UnknownArgument, _) => flag.chars().nth(1).map(|letter| format!("unknown shorthand flag: {letter:?} in {flag}")),
        (ErrorKind::ValueValidation, Some(value)) => error.source().map(|reason| format!("invalid argument {value:?} for {flag:?} flag: {reason}")),
        (ErrorKind::InvalidValue, None | Some("")) => Some(format!("flag needs an argument: {flag}")),
        _ => None,
    }
}

/// `time.ParseDuration`, as far as it tells what is one; the value is not needed.
pub(super) fn duration(text: &str) -> Result<String, String> {
    let wrong = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(text.to_owned());
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(|| format!("time: missing unit in duration {text:?}"))?;
        let number = &rest[..digits];
        if !number.contains(|c: char| c.is_ascii_digit()) || number.matches('.').count() > 1 {
            return Err(wrong());
        }
        let after = &rest[digits..];
        let unit = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"].iter().filter(|unit| after.starts_with(**unit)).max_by_key(|unit| unit.len());
        rest = &after[unit.ok_or_else(wrong)?.len()..];
    }
    Ok(text.to_owned())
}

/// The items of a `stringSlice`: one record of encoding/csv; nothing at all for an empty text.
pub(super) fn list(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    let (mut at, end) = (0, text.find('\n').unwrap_or(text.len()));
    loop {
        let rest = &text[at..];
        if let Some(quoted) = rest.strip_prefix('"') {
            let (item, used) = unquote(text, quoted, at + 1)?;
            items.push(item);
            at += 1 + used;
        } else {
            let length = text[at..end.max(at)].find(',').unwrap_or(end.max(at) - at);
            let item = rest[..length].trim_end_matches('\r');
            if let Some(quote) = item.find('"') {
                return Err(format!("parse error on line 1, column {}: bare \" in non-quoted field", at + quote + 1));
            }
            items.push(item.to_owned());
            at += length;
        }
        if !text[at..].starts_with(',') {
            return Ok(items);
        }
        at += 1;
    }
}

/// A quoted field from behind its first quote, and how much of the text it used, the last quote included.
fn unquote(text: &str, quoted: &str, from: usize) -> Result<(String, usize), String> {
    let mut item = String::new();
    let mut used = 0;
    loop {
        let Some(quote) = quoted[used..].find('"') else {
            return Err(format!("parse error on line 1, column {}: extraneous or missing \" in quoted-field", text.len() + 1));
        };
        item.push_str(&quoted[used..used + quote]);
        used += quote + 1;
        match quoted[used..].chars().next() {
            Some('"') => {
                item.push('"');
                used += 1;
            }
            None | Some(',' | '\r' | '\n') => return Ok((item, used)),
            Some(_) => return Err(format!("parse error on line 1, column {}: extraneous or missing \" in quoted-field", from + used)),
        }
    }
}

/// The keys of a `stringToString`: `a=b,c=d`.
pub(super) fn keys(text: &str) -> Result<Vec<String>, String> {
    // One pair needs no quotes, whatever is in it.
    let pairs = if text.matches('=').count() == 1 { vec![text.trim_matches('"').to_owned()] } else { list(text)? };
    let pair = |pair: String| pair.split_once('=').map(|(key, _)| key.to_owned()).ok_or_else(|| format!("{pair} must be formatted as key=value"));
    pairs.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_records_of_csv() {
        for (text, want) in [("", vec![]), ("a", vec!["a"]), ("a,b,", vec!["a", "b", ""]), ("\"a,b\",c", vec!["a,b", "c"]), ("\"a\"\"b\"", vec!["a\"b"])] {
            assert_eq!(list(text).unwrap(), want, "{text}");
        }
        // Recorded: `helm template c --api-versions '"a'`, and `'a"b'`, `'"a"b'`.
        assert_eq!(list("\"a").unwrap_err(), "parse error on line 1, column 3: extraneous or missing \" in quoted-field");
        assert_eq!(list("a\"b").unwrap_err(), "parse error on line 1, column 2: bare \" in non-quoted field");
        assert_eq!(list("\"a\"b").unwrap_err(), "parse error on line 1, column 3: extraneous or missing \" in quoted-field");
    }

    #[test]
    fn durations_switches_and_pairs() {
        for good in ["0", "5m0s", "1.5h", "-3ms", ".5s", "2µs"] {
            assert!(duration(good).is_ok(), "{good}");
        }
        for (bad, want) in [("abc", "time: invalid duration \"abc\""), ("5", "time: missing unit in duration \"5\""), ("", "time: invalid duration \"\"")] {
            assert_eq!(duration(bad).unwrap_err(), want);
        }
        assert_eq!((switch("T"), switch("0")), (Ok(true), Ok(false)));
        assert_eq!(switch("maybe").unwrap_err(), "strconv.ParseBool: parsing \"maybe\": invalid syntax");
        assert_eq!(keys("a=b,c=d=e").unwrap(), ["a", "c"]);
        assert_eq!(keys("x").unwrap_err(), "x must be formatted as key=value");
    }
}

//! Formats (santhosh-tekuri/jsonschema, format.go) and patterns.

use std::net::Ipv6Addr;

use super::{location::decode, problem::quote};
use crate::chart::funcs::regexp;
use crate::chart::log::go_quoted;

/// A known format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    JsonPointer,
    RelativeJsonPointer,
    Uuid,
    Duration,
    Period,
    Ipv4,
    Ipv6,
    Hostname,
    Email,
    Date,
    Time,
    DateTime,
    Uri,
    Iri,
    UriReference,
    IriReference,
    UriTemplate,
    Semver,
    Regex,
}

type Checked = Result<(), String>;

fn fault(text: impl Into<String>) -> Checked {
    Err(text.into())
}

/// A rune as `%q` prints it.
fn rune(c: char) -> String {
    if c == '\'' { "'\\''".to_owned() } else { format!("'{}'", go_quoted(&c.to_string()).trim_matches('"')) }
}

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json-pointer" => Self::JsonPointer,
            "relative-json-pointer" => Self::RelativeJsonPointer,
            "uuid" => Self::Uuid,
            "duration" => Self::Duration,
            "period" => Self::Period,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "hostname" => Self::Hostname,
            "email" => Self::Email,
            "date" => Self::Date,
            "time" => Self::Time,
            "date-time" => Self::DateTime,
            "uri" => Self::Uri,
            "iri" => Self::Iri,
            "uri-reference" => Self::UriReference,
            "iri-reference" => Self::IriReference,
            "uri-template" => Self::UriTemplate,
            "semver" => Self::Semver,
            "regex" => Self::Regex,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::JsonPointer => "json-pointer",
            Self::RelativeJsonPointer => "relative-json-pointer",
            Self::Uuid => "uuid",
            Self::Duration => "duration",
            Self::Period => "period",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Hostname => "hostname",
            Self::Email => "email",
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "date-time",
            Self::Uri => "uri",
            Self::Iri => "iri",
            Self::UriReference => "uri-reference",
            Self::IriReference => "iri-reference",
            Self::UriTemplate => "uri-template",
            Self::Semver => "semver",
            Self::Regex => "regex",
        }
    }

    /// What is wrong with a text.
    pub(super) fn problem(self, text: &str) -> Option<String> {
        let checked = match self {
            Self::JsonPointer => json_pointer(text),
            Self::RelativeJsonPointer => relative_pointer(text),
            Self::Uuid => uuid(text),
            Self::Duration => duration(text),
            Self::Period => period(text),
            Self::Ipv4 => ipv4(text),
            Self::Ipv6 => ipv6(text),
            Self::Hostname => hostname(text),
            Self::Email => email(text),
            Self::Date => date(text),
            Self::Time => time(text),
            Self::DateTime => date_time(text),
            Self::Uri | Self::Iri => uri(text, false),
            Self::UriReference | Self::IriReference if text.contains('\\') => fault("contains \\"),
            Self::UriReference | Self::IriReference => uri(text, true),
            Self::UriTemplate => template(text),
            Self::Semver => semver(text),
            Self::Regex => regexp::compile(text).map(|_| ()),
        };
        checked.err().map(|why| format!("{} is not valid {}: {why}", quote(text), self.name()))
    }
}

fn json_pointer(text: &str) -> Checked {
    if text.is_empty() {
        return Ok(());
    }
    if !text.starts_with('/') {
        return fault("not starting with /");
    }
    for part in text.split('/') {
        let mut rest = part.chars();
        while let Some(c) = rest.next() {
            if c == '~' && !matches!(rest.next(), Some('0' | '1')) {
                return fault("~ must be followed by 0 or 1");
            }
        }
    }
    Ok(())
}

fn relative_pointer(text: &str) -> Checked {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits == 0 {
        return fault("must start with non-negative integer");
    }
    if digits > 1 && text.starts_with('0') {
        return fault("starts with zero");
    }
    match &text[digits..] {
        "#" => Ok(()),
        rest => json_pointer(rest),
    }
}

fn uuid(text: &str) -> Checked {
    let groups: Vec<&str> = text.split('-').collect();
    let sizes = [8, 4, 4, 4, 12];
    if groups.len() != sizes.len() {
        return fault("must have 5 elements");
    }
    for (place, (group, size)) in groups.iter().zip(sizes).enumerate() {
        if group.len() != size {
            return fault(format!("element {} must be {size} characters long", place + 1));
        }
        if let Some(odd) = group.chars().find(|c| !c.is_ascii_hexdigit()) {
            return fault(format!("non-hex character {}", rune(odd)));
        }
    }
    Ok(())
}

fn duration(text: &str) -> Checked {
    let Some(text) = text.strip_prefix('P') else { return fault("must start with P") };
    if text.is_empty() {
        return fault("nothing after P");
    }
    if let Some(weeks) = text.strip_suffix('W') {
        return match weeks {
            "" => fault("no number in week"),
            weeks if weeks.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
            _ => fault("invalid week"),
        };
    }
    let all = ["YMD", "HMS"];
    for (place, mut part) in text.split('T').enumerate() {
        if place != 0 && part.is_empty() {
            return fault("no time elements");
        }
        let Some(mut units) = all.get(place).copied() else { return fault("more than one T") };
        while !part.is_empty() {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            if rest.len() == part.len() {
                return fault("missing number");
            }
            let Some(unit) = rest.chars().next() else { return fault("missing unit") };
            let Some(at) = units.find(unit) else {
                let known = all[place].contains(unit);
                return fault(if known { format!("unit {} out of order", rune(unit)) } else { format!("invalid unit {}", rune(unit)) });
            };
            units = &units[at + 1..];
            part = &rest[unit.len_utf8()..];
        }
    }
    Ok(())
}

fn period(text: &str) -> Checked {
    let Some((start, end)) = text.split_once('/') else { return fault("missing slash") };
    let wrap = |what: &str, checked: Checked| checked.map_err(|why| format!("invalid {what}: {why}"));
    if start.starts_with('P') {
        wrap("start duration", duration(start))?;
        return wrap("end date-time", date_time(end));
    }
    wrap("start date-time", date_time(start))?;
    if end.starts_with('P') { wrap("end duration", duration(end)) } else { wrap("end date-time", date_time(end)) }
}

fn ipv4(text: &str) -> Checked {
    let groups: Vec<&str> = text.split('.').collect();
    if groups.len() != 4 {
        return fault("expected four decimals");
    }
    for group in groups {
        if group.len() > 1 && group.starts_with('0') {
            return fault("leading zeros");
        }
        match group.parse::<i64>() {
            Err(_) => return fault(format!("strconv.Atoi: parsing {}: invalid syntax", go_quoted(group))),
            Ok(number) if !(0..=255).contains(&number) => return fault("decimal must be between 0 and 255"),
            Ok(_) => {}
        }
    }
    Ok(())
}

fn ipv6(text: &str) -> Checked {
    if !text.contains(':') {
        return fault("missing colon");
    }
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    if address.parse::<Ipv6Addr>().is_err() {
        // Go tells where; the most common of its reasons is told here.
        let long = address.split(':').find(|group| group.len() > 4 && group.bytes().all(|b| b.is_ascii_hexdigit()));
        let why = long.map_or_else(
            || "unable to parse IP".to_owned(),
            |group| format!("each group must have 4 or less digits (at {})", go_quoted(&address[address.find(group).unwrap_or(0)..])),
        );
        return fault(format!("ParseAddr({}): {why}", go_quoted(text)));
    }
    if zone.is_some() { fault("zone id is not a part of ipv6 address") } else { Ok(()) }
}

fn hostname(text: &str) -> Checked {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 253 {
        return fault("more than 253 characters long");
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return fault("label must be 1 to 63 characters long");
        }
        if label.starts_with('-') {
            return fault("label starts with hyphen");
        }
        if label.ends_with('-') {
            return fault("label ends with hyphen");
        }
        if let Some(odd) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            return fault(format!("invalid character {}", rune(odd)));
        }
    }
    Ok(())
}

fn email(text: &str) -> Checked {
    if text.len() > 254 {
        return fault("more than 255 characters long");
    }
    let Some((local, domain)) = text.rsplit_once('@') else { return fault("missing @") };
    if local.len() > 64 {
        return fault("local part more than 64 characters long");
    }
    if local.len() > 1 && local.starts_with('"') && local.ends_with('"') {
        if local[1..local.len() - 1].contains(['\\', '"']) {
            return fault("backslash and quote are not allowed within quoted local part");
        }
    } else if local.starts_with('.') {
        return fault("starts with dot");
    } else if local.ends_with('.') {
        return fault("ends with dot");
    } else if local.contains("..") {
        return fault("consecutive dots");
    } else if let Some(odd) = local.chars().find(|c| !c.is_ascii_alphanumeric() && !".!#$%&'*+-/=?^_`{|}~".contains(*c)) {
        return fault(format!("invalid character {}", rune(odd)));
    }
    if let Some(address) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.strip_prefix("IPv6:") {
            Some(address) => ipv6(address).map_err(|why| format!("invalid ipv6 address: {why}")),
            None => ipv4(address).map_err(|why| format!("invalid ipv4 address: {why}")),
        };
    }
    hostname(domain).map_err(|why| format!("invalid domain: {why}"))
}

/// `time.Parse("2006-01-02", …)`, with its errors.
fn date(text: &str) -> Checked {
    let wrong =
        |rest: &str, wanted: &str| fault(format!("parsing time {} as \"2006-01-02\": cannot parse {} as \"{wanted}\"", go_quoted(text), go_quoted(rest)));
    let mut rest = text;
    let mut numbers = [0_u32; 3];
    for (place, (size, wanted)) in [(4, "2006"), (2, "01"), (2, "02")].into_iter().enumerate() {
        if place > 0 {
            let Some(after) = rest.strip_prefix('-') else { return wrong(rest, "-") };
            rest = after;
        }
        match rest.get(..size).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).and_then(|digits| digits.parse().ok()) {
            Some(number) => numbers[place] = number,
            None => return wrong(rest, wanted),
        }
        rest = &rest[size..];
        if place == 1 && !(1..=12).contains(&numbers[1]) {
            return fault(format!("parsing time {}: month out of range", go_quoted(text)));
        }
    }
    if !rest.is_empty() {
        return fault(format!("parsing time {}: extra text: {}", go_quoted(text), go_quoted(rest)));
    }
    let [year, month, day] = numbers;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if (1..=days).contains(&day) { Ok(()) } else { fault(format!("parsing time {}: day out of range", go_quoted(text))) }
}

fn numbers(text: &str, what: &str) -> Result<Vec<i32>, String> {
    text.split(':')
        .map(|part| match part.parse::<i32>() {
            Err(_) => Err(format!("invalid {what}")),
            Ok(number) if number < 0 => Err(format!("non-positive {what}")),
            Ok(number) => Ok(number),
        })
        .collect()
}

fn time(text: &str) -> Checked {
    if text.len() < 9 {
        return fault("less than 9 characters long");
    }
    let (Some(clock), Some(mut rest)) = (text.get(..8), text.get(8..)) else { return fault("missing colon in correct place") };
    if clock.as_bytes()[2] != b':' || clock.as_bytes()[5] != b':' {
        return fault("missing colon in correct place");
    }
    let clock = numbers(clock, "hour/min/sec")?;
    let [mut hour, mut minute, second] = clock[..] else { return fault("missing hour/min/sec") };
    if hour > 23 || minute > 59 || second > 60 {
        return fault("hour/min/sec out of range");
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() == fraction.len() {
            return fault("no digits in second fraction");
        }
    }
    if rest != "z" && rest != "Z" {
        let offset = zone(rest)?;
        let mut both = hour * 60 + minute + offset;
        if both < 0 {
            both += 24 * 60;
        }
        (hour, minute) = (both / 60, both % 60);
    }
    if second >= 60 && (hour != 23 || minute != 59) { fault("invalid leap second") } else { Ok(()) }
}

/// Minutes to add for an offset.
fn zone(text: &str) -> Result<i32, String> {
    if text.len() != 6 || !text.is_ascii() {
        return Err("offset must be 6 characters long".to_owned());
    }
    let sign = match text.as_bytes()[0] {
        b'+' => -1,
        b'-' => 1,
        _ => return Err("offset must begin with plus/minus".to_owned()),
    };
    if text.as_bytes()[3] != b':' {
        return Err("missing colon in offset in correct place".to_owned());
    }
    let parts = numbers(&text[1..], "hour/min in offset")?;
    match parts[..] {
        [hour, minute] if hour <= 23 && minute <= 59 => Ok(sign * (hour * 60 + minute)),
        _ => Err("hour/min in offset out of range".to_owned()),
    }
}

fn date_time(text: &str) -> Checked {
    if text.len() < 20 {
        return fault("less than 20 characters long");
    }
    let (Some(day), Some(clock)) = (text.get(..10), text.get(11..)) else { return fault("11th character must be t or T") };
    if !matches!(text.as_bytes()[10], b't' | b'T') {
        return fault("11th character must be t or T");
    }
    date(day).map_err(|why| format!("invalid date element: {why}"))?;
    time(clock).map_err(|why| format!("invalid time element: {why}"))
}

/// `url.Parse`, as far as it finds faults.
fn uri(text: &str, relative: bool) -> Checked {
    let wrong = |why: &str| fault(format!("parse {}: {why}", go_quoted(text)));
    if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return wrong("net/url: invalid control character in URL");
    }
    let whole = text.split('#').next().unwrap_or_default();
    let mut scheme = None;
    for (at, c) in whole.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return wrong("missing protocol scheme"),
            ':' => {
                scheme = Some(&whole[..at]);
                break;
            }
            _ => break,
        }
    }
    let rest = scheme.map_or(whole, |scheme| &whole[scheme.len() + 1..]);
    if scheme.is_none() && !rest.starts_with('/') && rest.split(['/', '?']).next().unwrap_or_default().contains(':') {
        return wrong("first path segment in URL cannot contain colon");
    }
    if let Some(at) = rest.find('%') {
        let escape: String = rest[at..].chars().take(3).collect();
        if decode(rest).is_none() {
            return wrong(&format!("invalid URL escape {}", go_quoted(&escape)));
        }
    }
    if let Some(host) = rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default()) {
        if host.contains(' ') {
            return wrong("invalid character \" \" in host name");
        }
        if host.starts_with('[') && !host.contains(']') {
            return wrong("missing ']' in host");
        }
    }
    if scheme.is_none() && !relative { fault("relative url") } else { Ok(()) }
}

fn template(text: &str) -> Checked {
    uri(text, true)?;
    for part in text.split('/') {
        let mut open = false;
        for c in part.chars().filter(|c| matches!(c, '{' | '}')) {
            if open == (c == '{') {
                return fault("nested curly braces");
            }
            open = !open;
        }
        if open {
            return fault("no matching closing brace");
        }
    }
    Ok(())
}

fn semver(text: &str) -> Checked {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    if let Some(build) = build {
        if build.is_empty() {
            return fault("build is empty");
        }
        for part in build.split('.') {
            if part.is_empty() {
                return fault("build identifier is empty");
            }
            if let Some(odd) = part.chars().find(|c| !plain(*c)) {
                return fault(format!("invalid character {} in build identifier", rune(odd)));
            }
        }
    }
    let (text, before) = text.split_once('-').map_or((text, None), |(text, before)| (text, Some(before)));
    for part in before.into_iter().flat_map(|before| before.split('.')) {
        if part.is_empty() {
            return fault("pre-release identifier is empty");
        }
        if let Some(odd) = part.chars().find(|c| !plain(*c)) {
            return fault(format!("invalid character {} in pre-release identifier", rune(odd)));
        }
        if part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()) {
            return fault("pre-release numeric identifier starts with zero");
        }
    }
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() != 3 {
        return fault("versionCore must have 3 numbers separated by dot");
    }
    for (part, name) in parts.into_iter().zip(["major", "minor", "patch"]) {
        if part.is_empty() {
            return fault(format!("{name} is empty"));
        }
        if part.len() > 1 && part.starts_with('0') {
            return fault(format!("{name} starts with zero"));
        }
        if !part.bytes().all(|b| b.is_ascii_digit()) {
            return fault(format!("{name} contains non-digit"));
        }
    }
    Ok(())
}

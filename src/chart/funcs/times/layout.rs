//! Go's time layouts (time/format.go): what their elements are, and writing a time.

use std::fmt::Write as _;

use super::moment::{Civil, Moment};
use crate::chart::meter;

/// The elements of a layout that do not begin a longer word; of two that fit, the longer stands first.
const ELEMENTS: &[&str] = &[
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "1",
    "2006",
    "2",
    "__2",
    "_2",
    "3",
    "4",
    "5",
    "PM",
    "pm",
    "-070000",
    "-07:00:00",
    "-0700",
    "-07:00",
    "-07",
    "Z070000",
    "Z07:00:00",
    "Z0700",
    "Z07:00",
    "Z07",
];
pub(super) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The package's own `quote`: what is no plain ASCII is written byte by byte.
pub(super) fn quote(text: &str) -> String {
    let mut out = "\"".to_owned();
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' | 0x7f => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out + "\""
}

/// The element at the start of a layout, or a fraction (`.000`, `,999`).
fn element(rest: &str) -> Option<&str> {
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digit = fraction.chars().next().filter(|c| matches!(c, '0' | '9'))?;
        let length = fraction.len() - fraction.trim_start_matches(digit).len();
        return (!fraction[length..].starts_with(|c: char| c.is_ascii_digit())).then(|| &rest[..=length]);
    }
    // `_2006` is a line below, and a year.
    if rest.starts_with("_2006") {
        return None;
    }
    let found = ELEMENTS.iter().find(|e| rest.starts_with(**e))?;
    let word = matches!(*found, "Jan" | "Mon") && rest[3..].starts_with(|c: char| c.is_ascii_lowercase());
    (!word).then(|| &rest[..found.len()])
}

/// `nextStdChunk`: the text before the next element, the element (empty at the end), and what follows.
pub(super) fn next(layout: &str) -> (&str, &str, &str) {
    for (at, _) in layout.char_indices() {
        if let Some(found) = element(&layout[at..]) {
            return (&layout[..at], found, &layout[at + found.len()..]);
        }
    }
    (layout, "", "")
}

/// Whether an element is a fraction of a second.
pub(super) fn is_fraction(element: &str) -> bool {
    element.starts_with(['.', ','])
}

/// `Time.Format`.
pub(super) fn format(layout: &str, time: &Moment) -> String {
    // An element may print as more than twice its length. What ends the run is told where the call ends.
    if meter::reading(layout.len() as u64 * 32).and_then(|()| meter::bytes(layout.len() as u64 * 3)).is_err() {
        return String::new();
    }
    let civil = time.civil();
    let (mut out, mut rest) = (String::new(), layout);
    loop {
        let (before, element, after) = next(rest);
        out.push_str(before);
        if element.is_empty() {
            return out;
        }
        write(&mut out, element, time, &civil);
        rest = after;
    }
}

/// The name of a number, from zero; where there is none, the number.
fn named(names: &[&str], number: i64) -> String {
    usize::try_from(number).ok().and_then(|at| names.get(at)).map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

/// `appendInt`: the sign does not count in the width.
fn padded(number: i64, width: usize) -> String {
    format!("{}{:0width$}", if number < 0 { "-" } else { "" }, number.unsigned_abs())
}

fn write(out: &mut String, element: &str, time: &Moment, civil: &Civil) {
    let month = || named(&MONTHS, civil.month - 1);
    let day = || named(&DAYS, civil.weekday);
    let hour = (civil.hour + 11) % 12 + 1;
    let text = match element {
        "January" => month(),
        "Jan" => month().chars().take(3).collect(),
        "Monday" => day(),
        "Mon" => day().chars().take(3).collect(),
        "MST" => zone_name(time),
        "2006" => padded(civil.year, 4),
        "06" => padded(civil.year.abs() % 100, 2),
        "01" => padded(civil.month, 2),
        "1" => civil.month.to_string(),
        "02" => padded(civil.day, 2),
        "_2" => format!("{:2}", civil.day),
        "2" => civil.day.to_string(),
        "__2" => format!("{:3}", civil.year_day),
        "002" => padded(civil.year_day, 3),
        "15" => padded(civil.hour, 2),
        "03" => padded(hour, 2),
        "3" => hour.to_string(),
        "04" => padded(civil.minute, 2),
        "4" => civil.minute.to_string(),
        "05" => padded(civil.second, 2),
        "5" => civil.second.to_string(),
        "PM" => if civil.hour < 12 { "AM" } else { "PM" }.to_owned(),
        "pm" => if civil.hour < 12 { "am" } else { "pm" }.to_owned(),
        fraction if is_fraction(fraction) => {
            let digits = format!("{:09}", time.nanos);
            let digits = format!("{digits:0<width$.width$}", width = (fraction.len() - 1).min(9));
            let digits = if fraction.ends_with('9') { digits.trim_end_matches('0') } else { &digits };
            if digits.is_empty() { String::new() } else { format!("{}{digits}", &fraction[..1]) }
        }
        zone => offset(zone, time.zone().1),
    };
    out.push_str(&text);
}

/// A zone without a name shows its offset.
fn zone_name(time: &Moment) -> String {
    let (name, seconds) = time.zone();
    if name.is_empty() { offset("-0700", seconds) } else { name }
}

fn offset(element: &str, seconds: i32) -> String {
    if element.starts_with('Z') && seconds == 0 {
        return "Z".to_owned();
    }
    // Less than a minute has no sign.
    let sign = if seconds / 60 < 0 { '-' } else { '+' };
    let (hours, minutes, rest) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    match &element[1..] {
        "07" => format!("{sign}{hours:02}"),
        "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
        "070000" => format!("{sign}{hours:02}{minutes:02}{rest:02}"),
        "07:00:00" => format!("{sign}{hours:02}:{minutes:02}:{rest:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}"),
    }
}

//! Reading a time by a layout (`parse` in time/format.go), with Go's errors.

use std::sync::Arc;

use super::layout::{DAYS, MONTHS, is_fraction, next, quote};
use super::moment::{Civil, Location, Moment};
use crate::chart::meter;

/// Why one element could not be read.
enum Bad {
    /// It is something else.
    Value,
    /// It is out of range.
    Range(&'static str),
}

type Read<'a, T> = Result<(T, &'a str), Bad>;

#[derive(Default)]
struct Parts {
    civil: Civil,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    nanos: i64,
    /// Whether AM or PM was said.
    afternoon: Option<bool>,
    utc: bool,
    offset: Option<i32>,
    zone: String,
}

/// `time.ParseInLocation` in the local zone.
pub(super) fn parse(layout: &str, value: &str) -> Result<Moment, String> {
    meter::reading((layout.len() + value.len()) as u64 * 32)?;
    let (mut parts, mut rest, mut input) = (Parts::default(), layout, value);
    let cannot =
        |input: &str, element: &str| format!("parsing time {} as {}: cannot parse {} as {}", quote(value), quote(layout), quote(input), quote(element));
    let message = |text: &str| format!("parsing time {}: {text}", quote(value));
    loop {
        let (before, element, after) = next(rest);
        input = skip(input, before).map_err(|at| cannot(at, before))?;
        if element.is_empty() {
            if !input.is_empty() {
                return Err(message(&format!("extra text: {}", quote(input))));
            }
            break;
        }
        input = match read(element, after, input, &mut parts) {
            Ok(input) => input,
            Err(Bad::Value) => return Err(cannot(input, element)),
            Err(Bad::Range(what)) => return Err(message(&format!("{what} out of range"))),
        };
        rest = after;
    }
    finish(parts).map_err(message)
}

/// `skip`: the text between elements; spaces fit any number of spaces.
fn skip<'a>(value: &'a str, prefix: &str) -> Result<&'a str, &'a str> {
    let (mut value, mut prefix) = (value, prefix);
    while let Some(c) = prefix.chars().next() {
        if c == ' ' {
            if !value.is_empty() && !value.starts_with(' ') {
                return Err(value);
            }
            prefix = prefix.trim_start_matches(' ');
            value = value.trim_start_matches(' ');
            continue;
        }
        value = value.strip_prefix(c).ok_or(value)?;
        prefix = &prefix[c.len_utf8()..];
    }
    Ok(value)
}

/// `isLeap`.
fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// `daysBefore`, of a year that is no leap year.
fn days_before(month: i64) -> i64 {
    super::moment::days(2021, month, 1) - super::moment::days(2021, 1, 1)
}

/// Month and day of a day of the year.
fn from_year_day(parts: &Parts, number: i64) -> Result<(i64, i64), &'static str> {
    let leap = leap(parts.civil.year);
    let (month, day) = if leap && number == 60 {
        (2, 29)
    } else {
        let number = number - i64::from(leap && number > 60);
        if !(1..=365).contains(&number) {
            return Err("day-of-year out of range");
        }
        let month = (1..=12).rev().find(|month| days_before(*month) < number).unwrap_or(1);
        (month, number - days_before(month))
    };
    match (parts.month, parts.day) {
        (Some(said), _) if said != month => Err("day-of-year does not match month"),
        (_, Some(said)) if said != day => Err("day-of-year does not match day"),
        _ => Ok((month, day)),
    }
}

fn finish(parts: Parts) -> Result<Moment, &'static str> {
    let (month, day) = match parts.year_day {
        Some(number) => from_year_day(&parts, number)?,
        None => (parts.month.unwrap_or(1), parts.day.unwrap_or(1)),
    };
    let last = days_before(month + 1) - days_before(month) + i64::from(month == 2 && leap(parts.civil.year));
    if !(1..=last).contains(&day) {
        return Err("day out of range");
    }
    let hour = match parts.afternoon {
        Some(true) if parts.civil.hour < 12 => parts.civil.hour + 12,
        Some(false) if parts.civil.hour == 12 => 0,
        _ => parts.civil.hour,
    };
    let civil = Civil { month, day, hour, ..parts.civil };
    let in_utc = || Moment::at(civil, parts.nanos, Location::Utc);
    if parts.utc {
        return Ok(in_utc());
    }
    // An offset of -1 is none to Go.
    if let Some(offset) = parts.offset.filter(|offset| *offset != -1) {
        let mut time = in_utc();
        time.seconds = time.seconds.wrapping_sub(i64::from(offset));
        let (name, local, _) = Location::Local.zone(time.seconds);
        let fits = local == offset && (parts.zone.is_empty() || name == parts.zone);
        return Ok(time.within(if fits { Location::Local } else { Location::Fixed(Arc::from(parts.zone), offset) }));
    }
    if parts.zone.is_empty() {
        return Ok(Moment::at(civil, parts.nanos, Location::Local));
    }
    let mut time = in_utc();
    if let Some(offset) = Location::Local.offset_of(&parts.zone, time.seconds) {
        time.seconds = time.seconds.wrapping_sub(i64::from(offset));
        return Ok(time.within(Location::Local));
    }
    let hours: i32 = parts.zone.strip_prefix("GMT").and_then(|hours| hours.parse().ok()).unwrap_or(0);
    Ok(time.within(Location::Fixed(Arc::from(parts.zone), hours * 3600)))
}

/// `getnum`.
fn number(input: &str, fixed: bool) -> Read<'_, i64> {
    let count = input.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if count == 0 || (fixed && count < 2) {
        return Err(Bad::Value);
    }
    Ok((input[..count].parse().unwrap_or(0), &input[count..]))
}

/// `getnum3`.
fn year_day(input: &str, fixed: bool) -> Read<'_, i64> {
    let count = input.bytes().take(3).take_while(u8::is_ascii_digit).count();
    if count == 0 || (fixed && count < 3) {
        return Err(Bad::Value);
    }
    Ok((input[..count].parse().unwrap_or(0), &input[count..]))
}

/// The first characters, which must be digits (`atoi`, which also takes a sign).
fn digits(input: &str, count: usize) -> Read<'_, i64> {
    let text = input.get(..count).ok_or(Bad::Value)?;
    Ok((text.parse().map_err(|_| Bad::Value)?, &input[count..]))
}

/// `lookup`: a name, in any case; its number from 1.
fn name<'a>(names: &[&str], short: bool, input: &'a str) -> Read<'a, i64> {
    let length = |name: &str| if short { 3 } else { name.len() };
    let found = (1..).zip(names).find(|(_, n)| input.get(..length(n)).is_some_and(|i| n[..length(n)].eq_ignore_ascii_case(i)));
    found.map(|(number, name)| (number, &input[length(name)..])).ok_or(Bad::Value)
}

fn within<'a>(found: (i64, &'a str), range: std::ops::Range<i64>, what: &'static str) -> Read<'a, i64> {
    if range.contains(&found.0) { Ok(found) } else { Err(Bad::Range(what)) }
}

/// `parseNanoseconds`, of a mark and digits; more than nine are cut off.
fn nanoseconds(text: &str) -> Result<i64, Bad> {
    let digits = text.strip_prefix(['.', ',']).ok_or(Bad::Value)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Bad::Value);
    }
    format!("{digits:0<9.9}").parse().map_err(|_| Bad::Value)
}

/// A mark and all digits behind it, if it begins so.
fn fraction(input: &str) -> Option<(&str, &str)> {
    let count = input.strip_prefix(['.', ','])?.bytes().take_while(u8::is_ascii_digit).count();
    (count > 0).then(|| input.split_at(count + 1))
}

/// Reads one element; `after` is the layout behind it.
fn read<'a>(element: &str, after: &str, input: &'a str, parts: &mut Parts) -> Result<&'a str, Bad> {
    let fixed = element.starts_with('0');
    let civil = &mut parts.civil;
    let rest;
    match element {
        "06" => {
            let (year, tail) = digits(input, 2)?;
            (civil.year, rest) = (if year >= 69 { 1900 + year } else { 2000 + year }, tail);
        }
        "2006" if !input.starts_with(|c: char| c.is_ascii_digit()) => return Err(Bad::Value),
        "2006" => (civil.year, rest) = digits(input, 4)?,
        "January" | "Jan" => {
            let (month, tail) = name(&MONTHS, element == "Jan", input)?;
            (parts.month, rest) = (Some(month), tail);
        }
        "01" | "1" => {
            let (month, tail) = within(number(input, fixed)?, 1..13, "month")?;
            (parts.month, rest) = (Some(month), tail);
        }
        "Monday" | "Mon" => rest = name(&DAYS, element == "Mon", input)?.1,
        "02" | "_2" | "2" => {
            let input = if element == "_2" { input.strip_prefix(' ').unwrap_or(input) } else { input };
            let (day, tail) = number(input, fixed)?;
            (parts.day, rest) = (Some(day), tail);
        }
        "002" | "__2" => {
            let spaces = if fixed { 0 } else { input.bytes().take(2).take_while(|b| *b == b' ').count() };
            let (number, tail) = year_day(&input[spaces..], fixed)?;
            (parts.year_day, rest) = (Some(number), tail);
        }
        "15" => (civil.hour, rest) = within(number(input, false)?, 0..24, "hour")?,
        "03" | "3" => (civil.hour, rest) = within(number(input, fixed)?, 0..13, "hour")?,
        "04" | "4" => (civil.minute, rest) = within(number(input, fixed)?, 0..60, "minute")?,
        "05" | "5" => {
            let (second, tail) = within(number(input, fixed)?, 0..60, "second")?;
            civil.second = second;
            // A fraction may follow that the layout does not have.
            match fraction(tail) {
                Some((found, tail)) if !is_fraction(next(after).1) => {
                    parts.nanos = nanoseconds(found)?;
                    rest = tail;
                }
                _ => rest = tail,
            }
        }
        "PM" | "pm" => {
            let half = input.get(..2).ok_or(Bad::Value)?;
            let small = element == "pm";
            parts.afternoon = Some(match half {
                "PM" if !small => true,
                "AM" if !small => false,
                "pm" if small => true,
                "am" if small => false,
                _ => return Err(Bad::Value),
            });
            rest = &input[2..];
        }
        "MST" => rest = zone(input, parts)?,
        exact if is_fraction(exact) && exact.ends_with('0') => {
            parts.nanos = nanoseconds(input.get(..exact.len()).ok_or(Bad::Value)?)?;
            rest = &input[exact.len()..];
        }
        any if is_fraction(any) => {
            let (found, tail) = fraction(input).unwrap_or((".0", input));
            parts.nanos = nanoseconds(found)?;
            rest = tail;
        }
        offset => rest = read_offset(offset, input, parts)?,
    }
    Ok(rest)
}

fn zone<'a>(input: &'a str, parts: &mut Parts) -> Result<&'a str, Bad> {
    if let Some(rest) = input.strip_prefix("UTC") {
        parts.utc = true;
        return Ok(rest);
    }
    let length = zone_length(input).ok_or(Bad::Value)?;
    input[..length].clone_into(&mut parts.zone);
    Ok(&input[length..])
}

/// `parseTimeZone`.
fn zone_length(input: &str) -> Option<usize> {
    if input.len() < 3 {
        return None;
    }
    if input.starts_with("ChST") || input.starts_with("MeST") {
        return Some(4);
    }
    if let Some(offset) = input.strip_prefix("GMT") {
        return Some(3 + signed_offset(offset));
    }
    if input.starts_with(['+', '-']) {
        return Some(signed_offset(input)).filter(|length| *length > 0);
    }
    match input.bytes().take(6).take_while(u8::is_ascii_uppercase).count() {
        5 if input.as_bytes()[4] == b'T' => Some(5),
        4 if input.as_bytes()[3] == b'T' || input.starts_with("WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// `parseSignedOffset`: how long it is, 0 if there is none.
fn signed_offset(input: &str) -> usize {
    let Some(hours) = input.strip_prefix(['+', '-']) else { return 0 };
    let count = hours.bytes().take_while(u8::is_ascii_digit).count();
    if hours[..count].parse::<u64>().is_ok_and(|hours| hours <= 23) { count + 1 } else { 0 }
}

fn read_offset<'a>(element: &str, input: &'a str, parts: &mut Parts) -> Result<&'a str, Bad> {
    if element.starts_with('Z')
        && let Some(rest) = input.strip_prefix('Z')
    {
        parts.utc = true;
        return Ok(rest);
    }
    let text = input.get(..element.len()).ok_or(Bad::Value)?;
    // Colons stand where the layout has them.
    if (3..element.len()).any(|at| element.as_bytes()[at] == b':' && text.as_bytes()[at] != b':') {
        return Err(Bad::Value);
    }
    let sign = text.as_bytes()[0];
    let mut numbers = text[1..].split(':').flat_map(|part| part.as_bytes().chunks(2)).map(|pair| match pair {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Ok(i32::from(a - b'0') * 10 + i32::from(b - b'0')),
        _ => Err(Bad::Value),
    });
    let mut next = || numbers.next().unwrap_or(Ok(0));
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    let limits = [(hours, 24, "time zone offset hour"), (minutes, 60, "time zone offset minute"), (seconds, 60, "time zone offset second")];
    if let Some((.., what)) = limits.into_iter().find(|(number, most, _)| number > most) {
        return Err(Bad::Range(what));
    }
    let offset = (hours * 60 + minutes) * 60 + seconds;
    parts.offset = Some(match sign {
        b'+' => offset,
        b'-' => -offset,
        _ => return Err(Bad::Value),
    });
    Ok(&input[element.len()..])
}

//! Go's time layouts and durations (time/format.go).

use jiff::{Zoned, civil, tz::TimeZone};

use crate::chart::meter;

/// The elements of a layout; of two that fit, the longer stands first.
const ELEMENTS: &[&str] = &[
    "January", "Jan", "Monday", "Mon", "MST", "2006", "_2", "002", "01", "02", "03", "04", "05", "06", "15", "-07:00", "-0700", "-07", "Z07:00", "Z0700", "PM",
    "pm", "1", "2", "3", "4", "5",
];
const MONTHS: [&str; 12] = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The element at the start of a layout, or a fraction (`.000`, `,999`).
fn element(rest: &str) -> Option<&str> {
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digit = fraction.chars().next().filter(|c| matches!(c, '0' | '9'))?;
        let length = fraction.len() - fraction.trim_start_matches(digit).len();
        return (!fraction[length..].starts_with(|c: char| c.is_ascii_digit())).then(|| &rest[..=length]);
    }
    let found = ELEMENTS.iter().find(|e| rest.starts_with(**e))?;
    let word = matches!(*found, "Jan" | "Mon") && rest[3..].starts_with(|c: char| c.is_ascii_lowercase());
    (!word).then(|| &rest[..found.len()])
}

/// Go's zero time.
pub(super) fn zero() -> Zoned {
    civil::date(1, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).expect("year 1 is within jiff's range")
}

/// `Time.Format`.
pub(super) fn format(layout: &str, time: &Zoned) -> String {
    // An element may print as more than twice its length. What ends the run is told where the call ends.
    if meter::reading(layout.len() as u64 * 32).and_then(|()| meter::bytes(layout.len() as u64 * 3)).is_err() {
        return String::new();
    }
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        if let Some(found) = element(rest) {
            out.push_str(&print(found, time));
            rest = &rest[found.len()..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn print(element: &str, time: &Zoned) -> String {
    let month = MONTHS[usize::from(time.month().unsigned_abs()) - 1];
    let day = DAYS[usize::from(time.weekday().to_sunday_zero_offset().unsigned_abs())];
    let hour = (time.hour() + 11) % 12 + 1;
    match element {
        "January" => month.to_owned(),
        "Jan" => month[..3].to_owned(),
        "Monday" => day.to_owned(),
        "Mon" => day[..3].to_owned(),
        "MST" => time.time_zone().to_offset_info(time.timestamp()).abbreviation().to_owned(),
        "2006" => format!("{:04}", time.year()),
        "06" => format!("{:02}", time.year().rem_euclid(100)),
        "01" => format!("{:02}", time.month()),
        "1" => time.month().to_string(),
        "02" => format!("{:02}", time.day()),
        "_2" => format!("{:2}", time.day()),
        "2" => time.day().to_string(),
        "002" => format!("{:03}", time.day_of_year()),
        "15" => format!("{:02}", time.hour()),
        "03" => format!("{hour:02}"),
        "3" => hour.to_string(),
        "04" => format!("{:02}", time.minute()),
        "4" => time.minute().to_string(),
        "05" => format!("{:02}", time.second()),
        "5" => time.second().to_string(),
        "PM" => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        "pm" => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
        zone if zone.starts_with(['-', 'Z']) => offset(zone, time.offset().seconds()),
        fraction => {
            let digits = format!("{:09}", time.subsec_nanosecond());
            let digits = &digits[..(fraction.len() - 1).min(9)];
            let digits = if fraction.ends_with('9') { digits.trim_end_matches('0') } else { digits };
            if digits.is_empty() { String::new() } else { format!("{}{digits}", &fraction[..1]) }
        }
    }
}

fn offset(element: &str, seconds: i32) -> String {
    if element.starts_with('Z') && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    match element {
        "-07" => format!("{sign}{hours:02}"),
        "-07:00" | "Z07:00" => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}"),
    }
}

#[derive(Default)]
struct Parts {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    offset: Option<i32>,
}

/// `time.ParseInLocation` in the local zone.
pub(super) fn parse(layout: &str, value: &str) -> Result<Zoned, String> {
    let quote = crate::chart::gotmpl::quote;
    meter::reading((layout.len() + value.len()) as u64 * 32)?;
    let fail = |at: &str| format!("parsing time {} as {}: cannot parse {}", quote(value), quote(layout), quote(at));
    let mut parts = Parts { month: 1, day: 1, ..Parts::default() };
    let (mut rest, mut input) = (layout, value);
    while let Some(c) = rest.chars().next() {
        if let Some(found) = element(rest) {
            input = read(found, input, &mut parts).ok_or_else(|| fail(input))?;
            rest = &rest[found.len()..];
        } else {
            input = input.strip_prefix(c).ok_or_else(|| fail(input))?;
            rest = &rest[c.len_utf8()..];
        }
    }
    if !input.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", quote(value), quote(input)));
    }
    let hour = match parts.afternoon {
        Some(true) if parts.hour < 12 => parts.hour + 12,
        Some(false) if parts.hour == 12 => 0,
        _ => parts.hour,
    };
    let out_of_range = |_| format!("parsing time {}: out of range", quote(value));
    let time = civil::DateTime::new(parts.year, parts.month, parts.day, hour, parts.minute, parts.second, parts.nanosecond).map_err(out_of_range)?;
    let zone = match parts.offset {
        None => TimeZone::system(),
        Some(0) => TimeZone::UTC,
        Some(seconds) => TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).map_err(out_of_range)?),
    };
    time.to_zoned(zone).map_err(out_of_range)
}

fn digits(input: &str, least: usize, most: usize) -> Option<(i32, &str)> {
    let length = input.bytes().take(most).take_while(u8::is_ascii_digit).count();
    (length >= least).then_some(())?;
    Some((input[..length].parse().ok()?, &input[length..]))
}

fn small(input: &str, least: usize) -> Option<(i8, &str)> {
    let (number, rest) = digits(input, least, 2)?;
    Some((i8::try_from(number).ok()?, rest))
}

fn name<'a>(names: &[&str], short: bool, input: &'a str) -> Option<(i8, &'a str)> {
    let length = |name: &str| if short { 3 } else { name.len() };
    let at = names.iter().position(|n| input.get(..length(n)).is_some_and(|i| n[..length(n)].eq_ignore_ascii_case(i)))?;
    Some((i8::try_from(at).ok()? + 1, &input[length(names[at])..]))
}

fn read<'a>(element: &str, input: &'a str, parts: &mut Parts) -> Option<&'a str> {
    let (target, (number, rest)) = match element {
        "2006" => {
            let (year, rest) = digits(input, 4, 4)?;
            parts.year = i16::try_from(year).ok()?;
            return Some(rest);
        }
        "06" => {
            let (year, rest) = digits(input, 2, 2)?;
            parts.year = i16::try_from(if year >= 69 { 1900 + year } else { 2000 + year }).ok()?;
            return Some(rest);
        }
        "January" | "Jan" => (&mut parts.month, name(&MONTHS, element == "Jan", input)?),
        "Monday" | "Mon" => return name(&DAYS, element == "Mon", input).map(|(_, rest)| rest),
        "01" => (&mut parts.month, small(input, 2)?),
        "1" => (&mut parts.month, small(input, 1)?),
        "02" => (&mut parts.day, small(input, 2)?),
        "_2" => return read("2", input.trim_start_matches(' '), parts),
        "2" => (&mut parts.day, small(input, 1)?),
        "15" | "03" => (&mut parts.hour, small(input, 2)?),
        "3" => (&mut parts.hour, small(input, 1)?),
        "04" => (&mut parts.minute, small(input, 2)?),
        "4" => (&mut parts.minute, small(input, 1)?),
        "05" => (&mut parts.second, small(input, 2)?),
        "5" => (&mut parts.second, small(input, 1)?),
        "PM" | "pm" => {
            let half = input.get(..2)?;
            parts.afternoon = Some(half.eq_ignore_ascii_case("pm"));
            return (half.eq_ignore_ascii_case("pm") || half.eq_ignore_ascii_case("am")).then(|| &input[2..]);
        }
        "MST" => {
            let length = input.bytes().take_while(u8::is_ascii_uppercase).count();
            parts.offset = matches!(&input[..length], "UTC" | "GMT").then_some(0).or(parts.offset);
            return (length >= 3).then(|| &input[length..]);
        }
        "002" => return None,
        zone if zone.starts_with(['-', 'Z']) => return read_offset(zone, input, parts),
        _ => {
            let text = input.strip_prefix(['.', ','])?;
            let length = text.bytes().take_while(u8::is_ascii_digit).count();
            parts.nanosecond = format!("{:0<9.9}", &text[..length]).parse().ok()?;
            return Some(&text[length..]);
        }
    };
    *target = number;
    Some(rest)
}

fn read_offset<'a>(element: &str, input: &'a str, parts: &mut Parts) -> Option<&'a str> {
    if element.starts_with('Z')
        && let Some(rest) = input.strip_prefix('Z')
    {
        parts.offset = Some(0);
        return Some(rest);
    }
    let sign = if input.starts_with('-') { -1 } else { 1 };
    let (hours, rest) = digits(input.strip_prefix(['-', '+'])?, 2, 2)?;
    let (minutes, rest) = match element {
        "-07" => (0, rest),
        "-07:00" | "Z07:00" => digits(rest.strip_prefix(':')?, 2, 2)?,
        _ => digits(rest, 2, 2)?,
    };
    parts.offset = Some(sign * (hours * 3600 + minutes * 60));
    Some(rest)
}

/// `time.ParseDuration`, in nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 8] = [("ns", 1.0), ("us", 1e3), ("\u{b5}s", 1e3), ("\u{3bc}s", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    meter::reading(text.len() as u64 * 16).ok()?;
    let mut total = 0_i64;
    loop {
        let length = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let number: f64 = rest[..length].parse().ok()?;
        let tail = &rest[length..];
        let end = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (_, size) = UNITS.iter().find(|(unit, _)| *unit == &tail[..end])?;
        let nanoseconds = number * size;
        if nanoseconds > 9.2e18 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked just before")]
        let nanoseconds = nanoseconds as i64;
        total = total.checked_add(nanoseconds)?;
        rest = &tail[end..];
        if rest.is_empty() {
            return Some(if text.starts_with('-') { -total } else { total });
        }
    }
}

/// `Duration.String`.
pub(super) fn duration_string(nanoseconds: i64) -> String {
    let size = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let part = |unit: u64| {
        let (whole, rest) = (size / unit, size % unit);
        let digits = unit.ilog10() as usize;
        let fraction = format!("{rest:0digits$}");
        let fraction = if rest == 0 { "" } else { fraction.trim_end_matches('0') };
        format!("{whole}{}{fraction}", if fraction.is_empty() { "" } else { "." })
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => format!("{sign}{}\u{b5}s", part(1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", part(1_000_000)),
        _ => {
            let (minutes, hours) = (size / 60_000_000_000, size / 3_600_000_000_000);
            let whole = size / 1_000_000_000 % 60;
            let seconds = part(1_000_000_000);
            let fraction = seconds.split_once('.').map_or(String::new(), |(_, fraction)| format!(".{fraction}"));
            match (hours, minutes) {
                (0, 0) => format!("{sign}{whole}{fraction}s"),
                (0, _) => format!("{sign}{minutes}m{whole}{fraction}s"),
                _ => format!("{sign}{hours}h{}m{whole}{fraction}s", minutes % 60),
            }
        }
    }
}

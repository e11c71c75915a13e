//! Go's fmt: `%v` and its relatives, flags, widths, and the `%!verb(type=value)` of mistakes.

use std::cell::Cell;
use std::fmt::Write as _;

use super::{Go, MAX_NESTING};
use crate::chart::gotmpl::quote;

/// Widths and precisions beyond this are refused by Go too.
const MAX_WIDTH: usize = 1_000_000;

/// A float as Go's `%v` prints it.
pub(crate) fn float_shortest(f: f64) -> String {
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if f.is_nan() { "NaN".to_owned() } else { crate::goyaml::float_general(f) }
}

fn signed(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// Go's `fmt.Sprint`: spaces between operands when neither is a string.
pub(crate) fn sprint(args: &[Go]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && !matches!(arg, Go::Str(_)) && !matches!(args[i - 1], Go::Str(_)) {
            out.push(' ');
        }
        value(arg, &Flags::default(), &mut out);
    }
    out
}

/// Go's `fmt.Sprintln`.
pub(crate) fn println(args: &[Go]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        value(arg, &Flags::default(), &mut out);
    }
    out.push('\n');
    out
}

/// What `{{ value }}` prints: nil apart, lists and maps as `%v`.
pub(crate) fn print(arg: &Go, out: &mut String) {
    match arg {
        Go::Nil => out.push_str("<no value>"),
        Go::Str(s) => out.push_str(s),
        other => value(other, &Flags::default(), out),
    }
}

/// What one call may print.
const MAX_PRINTED: usize = 256 << 20;

thread_local! {
    /// Set where printing was cut short; Go would have printed on until its stack or memory ended. Printing itself has no way
    /// to fail, so whoever asked for it has to look here.
    static OVERFLOW: Cell<bool> = const { Cell::new(false) };
}

/// Whether anything printed by this thread since the last call was cut short, as an error.
pub(crate) fn take_overflow() -> Result<(), String> {
    if OVERFLOW.take() {
        return Err(format!("a value is nested more than {MAX_NESTING} deep, or prints as more than {MAX_PRINTED} bytes"));
    }
    Ok(())
}

/// Whether printing may go on at this depth.
fn fits(depth: usize, out: &str) -> bool {
    let fits = depth <= MAX_NESTING && out.len() <= MAX_PRINTED;
    if !fits {
        OVERFLOW.set(true);
    }
    fits
}

#[expect(clippy::struct_excessive_bools, reason = "these are the flags of a verb")]
#[derive(Default, Clone)]
struct Flags {
    /// How deep in the value we are.
    depth: usize,
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Flags {
    fn deeper(&self) -> Flags {
        Flags { depth: self.depth + 1, ..self.clone() }
    }
}

fn value(arg: &Go, flags: &Flags, out: &mut String) {
    if !fits(flags.depth, out) {
        return;
    }
    match arg {
        Go::Nil => out.push_str("<nil>"),
        Go::Bool(b) => pad(&b.to_string(), flags, out),
        Go::Int(n, _) => integer(*n, 10, false, flags, out),
        Go::Float(f) => number(&float_text(*f, 'g', flags.precision), flags, out),
        Go::Str(s) => pad(s, flags, out),
        Go::Bytes(b) => {
            let items: Vec<String> = b.iter().map(u8::to_string).collect();
            let _ = write!(out, "[{}]", items.join(" "));
        }
        Go::List(items) => {
            let inner = flags.deeper();
            each(items, out, |item, out| value(item, &inner, out));
        }
        Go::Map(map) => {
            let inner = flags.deeper();
            out.push_str("map[");
            for (i, (key, item)) in map.snapshot().iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                pad(key, flags, out);
                out.push(':');
                value(item, &inner, out);
            }
            out.push(']');
        }
        Go::Host(h) => pad(&h.text(), flags, out),
    }
}

fn each(items: &[Go], out: &mut String, mut one: impl FnMut(&Go, &mut String)) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        one(item, out);
    }
    out.push(']');
}

fn pad(text: &str, flags: &Flags, out: &mut String) {
    let fill = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if fill == 0 {
        out.push_str(text);
    } else if flags.minus {
        out.push_str(text);
        out.push_str(&" ".repeat(fill));
    } else {
        out.push_str(&(if flags.zero { "0" } else { " " }).repeat(fill));
        out.push_str(text);
    }
}

/// Pads a number: zeros go behind the sign.
fn number(text: &str, flags: &Flags, out: &mut String) {
    let (sign, body) = match text.strip_prefix('-') {
        Some(body) => ("-", body),
        None if flags.plus => ("+", text.strip_prefix('+').unwrap_or(text)),
        None if flags.space => (" ", text.strip_prefix('+').unwrap_or(text)),
        None => ("", text),
    };
    if flags.zero && !flags.minus {
        let fill = flags.width.unwrap_or(0).saturating_sub(sign.len() + body.len());
        out.push_str(sign);
        out.push_str(&"0".repeat(fill));
        out.push_str(body);
    } else {
        pad(&format!("{sign}{body}"), &Flags { zero: false, ..flags.clone() }, out);
    }
}

fn integer(n: i64, base: u32, upper: bool, flags: &Flags, out: &mut String) {
    let magnitude = n.unsigned_abs();
    let mut digits = match base {
        2 => format!("{magnitude:b}"),
        8 => format!("{magnitude:o}"),
        16 if upper => format!("{magnitude:X}"),
        16 => format!("{magnitude:x}"),
        _ => magnitude.to_string(),
    };
    if let Some(precision) = flags.precision {
        if digits.len() < precision {
            digits = format!("{}{digits}", "0".repeat(precision - digits.len()));
        }
        if precision == 0 && n == 0 {
            digits.clear();
        }
    }
    if flags.sharp {
        let prefix = match base {
            2 => "0b",
            8 => "0",
            16 if upper => "0X",
            16 => "0x",
            _ => "",
        };
        digits = format!("{prefix}{digits}");
    }
    let text = if n < 0 { format!("-{digits}") } else { digits };
    let zero = flags.zero && flags.precision.is_none();
    number(&text, &Flags { zero, ..flags.clone() }, out);
}

fn float_text(f: f64, verb: char, precision: Option<usize>) -> String {
    if !f.is_finite() {
        return float_shortest(f);
    }
    match (verb, precision) {
        ('f' | 'F', p) => format!("{f:.*}", p.unwrap_or(6)),
        ('e' | 'E', p) => {
            let text = format!("{f:.*e}", p.unwrap_or(6));
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let text = format!("{mantissa}e{}", signed(exponent.parse().unwrap_or(0)));
            if verb == 'E' { text.to_uppercase() } else { text }
        }
        (_, None) => float_shortest(f),
        (_, Some(p)) => {
            let p = p.max(1);
            let text = format!("{f:.*e}", p - 1);
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let digits = mantissa.trim_start_matches('-').trim_end_matches('0').trim_end_matches('.');
            if exponent < -4 || exponent >= i32::try_from(p).unwrap_or(i32::MAX) {
                let sign = if f < 0.0 { "-" } else { "" };
                return format!("{sign}{digits}e{}", signed(exponent));
            }
            let decimals = usize::try_from(i32::try_from(p).unwrap_or(0) - 1 - exponent).unwrap_or(0);
            let text = format!("{f:.decimals$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
    }
}

fn bad(verb: char, arg: &Go, out: &mut String) {
    if matches!(arg, Go::Nil) {
        let _ = write!(out, "%!{verb}(<nil>)");
        return;
    }
    let _ = write!(out, "%!{verb}({}=", arg.type_name());
    value(arg, &Flags::default(), out);
    out.push(')');
}

/// `%#v`.
fn go_syntax(arg: &Go, depth: usize, out: &mut String) {
    if !fits(depth, out) {
        return;
    }
    match arg {
        Go::Nil => out.push_str("interface {}(nil)"),
        Go::Str(s) => out.push_str(&quote(s)),
        Go::Float(f) => out.push_str(&float_shortest(*f)),
        Go::List(items) => {
            let _ = write!(out, "{}{{", items.type_name());
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                go_syntax(item, depth + 1, out);
            }
            out.push('}');
        }
        Go::Map(map) => {
            let _ = write!(out, "{}{{", map.type_name());
            for (i, (key, item)) in map.snapshot().iter().enumerate() {
                let _ = write!(out, "{}{}:", if i > 0 { ", " } else { "" }, quote(key));
                go_syntax(item, depth + 1, out);
            }
            out.push('}');
        }
        other => value(other, &Flags::default(), out),
    }
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = if upper { write!(out, "{b:02X}") } else { write!(out, "{b:02x}") };
        out
    })
}

fn char_of(n: i64) -> char {
    u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn verb_int(n: i64, verb: char, flags: &Flags, out: &mut String) -> bool {
    match verb {
        'd' => integer(n, 10, false, flags, out),
        'b' => integer(n, 2, false, flags, out),
        'o' => integer(n, 8, false, flags, out),
        'O' => {
            out.push_str("0o");
            integer(n, 8, false, flags, out);
        }
        'x' => integer(n, 16, false, flags, out),
        'X' => integer(n, 16, true, flags, out),
        'c' => pad(&char_of(n).to_string(), flags, out),
        'q' => pad(&format!("'{}'", char_of(n)), flags, out),
        'U' => pad(&format!("U+{n:04X}"), flags, out),
        _ => return false,
    }
    true
}

fn verb_text(text: &str, verb: char, flags: &Flags, out: &mut String) -> bool {
    let cut: String;
    let text = match flags.precision {
        Some(p) => {
            cut = text.chars().take(p).collect();
            &cut
        }
        None => text,
    };
    match verb {
        's' => pad(text, flags, out),
        'q' if flags.sharp && !text.contains('`') => pad(&format!("`{text}`"), flags, out),
        'q' => pad(&quote(text), flags, out),
        'x' => pad(&hex(text.as_bytes(), false), flags, out),
        'X' => pad(&hex(text.as_bytes(), true), flags, out),
        _ => return false,
    }
    true
}

fn verb(arg: &Go, letter: char, flags: &Flags, out: &mut String) {
    if !fits(flags.depth, out) {
        return;
    }
    match letter {
        'T' => return pad(arg.type_name(), flags, out),
        'v' if flags.sharp => return go_syntax(arg, flags.depth, out),
        // What is inside of something else is printed like this whatever the verb (`printValue`).
        _ if matches!(arg, Go::Nil) && (letter == 'v' || flags.depth > 0) => return pad("<nil>", flags, out),
        'v' => return value(arg, flags, out),
        _ => {}
    }
    let done = match arg {
        Go::Bool(b) if letter == 't' => {
            pad(&b.to_string(), flags, out);
            true
        }
        Go::Int(n, _) => verb_int(*n, letter, flags, out),
        Go::Float(f) if matches!(letter, 'f' | 'F' | 'e' | 'E' | 'g' | 'G') => {
            number(&float_text(*f, letter, flags.precision), flags, out);
            true
        }
        Go::Str(s) => verb_text(s, letter, flags, out),
        Go::Bytes(b) if matches!(letter, 's' | 'q' | 'x' | 'X') => verb_text(&String::from_utf8_lossy(b), letter, flags, out),
        Go::Host(h) => verb_text(&h.text(), letter, flags, out),
        Go::List(items) => {
            let inner = flags.deeper();
            each(items, out, |item, out| verb(item, letter, &inner, out));
            true
        }
        Go::Map(map) => {
            let inner = flags.deeper();
            out.push_str("map[");
            for (i, (key, item)) in map.snapshot().into_iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                verb(&Go::Str(key), letter, flags, out);
                out.push(':');
                verb(&item, letter, &inner, out);
            }
            out.push(']');
            true
        }
        _ => false,
    };
    if !done {
        bad(letter, arg, out);
    }
}

struct Scanner<'a> {
    rest: &'a str,
    args: &'a [Go],
    next: usize,
}

impl Scanner<'_> {
    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        while let Some(c) = self.rest.chars().next() {
            match c {
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        flags
    }

    fn amount(&mut self, out: &mut String, what: &str) -> (Option<usize>, bool) {
        if let Some(rest) = self.rest.strip_prefix('*') {
            self.rest = rest;
            let arg = self.args.get(self.next);
            self.next += 1;
            if let Some(Go::Int(n, _)) = arg {
                let size = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
                if size <= MAX_WIDTH {
                    return (Some(size), *n < 0);
                }
            }
            let _ = write!(out, "%!(BAD{what})");
            return (None, false);
        }
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let n = self.rest[..digits].parse::<usize>().ok().filter(|n| *n <= MAX_WIDTH);
        self.rest = &self.rest[digits..];
        (n, false)
    }
}

/// Go's `fmt.Sprintf`.
pub(crate) fn sprintf(format: &str, args: &[Go]) -> String {
    let mut out = String::new();
    let mut scan = Scanner { rest: format, args, next: 0 };
    while let Some(at) = scan.rest.find('%') {
        out.push_str(&scan.rest[..at]);
        scan.rest = &scan.rest[at + 1..];
        let mut flags = scan.flags();
        let (width, negative) = scan.amount(&mut out, "WIDTH");
        flags.width = width;
        flags.minus |= negative;
        if let Some(rest) = scan.rest.strip_prefix('.') {
            scan.rest = rest;
            flags.precision = Some(scan.amount(&mut out, "PREC").0.unwrap_or(0));
        }
        match scan.take() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(letter) => match scan.args.get(scan.next) {
                None => {
                    let _ = write!(out, "%!{letter}(MISSING)");
                }
                Some(arg) => {
                    scan.next += 1;
                    verb(arg, letter, &flags, &mut out);
                }
            },
        }
    }
    out.push_str(scan.rest);
    if scan.next < args.len() {
        out.push_str("%!(EXTRA ");
        for (i, arg) in args[scan.next..].iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            if matches!(arg, Go::Nil) {
                out.push_str("<nil>");
            } else {
                out.push_str(arg.type_name());
                out.push('=');
                value(arg, &Flags::default(), &mut out);
            }
        }
        out.push(')');
    }
    out
}

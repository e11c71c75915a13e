//! One operand under one verb, as fmt's `pp.printArg` and `fmt.fmt` do it.

use std::fmt::Write as _;

use super::{super::Go, fits, float};
use crate::chart::gotmpl::{quote, quote_ascii};
use crate::chart::value::bytes::{self, byte};
use crate::chart::value::{Host, IntKind, Member, bytes_of, text_from};

/// The flags of a verb.
#[expect(clippy::struct_excessive_bools, reason = "these are the flags of a verb")]
#[derive(Default, Clone)]
pub(super) struct Flags {
    pub plus: bool,
    pub minus: bool,
    pub sharp: bool,
    pub space: bool,
    pub zero: bool,
    /// `%+v`.
    pub plus_v: bool,
    /// `%#v`.
    pub sharp_v: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

impl Flags {
    /// Whether they leave a whole number as it is.
    fn plain(&self) -> bool {
        matches!(self, Self { plus: false, sharp: false, space: false, sharp_v: false, width: None, precision: None, .. })
    }
}

/// Go's `pp`.
pub(super) struct Printer<'a> {
    pub out: &'a mut String,
    pub flags: Flags,
    /// What is printed is told beside a wrong verb: methods are not asked.
    erroneous: bool,
    /// Whether a pointer is shown as what it points to, as templates do.
    pub indirect: bool,
    depth: usize,
}

impl<'a> Printer<'a> {
    pub(super) fn new(out: &'a mut String) -> Self {
        Printer { out, flags: Flags::default(), indirect: false, erroneous: false, depth: 0 }
    }

    /// `pp.printArg`.
    pub(super) fn print(&mut self, arg: &Go, verb: char) {
        match (arg, verb) {
            (Go::Nil, 'T' | 'v') => self.pad("<nil>"),
            (_, 'T') => {
                self.text(arg.type_name(), 's');
            }
            (_, 'w' | 'p') => self.bad(verb, arg),
            _ => self.value(arg, verb),
        }
    }

    /// `pp.printValue`: a value, or an element of one.
    fn value(&mut self, arg: &Go, verb: char) {
        if !fits(self.depth, self.out) {
            return;
        }
        let done = match arg {
            Go::Nil if self.depth > 0 => {
                self.out.push_str(if self.flags.sharp_v { "interface {}(nil)" } else { "<nil>" });
                true
            }
            Go::Nil => false,
            Go::Bool(b) => {
                matches!(verb, 't' | 'v') && {
                    self.pad(if *b { "true" } else { "false" });
                    true
                }
            }
            Go::Int(n, kind) => self.int(*n, *kind, verb),
            Go::Float(f) => self.float(*f, verb),
            Go::Str(s) => self.text(s, verb),
            Go::Bytes(b) => self.bytes(b, verb),
            Go::List(items) if items.is_nil() && self.flags.sharp_v => self.nil(items.type_name()),
            Go::Map(map) if map.is_nil() && self.flags.sharp_v => self.nil(map.type_name()),
            Go::List(items) => {
                self.list(items.type_name(), items, verb);
                true
            }
            Go::Map(map) => {
                let entries = map.snapshot();
                self.map(map.type_name(), entries.iter().map(|(k, v)| (&**k, v)), verb);
                true
            }
            Go::Host(host) => self.host(&**host, verb),
        };
        if !done {
            self.bad(verb, arg);
        }
    }

    /// A value with methods, or a struct.
    fn host(&mut self, host: &dyn Host, verb: char) -> bool {
        let text = matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') && !self.flags.sharp_v && host.stringer() && !(self.erroneous && host.members().is_some());
        if let Some(source) = host.source_text().filter(|_| self.flags.sharp_v) {
            self.out.push_str(&source);
            return true;
        }
        if text {
            return self.text(&host.text(), verb);
        }
        if let Some(number) = host.number() {
            return self.int(number, IntKind::Int, verb);
        }
        if let Some(members) = host.members() {
            self.structure(host, &members, verb);
            return true;
        }
        match host.entries() {
            Some(Go::List(items)) => self.list(host.type_name(), &items, verb),
            Some(Go::Map(map)) => self.map(host.type_name(), map.snapshot().iter().map(|(k, v)| (&**k, v)), verb),
            _ => return self.text(&host.text(), verb),
        }
        true
    }

    fn nil(&mut self, name: &str) -> bool {
        self.out.push_str(name);
        self.out.push_str("(nil)");
        true
    }

    fn structure(&mut self, host: &dyn Host, members: &[Member], verb: char) {
        if host.kind() == "ptr" && !self.indirect && self.depth == 0 {
            self.out.push('&');
        }
        if self.flags.sharp_v {
            self.out.push_str(host.type_name().trim_start_matches('*'));
        }
        self.out.push('{');
        for (i, member) in members.iter().enumerate() {
            if i > 0 {
                self.out.push_str(if self.flags.sharp_v { ", " } else { " " });
            }
            if self.flags.plus_v || self.flags.sharp_v {
                self.out.push_str(member.name);
                self.out.push(':');
            }
            self.depth += 1;
            self.value(&member.value, verb);
            self.depth -= 1;
        }
        self.out.push('}');
    }

    fn list(&mut self, name: &str, items: &[Go], verb: char) {
        let (open, between, close) = if self.flags.sharp_v { ("{", ", ", '}') } else { ("[", " ", ']') };
        if self.flags.sharp_v {
            self.out.push_str(name);
        }
        self.out.push_str(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(between);
            }
            self.depth += 1;
            self.value(item, verb);
            self.depth -= 1;
        }
        self.out.push(close);
    }

    fn map<'m>(&mut self, name: &str, entries: impl Iterator<Item = (&'m str, &'m Go)>, verb: char) {
        let (open, between, close) = if self.flags.sharp_v { ("{", ", ", '}') } else { ("[", " ", ']') };
        self.out.push_str(if self.flags.sharp_v { name } else { "map" });
        self.out.push_str(open);
        for (i, (key, item)) in entries.enumerate() {
            if i > 0 {
                self.out.push_str(between);
            }
            if !self.text(key, verb) {
                self.bad(verb, &key.into());
            }
            self.out.push(':');
            self.depth += 1;
            self.value(item, verb);
            self.depth -= 1;
        }
        self.out.push(close);
    }

    /// `pp.badVerb`; the flags stay as they are.
    fn bad(&mut self, verb: char, arg: &Go) {
        if matches!(arg, Go::Nil) {
            let _ = write!(self.out, "%!{verb}(<nil>)");
            return;
        }
        let _ = write!(self.out, "%!{verb}({}=", arg.type_name());
        let depth = std::mem::take(&mut self.depth);
        let erroneous = std::mem::replace(&mut self.erroneous, true);
        self.value(arg, 'v');
        self.erroneous = erroneous;
        self.depth = depth;
        self.out.push(')');
    }

    /// `fmt.padString`: zeros only go to the left.
    fn pad(&mut self, text: &str) {
        let fill = self.flags.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.flags.minus {
            self.out.push_str(text);
            self.fill(fill);
        } else {
            self.fill(fill);
            self.out.push_str(text);
        }
    }

    fn fill(&mut self, count: usize) {
        if !fits(self.depth, self.out) {
            return;
        }
        let byte = if self.flags.zero && !self.flags.minus { '0' } else { ' ' };
        self.out.extend(std::iter::repeat_n(byte, count));
    }

    fn pad_with_spaces(&mut self, text: &str) {
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text);
        self.flags.zero = zero;
    }

    fn truncated<'t>(&self, text: &'t str) -> &'t str {
        match self.flags.precision {
            Some(p) => text.char_indices().nth(p).map_or(text, |(at, _)| &text[..at]),
            None => text,
        }
    }

    /// `pp.fmtString`; false if the verb is not for strings.
    pub(super) fn text(&mut self, text: &str, verb: char) -> bool {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text),
            'v' | 's' => {
                let text = self.truncated(text).to_owned();
                self.pad(&text);
            }
            'x' | 'X' => self.hex(&bytes_of(text), verb == 'X'),
            'q' => self.quoted(text),
            _ => return false,
        }
        true
    }

    /// `fmt.fmtQ`.
    fn quoted(&mut self, text: &str) {
        let text = self.truncated(text);
        let plain = |c: char| byte(c).is_none() && c != '`' && c != '\u{feff}' && (c == '\t' || u32::from(c) >= 0x20) && c != '\u{7f}';
        let text = if self.flags.sharp && text.chars().all(plain) {
            format!("`{text}`")
        } else if self.flags.plus {
            bytes::quote(text, quote_ascii)
        } else {
            bytes::quote(text, quote)
        };
        self.pad(&text);
    }

    /// `fmt.fmtSbx`.
    fn hex(&mut self, bytes: &[u8], upper: bool) {
        let bytes = &bytes[..self.flags.precision.unwrap_or(usize::MAX).min(bytes.len())];
        let mut text = String::with_capacity(bytes.len() * 2);
        let prefix = match (self.flags.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        for (i, byte) in bytes.iter().enumerate() {
            if self.flags.space && i > 0 {
                text.push(' ');
            }
            if i == 0 || self.flags.space {
                text.push_str(prefix);
            }
            let _ = if upper { write!(text, "{byte:02X}") } else { write!(text, "{byte:02x}") };
        }
        self.pad(&text);
    }

    /// `pp.fmtBytes`.
    fn bytes(&mut self, bytes: &[u8], verb: char) -> bool {
        match verb {
            's' => self.pad(&text_from(bytes)),
            'q' => self.quoted(&text_from(bytes)),
            'x' | 'X' => self.hex(bytes, verb == 'X'),
            'v' | 'd' if self.flags.plain() => self.decimals(bytes),
            _ => {
                let items: Vec<Go> = bytes.iter().map(|b| Go::Int(i64::from(*b), IntKind::Uint8)).collect();
                self.list("[]byte", &items, verb);
            }
        }
        true
    }

    /// Bytes as a list of numbers. Charts print their own files this way, megabytes of them, where they print all that they are given.
    fn decimals(&mut self, bytes: &[u8]) {
        self.out.push('[');
        for (at, some) in bytes.chunks(64).enumerate() {
            if !fits(self.depth, self.out) {
                return;
            }
            for (beside, byte) in some.iter().enumerate() {
                if at + beside > 0 {
                    self.out.push(' ');
                }
                for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
                    if *byte >= least {
                        self.out.push(char::from(b'0' + byte / unit % 10));
                    }
                }
            }
        }
        self.out.push(']');
    }

    /// `pp.fmtInteger`.
    fn int(&mut self, n: i64, kind: IntKind, verb: char) -> bool {
        let unsigned = matches!(kind, IntKind::Uint8 | IntKind::Uint64);
        #[expect(clippy::cast_sign_loss, reason = "the bits of an unsigned number")]
        let (negative, size) = if unsigned { (false, n as u64) } else { (n < 0, n.unsigned_abs()) };
        match verb {
            'v' if self.flags.sharp_v && unsigned => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(negative, size, 16, verb);
                self.flags.sharp = sharp;
            }
            'v' | 'd' => self.digits(negative, size, 10, verb),
            'b' => self.digits(negative, size, 2, verb),
            'o' | 'O' => self.digits(negative, size, 8, verb),
            'x' | 'X' => self.digits(negative, size, 16, verb),
            'c' => self.pad(&rune(negative, size).to_string()),
            'q' => {
                let c = rune(negative, size);
                let text = if self.flags.plus { quote_ascii(&c.to_string()) } else { quote(&c.to_string()) };
                let inner = match c {
                    '\'' => "\\'",
                    '"' => "\"",
                    _ => &text[1..text.len() - 1],
                };
                self.pad(&format!("'{inner}'"));
            }
            'U' => self.unicode(if negative { size.wrapping_neg() } else { size }),
            _ => return false,
        }
        true
    }

    /// `fmt.fmtUnicode`.
    fn unicode(&mut self, n: u64) {
        let digits = self.flags.precision.unwrap_or(4).max(4);
        let mut text = format!("U+{n:0digits$X}");
        if self.flags.sharp
            && let Some(c) = u32::try_from(n).ok().and_then(char::from_u32)
            && crate::chart::gotmpl::printable(c)
        {
            let _ = write!(text, " '{c}'");
        }
        self.pad_with_spaces(&text);
    }

    /// `fmt.fmtInteger`.
    fn digits(&mut self, negative: bool, n: u64, base: u32, verb: char) {
        let mut digits = match base {
            2 => format!("{n:b}"),
            8 => format!("{n:o}"),
            16 if verb == 'X' => format!("{n:X}"),
            16 => format!("{n:x}"),
            _ => n.to_string(),
        };
        let signed = negative || self.flags.plus || self.flags.space;
        let least = match (self.flags.precision, self.flags.width) {
            (Some(0), width) if n == 0 => {
                let zero = std::mem::take(&mut self.flags.zero);
                self.fill(width.unwrap_or(0));
                self.flags.zero = zero;
                return;
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if self.flags.zero && !self.flags.minus => width.saturating_sub(usize::from(signed)),
            _ => 0,
        };
        if digits.len() < least {
            digits.insert_str(0, &"0".repeat(least - digits.len()));
        }
        if self.flags.sharp {
            match base {
                2 => digits.insert_str(0, "0b"),
                8 if !digits.starts_with('0') => digits.insert(0, '0'),
                16 => digits.insert_str(0, if verb == 'X' { "0X" } else { "0x" }),
                _ => {}
            }
        }
        if verb == 'O' {
            digits.insert_str(0, "0o");
        }
        if negative {
            digits.insert(0, '-');
        } else if self.flags.plus {
            digits.insert(0, '+');
        } else if self.flags.space {
            digits.insert(0, ' ');
        }
        self.pad_with_spaces(&digits);
    }

    /// `pp.fmtFloat`; false if the verb is not for floats.
    fn float(&mut self, f: f64, verb: char) -> bool {
        let (format, precision) = match verb {
            'v' => ('g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb, None),
            'f' | 'e' | 'E' => (verb, Some(6)),
            'F' => ('f', Some(6)),
            _ => return false,
        };
        let precision = self.flags.precision.or(precision);
        let number = float::text(f, format, precision);
        let (mut sign, mut body) = match number.strip_prefix('-') {
            Some(body) => ("-", body.to_owned()),
            None => ("+", number.strip_prefix('+').unwrap_or(&number).to_owned()),
        };
        if sign == "+" && self.flags.space && !self.flags.plus {
            sign = " ";
        }
        if !f.is_finite() {
            let shown = match sign {
                "+" if !self.flags.plus => "",
                sign => sign,
            };
            // An infinity without a sign still shows its plus.
            let shown = if f.is_infinite() && shown.is_empty() { "+" } else { shown };
            let shown = if f.is_infinite() && !self.flags.plus && !self.flags.space && f > 0.0 { "+" } else { shown };
            self.pad_with_spaces(&format!("{shown}{body}"));
            return true;
        }
        if self.flags.sharp && format != 'b' {
            body = float::with_point(&body, verb, precision);
        }
        if sign == "+" && !self.flags.plus {
            self.pad(&body);
            return true;
        }
        let width = self.flags.width.unwrap_or(0);
        if self.flags.zero && !self.flags.minus && width > body.len() + 1 {
            self.out.push_str(sign);
            self.fill(width - body.len() - 1);
            self.out.push_str(&body);
        } else {
            self.pad(&format!("{sign}{body}"));
        }
        true
    }
}

fn rune(negative: bool, size: u64) -> char {
    u32::try_from(size).ok().filter(|_| !negative).and_then(char::from_u32).unwrap_or('\u{fffd}')
}

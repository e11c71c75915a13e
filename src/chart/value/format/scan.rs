//! `fmt.Sprintf`: the format string (`pp.doPrintf`).

use std::fmt::Write as _;

use super::printer::{Flags, Printer};
use crate::chart::value::{Go, IntKind};

/// Widths and precisions beyond this are refused by Go too.
const MAX_WIDTH: usize = 1_000_000;

struct Scan<'a> {
    format: &'a str,
    at: usize,
    args: &'a [Go],
    next: usize,
    /// An explicit index was used somewhere.
    reordered: bool,
    /// The indexes of this verb are good so far.
    good: bool,
    /// The last thing read was an index.
    after_index: bool,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.as_bytes().get(self.at).copied()
    }

    /// `parsenum`.
    fn number(&mut self) -> Option<usize> {
        let mut number = None;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let so_far = number.unwrap_or(0);
            if so_far > MAX_WIDTH {
                self.at = self.format.len();
                return None;
            }
            number = Some(so_far * 10 + usize::from(digit - b'0'));
            self.at += 1;
        }
        number
    }

    /// `argNumber`: an index in brackets, if there is one here.
    fn index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let close = if rest.len() < 3 { None } else { rest.find(']') };
        let number = close.and_then(|close| {
            let digits = &rest[1..close];
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<usize>().ok()).flatten().filter(|n| *n <= MAX_WIDTH * 10)
        });
        self.at += close.map_or(1, |close| close + 1);
        match number {
            Some(number) if (1..=self.args.len()).contains(&number) => {
                self.next = number - 1;
                self.after_index = true;
            }
            number => {
                self.good = false;
                self.after_index = number.is_some();
            }
        }
    }

    /// `intFromArg`: a `*`.
    fn star(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next);
        if arg.is_some() {
            self.next += 1;
        }
        match arg {
            Some(Go::Int(n, kind)) if *kind != IntKind::Uint64 || *n >= 0 => Some(*n).filter(|n| n.unsigned_abs() <= MAX_WIDTH as u64),
            _ => None,
        }
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        loop {
            match self.peek() {
                Some(b'+') => flags.plus = true,
                Some(b'-') => flags.minus = true,
                Some(b'#') => flags.sharp = true,
                Some(b' ') => flags.space = true,
                Some(b'0') => flags.zero = true,
                _ => return flags,
            }
            self.at += 1;
        }
    }

    fn width(&mut self, flags: &mut Flags, out: &mut String) {
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.star() {
                Some(n) => {
                    flags.width = usize::try_from(n.unsigned_abs()).ok();
                    if n < 0 {
                        flags.minus = true;
                        flags.zero = false;
                    }
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
            self.after_index = false;
            return;
        }
        flags.width = self.number();
        if self.after_index && flags.width.is_some() {
            self.good = false;
        }
    }

    fn precision(&mut self, flags: &mut Flags, out: &mut String) {
        if self.peek() != Some(b'.') || self.at + 1 >= self.format.len() {
            return;
        }
        self.at += 1;
        if self.after_index {
            self.good = false;
        }
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.star().and_then(|n| usize::try_from(n).ok()) {
                Some(n) => flags.precision = Some(n),
                None => out.push_str("%!(BADPREC)"),
            }
            self.after_index = false;
        } else {
            flags.precision = Some(self.number().unwrap_or(0));
        }
    }

    /// One verb, behind its `%`; false at the end of the format.
    fn verb(&mut self, out: &mut String) -> bool {
        self.good = true;
        let mut flags = self.flags();
        let simple = self.peek().is_some_and(|c| c.is_ascii_lowercase()) && self.next < self.args.len();
        if !simple {
            self.width(&mut flags, out);
            self.precision(&mut flags, out);
            if !self.after_index {
                self.index();
            }
        }
        let Some(verb) = self.format[self.at..].chars().next() else {
            out.push_str("%!(NOVERB)");
            return false;
        };
        self.at += verb.len_utf8();
        match self.args.get(self.next) {
            _ if verb == '%' => out.push('%'),
            _ if !self.good => {
                let _ = write!(out, "%!{verb}(BADINDEX)");
            }
            None => {
                let _ = write!(out, "%!{verb}(MISSING)");
            }
            Some(arg) => {
                if matches!(verb, 'v' | 'w') {
                    flags.sharp_v = std::mem::take(&mut flags.sharp);
                    flags.plus_v = std::mem::take(&mut flags.plus);
                }
                let mut printer = Printer::new(out);
                printer.flags = flags;
                printer.print(arg, verb);
                self.next += 1;
            }
        }
        true
    }
}

/// Go's `fmt.Sprintf`.
pub(crate) fn sprintf(format: &str, args: &[Go]) -> String {
    let mut out = String::new();
    let mut scan = Scan { format, at: 0, args, next: 0, reordered: false, good: true, after_index: false };
    loop {
        let Some(percent) = format[scan.at..].find('%') else {
            out.push_str(&format[scan.at..]);
            break;
        };
        out.push_str(&format[scan.at..scan.at + percent]);
        scan.at += percent + 1;
        if !scan.verb(&mut out) {
            break;
        }
    }
    if !scan.reordered && scan.next < args.len() {
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
                Printer::new(&mut out).print(arg, 'v');
            }
        }
        out.push(')');
    }
    out
}

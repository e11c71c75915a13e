//! Time and randomness: what charts use for annotations and generated names.

use jiff::{Timestamp, tz::TimeZone};

use super::Kind::{Any, Int, Str};
use super::{Call, Function, fixed};
use crate::chart::value::Go;

pub(super) const ALL: &[Function] = &[
    fixed("now", &[], |_| Ok(Go::int64(Timestamp::now().as_second()))),
    fixed("unixEpoch", &[Any], |c| Ok(super::text_of(&c.any(0)).into())),
    fixed("date", &[Str, Any], date),
    fixed("randAlphaNum", &[Int], |c| random(c, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")),
    fixed("randAlpha", &[Int], |c| random(c, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
    fixed("randNumeric", &[Int], |c| random(c, b"0123456789")),
    fixed("randAscii", &[Int], |c| random(c, b"!#$%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~")),
    fixed("uuidv4", &[], |_| {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into())
    }),
];

/// Go layouts are translated token by token.
fn date(c: &mut Call<'_>) -> Result<Go, String> {
    let second = match c.any(1) {
        Go::Int(n, _) => n,
        _ => Timestamp::now().as_second(),
    };
    let time = Timestamp::from_second(second).map_err(|e| e.to_string())?.to_zoned(TimeZone::UTC);
    const TOKENS: &[(&str, &str)] = &[
        ("2006", "%Y"),
        ("January", "%B"),
        ("Monday", "%A"),
        ("Jan", "%b"),
        ("Mon", "%a"),
        ("MST", "%Z"),
        ("Z07:00", "Z"),
        ("-0700", "%z"),
        ("01", "%m"),
        ("02", "%d"),
        ("15", "%H"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("PM", "%p"),
    ];
    let layout = c.str(0);
    let mut rest: &str = &layout;
    let mut format = String::new();
    while let Some(ch) = rest.chars().next() {
        if let Some((go, own)) = TOKENS.iter().find(|(go, _)| rest.starts_with(go)) {
            format.push_str(own);
            rest = &rest[go.len()..];
        } else {
            format.push_str(if ch == '%' { "%%" } else { &rest[..ch.len_utf8()] });
            rest = &rest[ch.len_utf8()..];
        }
    }
    Ok(time.strftime(&format).to_string().into())
}

fn random(c: &mut Call<'_>, alphabet: &[u8]) -> Result<Go, String> {
    let count = usize::try_from(c.int(0)).unwrap_or(0);
    c.run.reserve(count as u64)?;
    let limit = 256 - 256 % alphabet.len();
    let mut out = String::with_capacity(count);
    let mut buffer = [0u8; 64];
    while out.len() < count {
        getrandom::fill(&mut buffer).map_err(|e| e.to_string())?;
        // Bytes beyond the last whole multiple would favour the first letters.
        out.extend(buffer.iter().filter(|b| usize::from(**b) < limit).take(count - out.len()).map(|b| char::from(alphabet[usize::from(*b) % alphabet.len()])));
    }
    Ok(out.into())
}

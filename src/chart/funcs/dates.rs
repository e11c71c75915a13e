//! Times, on jiff, with Go's layouts and durations.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};

use super::Kind::{self, Any, Str};
use super::layout;
use super::{Call, Function, fixed};
use crate::chart::value::{Go, Host, IntKind};

pub(super) const ALL: &[Function] = &[
    fixed("now", &[], |_| Ok(Time::wrap(Zoned::now()))),
    fixed("date", &[Str, Any], |c| Ok(in_zone(&c.str(0), &c.any(1), "Local"))),
    fixed("dateInZone", &[Str, Any, Str], |c| Ok(in_zone(&c.str(0), &c.any(1), &c.str(2)))),
    fixed("date_in_zone", &[Str, Any, Str], |c| Ok(in_zone(&c.str(0), &c.any(1), &c.str(2)))),
    fixed("htmlDate", &[Any], |c| Ok(in_zone("2006-01-02", &c.any(0), "Local"))),
    fixed("htmlDateInZone", &[Any, Str], |c| Ok(in_zone("2006-01-02", &c.any(0), &c.str(1)))),
    fixed("dateModify", &[Str, Kind::Time], |c| modify(c, false)),
    fixed("date_modify", &[Str, Kind::Time], |c| modify(c, false)),
    fixed("mustDateModify", &[Str, Kind::Time], |c| modify(c, true)),
    fixed("must_date_modify", &[Str, Kind::Time], |c| modify(c, true)),
    fixed("toDate", &[Str, Str], |c| Ok(Time::wrap(layout::parse(&c.str(0), &c.str(1)).unwrap_or_else(|_| layout::zero())))),
    fixed("mustToDate", &[Str, Str], |c| Ok(Time::wrap(layout::parse(&c.str(0), &c.str(1))?))),
    fixed("unixEpoch", &[Kind::Time], |c| Ok(time(&c.any(0))?.timestamp().as_second().to_string().into())),
    fixed("ago", &[Any], |c| {
        Ok(layout::duration_string((Timestamp::now().as_second() - moment(&c.any(0)).timestamp().as_second()).wrapping_mul(1_000_000_000)).into())
    }),
    fixed("duration", &[Any], |c| {
        // sprig knows strings and int64 here; an int is 0.
        let seconds = match c.any(0) {
            Go::Str(text) => super::convert::atoi(&text),
            Go::Int(n, IntKind::Int64) => n,
            _ => 0,
        };
        // In nanoseconds, which wrap.
        Ok(layout::duration_string(seconds.wrapping_mul(1_000_000_000)).into())
    }),
    fixed("durationRound", &[Any], |c| Ok(rounded(&c.any(0)).into())),
];

/// Go's `time.Time`.
#[derive(Debug)]
pub(super) struct Time(Zoned);

impl Time {
    pub(super) fn wrap(time: Zoned) -> Go {
        Go::Host(Arc::new(Time(time)))
    }
}

impl Host for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn field(&self, _name: &str) -> Option<Go> {
        None
    }

    fn call(&self, name: &str, args: &[Go]) -> Option<Result<Go, String>> {
        let time = &self.0;
        let number = |i: usize| args.get(i).map_or(0, super::convert::to_int);
        Some(Ok(match name {
            "Unix" => Go::int64(time.timestamp().as_second()),
            "UnixMilli" => Go::int64(time.timestamp().as_millisecond()),
            "UnixNano" => Go::int64(i64::try_from(time.timestamp().as_nanosecond()).unwrap_or(i64::MAX)),
            "Year" => Go::int(time.year()),
            "Month" => layout::format("January", time).into(),
            "Weekday" => layout::format("Monday", time).into(),
            "Day" => Go::int(time.day()),
            "Hour" => Go::int(time.hour()),
            "Minute" => Go::int(time.minute()),
            "Second" => Go::int(time.second()),
            "YearDay" => Go::int(time.day_of_year()),
            "Format" => layout::format(args.first().and_then(Go::as_str).unwrap_or_default(), time).into(),
            "UTC" => Time::wrap(time.with_time_zone(TimeZone::UTC)),
            "Local" => Time::wrap(time.with_time_zone(TimeZone::system())),
            "String" => self.text().into(),
            "AddDate" => return Some(add_date(time, [number(0), number(1), number(2)])),
            _ => return None,
        }))
    }

    fn text(&self) -> String {
        layout::format("2006-01-02 15:04:05.999999999 -0700 MST", &self.0)
    }

    fn json(&self) -> serde_json::Value {
        layout::format("2006-01-02T15:04:05.999999999Z07:00", &self.0).into()
    }
}

/// Months that are too short run over into the next, as in Go.
fn add_date(time: &Zoned, [years, months, days]: [i64; 3]) -> Result<Go, String> {
    let fail = |e: jiff::Error| e.to_string();
    let first = time.with().day(1).build().map_err(fail)?;
    let span = jiff::Span::new().try_years(years).and_then(|s| s.try_months(months)).map_err(fail)?;
    let rest = jiff::Span::new().try_days(i64::from(time.day()).saturating_add(days).saturating_sub(1)).map_err(fail)?;
    first.checked_add(span).and_then(|t| t.checked_add(rest)).map(Time::wrap).map_err(fail)
}

fn time(value: &Go) -> Result<Zoned, String> {
    if let Go::Host(host) = value {
        let host: &dyn std::any::Any = &**host;
        if let Some(time) = host.downcast_ref::<Time>() {
            return Ok(time.0.clone());
        }
    }
    Err(format!("wrong type for value; expected time.Time; got {}", value.type_name()))
}

/// sprig takes times and seconds; anything else is now.
fn moment(value: &Go) -> Zoned {
    match value {
        Go::Int(n, _) => Timestamp::from_second(*n).map_or_else(|_| Zoned::now(), |t| t.to_zoned(TimeZone::system())),
        other => time(other).unwrap_or_else(|_| Zoned::now()),
    }
}

fn in_zone(format: &str, value: &Go, zone: &str) -> Go {
    let zone = if zone == "Local" { TimeZone::system() } else { TimeZone::get(zone).unwrap_or(TimeZone::UTC) };
    layout::format(format, &moment(value).with_time_zone(zone)).into()
}

fn modify(c: &mut Call<'_>, must: bool) -> Result<Go, String> {
    let time = time(&c.any(1))?;
    match layout::duration(&c.str(0)) {
        Some(nanoseconds) => time.checked_add(SignedDuration::from_nanos(nanoseconds)).map(Time::wrap).map_err(|e| e.to_string()),
        None if must => Err(format!("time: invalid duration {}", crate::chart::gotmpl::quote(&c.str(0)))),
        None => Ok(c.any(1)),
    }
}

/// sprig's `durationRound`: the largest unit only.
fn rounded(value: &Go) -> String {
    const UNITS: [(u64, &str); 6] = [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let size = match value {
        Go::Str(text) => layout::duration(text).unwrap_or(0).unsigned_abs(),
        Go::Int(n, IntKind::Int64) => n.unsigned_abs(),
        other => time(other).map_or(0, |t| (Timestamp::now().as_second() - t.timestamp().as_second()).unsigned_abs().saturating_mul(1_000_000_000)),
    };
    let unit = UNITS.iter().find(|(seconds, _)| size > seconds * 1_000_000_000);
    unit.map_or_else(|| "0s".to_owned(), |(seconds, name)| format!("{}{name}", size / (seconds * 1_000_000_000)))
}

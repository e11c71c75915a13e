//! Times, with Go's layouts, durations and methods.

mod duration;
mod layout;
mod moment;
mod numbers;
mod parse;

use std::sync::Arc;

use super::Kind::{self, Any, Duration, Int, Str};
use super::{Call, Function, fixed};
use crate::chart::value::{Go, Host, IntKind};
use moment::{Location, Moment};
use numbers::Number;

pub(super) const ALL: &[Function] = &[
    fixed("now", &[], |_| Ok(Time::wrap(Moment::now()))),
    fixed("date", &[Str, Any], |c| Ok(in_zone(&c.str(0), &c.any(1), "Local"))),
    fixed("dateInZone", &[Str, Any, Str], |c| Ok(in_zone(&c.str(0), &c.any(1), &c.str(2)))),
    fixed("date_in_zone", &[Str, Any, Str], |c| Ok(in_zone(&c.str(0), &c.any(1), &c.str(2)))),
    fixed("htmlDate", &[Any], |c| Ok(in_zone("2006-01-02", &c.any(0), "Local"))),
    fixed("htmlDateInZone", &[Any, Str], |c| Ok(in_zone("2006-01-02", &c.any(0), &c.str(1)))),
    fixed("dateModify", &[Str, Kind::Time], |c| modify(c, false)),
    fixed("date_modify", &[Str, Kind::Time], |c| modify(c, false)),
    fixed("mustDateModify", &[Str, Kind::Time], |c| modify(c, true)),
    fixed("must_date_modify", &[Str, Kind::Time], |c| modify(c, true)),
    fixed("toDate", &[Str, Str], |c| Ok(Time::wrap(parse::parse(&c.str(0), &c.str(1)).unwrap_or_else(|_| Moment::zero())))),
    fixed("mustToDate", &[Str, Str], |c| Ok(Time::wrap(parse::parse(&c.str(0), &c.str(1))?))),
    fixed("unixEpoch", &[Kind::Time], |c| Ok(moment(&c.any(0)).seconds.to_string().into())),
    fixed("ago", &[Any], |c| {
        let passed = Moment::now().seconds.wrapping_sub(moment(&c.any(0)).seconds);
        Ok(duration::text(passed.wrapping_mul(moment::SECOND)).into())
    }),
    fixed("duration", &[Any], |c| {
        // sprig knows strings and int64 here; an int is 0.
        let seconds = match c.any(0) {
            Go::Str(text) => super::convert::atoi(&text),
            Go::Int(n, IntKind::Int64) => n,
            _ => 0,
        };
        // In nanoseconds, which wrap.
        Ok(duration::text(seconds.wrapping_mul(moment::SECOND)).into())
    }),
    fixed("durationRound", &[Any], |c| Ok(rounded(&c.any(0)).into())),
];

/// Go's `time.Time`.
#[derive(Debug)]
pub(super) struct Time(Moment);

/// A time that TOML wrote by this layout.
pub(super) fn read(layout: &str, text: &str) -> Option<Go> {
    parse::parse(layout, text).ok().map(Time::wrap)
}

const TEXT: &str = "2006-01-02T15:04:05.999999999Z07:00";

impl Time {
    fn wrap(time: Moment) -> Go {
        Go::Host(Arc::new(Time(time)))
    }

    /// The numbers.
    fn number(&self, name: &str) -> Option<Go> {
        let (time, civil) = (&self.0, || self.0.civil());
        Some(match name {
            "Unix" => Go::int64(time.seconds),
            "UnixMilli" => Go::int64(time.unix(1_000)),
            "UnixMicro" => Go::int64(time.unix(1_000_000)),
            "UnixNano" => Go::int64(time.unix(moment::SECOND)),
            "Year" => Go::int(civil().year),
            "Month" => Number::month(civil().month),
            "Weekday" => Number::weekday(civil().weekday),
            "Day" => Go::int(civil().day),
            "Hour" => Go::int(civil().hour),
            "Minute" => Go::int(civil().minute),
            "Second" => Go::int(civil().second),
            "Nanosecond" => Go::int(time.nanos),
            "YearDay" => Go::int(civil().year_day),
            _ => return None,
        })
    }

    /// What is computed with it.
    fn computed(&self, name: &str, args: &[Go]) -> Option<Go> {
        let time = &self.0;
        let number = |i: usize| args.get(i).map_or(0, numbers::plain);
        let other = || args.first().map_or_else(Moment::zero, moment);
        let order = || time.compare(&other());
        Some(match name {
            "Add" => Time::wrap(time.add(number(0))),
            "AddDate" => Time::wrap(time.add_date(number(0), number(1), number(2))),
            "Truncate" => Time::wrap(time.truncate(number(0))),
            "Round" => Time::wrap(time.round(number(0))),
            "Sub" => Number::duration(time.sub(&other())),
            "Compare" => Go::int(order() as i8),
            "Equal" => order().is_eq().into(),
            "Before" => order().is_lt().into(),
            "After" => order().is_gt().into(),
            "IsZero" => time.is_zero().into(),
            "IsDST" => time.location.zone(time.seconds).2.into(),
            "UTC" => Time::wrap(time.within(Location::Utc)),
            "Local" => Time::wrap(time.within(Location::Local)),
            "Location" => Go::Host(Arc::new(Zone(time.location.clone()))),
            _ => return None,
        })
    }

    /// `Time.GoString`.
    fn source(&self) -> String {
        let civil = self.0.civil();
        let month = Number::month(civil.month);
        let location = match &self.0.location {
            Location::Utc => "time.UTC".to_owned(),
            Location::Local => "time.Local".to_owned(),
            other => format!("time.Location({})", layout::quote(&other.name())),
        };
        let month = crate::chart::value::sprint(std::slice::from_ref(&month));
        format!("time.Date({}, time.{month}, {}, {}, {}, {}, {}, {location})", civil.year, civil.day, civil.hour, civil.minute, civil.second, self.0.nanos)
    }
}

impl Host for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn field(&self, _name: &str) -> Option<Go> {
        None
    }

    fn parameters(&self, method: &str) -> Option<&'static [Kind]> {
        Some(match method {
            "Add" | "Truncate" | "Round" => &[Duration],
            "AddDate" => &[Int, Int, Int],
            "Sub" | "Compare" | "Equal" | "Before" | "After" => &[Kind::Time],
            "Format" => &[Str],
            "AppendFormat" => &[Kind::Bytes, Str],
            "IsZero" | "IsDST" | "UTC" | "Local" | "Location" | "String" | "GoString" | "MarshalText" | "MarshalJSON" => &[],
            number if self.number(number).is_some() => &[],
            _ => return None,
        })
    }

    fn unfit(&self, method: &str) -> Option<&'static str> {
        Some(match method {
            "Zone" => "invalid function signature for Zone: second return value should be error; is int",
            "ISOWeek" => "invalid function signature for ISOWeek: second return value should be error; is int",
            "ZoneBounds" => "invalid function signature for ZoneBounds: second return value should be error; is time.Time",
            "Date" => "function Date has 3 return values; should be 1 or 2",
            "Clock" => "function Clock has 3 return values; should be 1 or 2",
            _ => return None,
        })
    }

    fn call(&self, name: &str, args: &[Go]) -> Option<Result<Go, String>> {
        let text = |i: usize| args.get(i).and_then(Go::as_str).unwrap_or_default();
        let bytes = |text: String| Go::Bytes(Arc::from(text.into_bytes()));
        Some(Ok(match name {
            "Format" => layout::format(text(0), &self.0).into(),
            "AppendFormat" => {
                let before = if let Some(Go::Bytes(before)) = args.first() { before.to_vec() } else { Vec::new() };
                Go::Bytes(Arc::from([before, layout::format(text(1), &self.0).into_bytes()].concat()))
            }
            "String" => self.text().into(),
            "GoString" => self.source().into(),
            "MarshalText" => bytes(layout::format(TEXT, &self.0)),
            "MarshalJSON" => bytes(format!("\"{}\"", layout::format(TEXT, &self.0))),
            name => return self.number(name).or_else(|| self.computed(name, args)).map(Ok),
        }))
    }

    fn text(&self) -> String {
        layout::format("2006-01-02 15:04:05.999999999 -0700 MST", &self.0)
    }

    fn source_text(&self) -> Option<String> {
        Some(self.source())
    }

    fn json(&self) -> serde_json::Value {
        layout::format(TEXT, &self.0).into()
    }
}

/// Go's `*time.Location`.
#[derive(Debug)]
struct Zone(Location);

impl Host for Zone {
    fn type_name(&self) -> &'static str {
        "*time.Location"
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn field(&self, _name: &str) -> Option<Go> {
        None
    }

    fn parameters(&self, method: &str) -> Option<&'static [Kind]> {
        (method == "String").then_some(&[])
    }

    fn call(&self, name: &str, _args: &[Go]) -> Option<Result<Go, String>> {
        (name == "String").then(|| Ok(self.text().into()))
    }

    fn text(&self) -> String {
        self.0.name()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({})
    }
}

fn time(value: &Go) -> Option<&Moment> {
    let Go::Host(host) = value else { return None };
    let host: &dyn std::any::Any = &**host;
    host.downcast_ref::<Time>().map(|time| &time.0)
}

/// sprig takes times and seconds; anything else is now.
fn moment(value: &Go) -> Moment {
    match value {
        Go::Int(n, IntKind::Int | IntKind::Int64) => Moment::new(*n, 0, Location::Local),
        other => time(other).cloned().unwrap_or_else(Moment::now),
    }
}

fn in_zone(format: &str, value: &Go, zone: &str) -> Go {
    layout::format(format, &moment(value).within(Location::load(zone).unwrap_or(Location::Utc))).into()
}

fn modify(c: &mut Call<'_>, must: bool) -> Result<Go, String> {
    match duration::parse(&c.str(0)) {
        Ok(nanoseconds) => Ok(Time::wrap(moment(&c.any(1)).add(nanoseconds))),
        Err(error) if must => Err(error),
        Err(_) => Ok(c.any(1)),
    }
}

/// sprig's `durationRound`: the largest unit only.
fn rounded(value: &Go) -> String {
    const UNITS: [(u64, &str); 6] = [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let size = match value {
        Go::Str(text) => duration::parse(text).unwrap_or(0).unsigned_abs(),
        Go::Int(n, IntKind::Int64) => n.unsigned_abs(),
        other => time(other).map_or(0, |time| Moment::now().sub(time).unsigned_abs()),
    };
    let unit = UNITS.iter().find(|(seconds, _)| size > seconds * 1_000_000_000);
    unit.map_or_else(|| "0s".to_owned(), |(seconds, name)| format!("{}{name}", size / (seconds * 1_000_000_000)))
}

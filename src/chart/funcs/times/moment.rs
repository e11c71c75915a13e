//! Go's `time.Time`: an instant and a location. The calendar is computed here, because Go's years go far beyond those of jiff, which
//! knows the zones.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use crate::chart::chance;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;

/// Go's `*time.Location`.
#[derive(Debug, Clone)]
pub(super) enum Location {
    /// `time.UTC`.
    Utc,
    /// `time.Local`.
    Local,
    /// One of the zone database.
    Named(TimeZone),
    /// `time.FixedZone`.
    Fixed(Arc<str>, i32),
}

impl Location {
    /// `time.LoadLocation`; unlike jiff, Go tells upper from lower case.
    pub(super) fn load(name: &str) -> Option<Self> {
        match name {
            "" | "UTC" => Some(Location::Utc),
            "Local" => Some(Location::Local),
            name => TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name)).map(Location::Named),
        }
    }

    /// `Location.String`.
    pub(super) fn name(&self) -> String {
        match self {
            Location::Utc => "UTC".to_owned(),
            Location::Local => "Local".to_owned(),
            Location::Named(zone) => zone.iana_name().unwrap_or_default().to_owned(),
            Location::Fixed(name, _) => name.to_string(),
        }
    }

    /// `Location.lookup`: the zone's name, its offset and whether it is of the summer.
    pub(super) fn zone(&self, seconds: i64) -> (String, i32, bool) {
        let of = |zone: &TimeZone| {
            let seconds = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
            let info = zone.to_offset_info(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH));
            (info.abbreviation().to_owned(), info.offset().seconds(), info.dst().is_dst())
        };
        match self {
            Location::Utc => ("UTC".to_owned(), 0, false),
            Location::Local => of(&TimeZone::system()),
            Location::Named(zone) => of(zone),
            Location::Fixed(name, offset) => (name.to_string(), *offset, false),
        }
    }

    /// `Location.lookupName`: the offset of a zone's name, if it is in use then.
    pub(super) fn offset_of(&self, name: &str, seconds: i64) -> Option<i32> {
        let (found, offset, _) = self.zone(seconds);
        (found == name).then_some(offset)
    }
}

/// A date and a time of day.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Civil {
    pub year: i64,
    /// From 1.
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    /// From 1.
    pub year_day: i64,
    /// From Sunday.
    pub weekday: i64,
}

/// Days from 1970-01-01, of any month and day, however far out of range (Hinnant's `days_from_civil`).
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year.wrapping_add((month - 1).div_euclid(12));
    let month = (month - 1).rem_euclid(12) + 1;
    let year = if month <= 2 { year.wrapping_sub(1) } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era.wrapping_mul(146_097).wrapping_add(of_era - 719_468).wrapping_add(day - 1)
}

/// The date of a day (Hinnant's `civil_from_days`).
fn date(days: i64) -> (i64, i64, i64) {
    let days = days.wrapping_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Go's `time.Time`.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// Seconds from 1970.
    pub seconds: i64,
    /// Nanoseconds of the second.
    pub nanos: i64,
    pub location: Location,
}

impl Moment {
    pub(super) fn new(seconds: i64, nanos: i64, location: Location) -> Self {
        Moment { seconds, nanos, location }
    }

    /// `time.Now`.
    pub(super) fn now() -> Self {
        let now = chance::now();
        let location = if chance::repeats() { Location::Utc } else { Location::Local };
        Moment::new(now.as_second(), i64::from(now.subsec_nanosecond()), location)
    }

    /// Go's zero time.
    pub(super) fn zero() -> Self {
        Moment::new(days(1, 1, 1) * DAY, 0, Location::Utc)
    }

    /// `time.Date`.
    pub(super) fn at(civil: Civil, nanos: i64, location: Location) -> Self {
        let clock = civil.hour * 3600 + civil.minute * 60 + civil.second;
        let local = days(civil.year, civil.month, civil.day).wrapping_mul(DAY).wrapping_add(clock);
        let guess = i64::from(location.zone(local).1);
        let offset = if guess == 0 { 0 } else { i64::from(location.zone(local.wrapping_sub(guess)).1) };
        Moment::new(local.wrapping_sub(offset), nanos, location)
    }

    /// The same instant elsewhere.
    pub(super) fn within(&self, location: Location) -> Self {
        Moment::new(self.seconds, self.nanos, location)
    }

    /// The zone's name and its offset.
    pub(super) fn zone(&self) -> (String, i32) {
        let (name, offset, _) = self.location.zone(self.seconds);
        (name, offset)
    }

    /// What calendar and clock show.
    pub(super) fn civil(&self) -> Civil {
        let local = self.seconds.wrapping_add(i64::from(self.zone().1));
        let (day, clock) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, number) = date(day);
        Civil {
            year,
            month,
            day: number,
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
            year_day: day - days(year, 1, 1) + 1,
            weekday: (day + 4).rem_euclid(7),
        }
    }

    /// `Time.Add`.
    pub(super) fn add(&self, nanoseconds: i64) -> Self {
        let nanos = self.nanos + nanoseconds % SECOND;
        let seconds = self.seconds.wrapping_add(nanoseconds / SECOND).wrapping_add(nanos.div_euclid(SECOND));
        Moment::new(seconds, nanos.rem_euclid(SECOND), self.location.clone())
    }

    /// `Time.AddDate`.
    pub(super) fn add_date(&self, years: i64, months: i64, days: i64) -> Self {
        let civil = self.civil();
        let moved = Civil { year: civil.year.wrapping_add(years), month: civil.month.wrapping_add(months), day: civil.day.wrapping_add(days), ..civil };
        Moment::at(moved, self.nanos, self.location.clone())
    }

    /// Nanoseconds from Go's year 1.
    fn since_zero(&self) -> i128 {
        (i128::from(self.seconds) - i128::from(days(1, 1, 1) * DAY)) * i128::from(SECOND) + i128::from(self.nanos)
    }

    /// `Time.Sub`: what is out of range is the nearest.
    pub(super) fn sub(&self, other: &Moment) -> i64 {
        let difference = self.since_zero() - other.since_zero();
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }

    /// `Time.Compare`.
    pub(super) fn compare(&self, other: &Moment) -> Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }

    /// What is over a multiple of a duration.
    fn rest(&self, duration: i64) -> i64 {
        i64::try_from(self.since_zero().rem_euclid(i128::from(duration))).unwrap_or(0)
    }

    /// `Time.Truncate`.
    pub(super) fn truncate(&self, duration: i64) -> Self {
        if duration <= 0 { self.clone() } else { self.add(-self.rest(duration)) }
    }

    /// `Time.Round`.
    pub(super) fn round(&self, duration: i64) -> Self {
        if duration <= 0 {
            return self.clone();
        }
        let rest = self.rest(duration);
        // Halves go up.
        if rest < duration - rest { self.add(-rest) } else { self.add(duration - rest) }
    }

    /// `Time.UnixNano` and its siblings, which wrap.
    pub(super) fn unix(&self, per_second: i64) -> i64 {
        self.seconds.wrapping_mul(per_second).wrapping_add(self.nanos / (SECOND / per_second))
    }

    pub(super) fn is_zero(&self) -> bool {
        self.since_zero() == 0
    }
}

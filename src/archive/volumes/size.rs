//! The size of volumes, as people write it.

use std::{fmt, num::NonZeroU64, str::FromStr};

/// Bytes of a volume.
///
/// A number, also with a decimal point, and a unit: `k`, `M`, `G`, `T` and `kB` … are powers of 1000 as on the labels of disks, `Ki` and `KiB` … powers
/// of 1024 (IEC 80000-13; Kubernetes' quantities are the same). `-BYTES` takes something off: `4GiB-1` is the largest file of FAT32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeSize(NonZeroU64);

/// Text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size of a volume: wanted for example 700MB, 4.7GB, 4GiB, 4GiB-1 (the most that FAT32 takes) or a number of bytes")]
pub struct VolumeSizeError(String);

impl VolumeSize {
    /// A number of bytes; none for 0.
    pub fn new(bytes: u64) -> Option<Self> {
        NonZeroU64::new(bytes).map(Self)
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0.get()
    }
}

impl FromStr for VolumeSize {
    type Err = VolumeSizeError;

    fn from_str(text: &str) -> Result<Self, VolumeSizeError> {
        parse(text.trim()).and_then(Self::new).ok_or_else(|| VolumeSizeError(text.to_owned()))
    }
}

impl fmt::Display for VolumeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parse(text: &str) -> Option<u64> {
    let (amount, less) = match text.split_once('-') {
        Some((amount, less)) => (amount.trim_end(), digits(less.trim_start())?),
        None => (text, 0),
    };
    let unit_at = amount.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(amount.len());
    let (number, unit) = amount.split_at(unit_at);
    let unit = self::unit(unit.trim_start())?;
    let (whole, part) = number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let mut bytes = digits(whole)?.checked_mul(unit)?;
    if let Some(part) = part {
        // 0.7 of a unit: as many tenths as there are decimals, rounded down. Nine decimals of a terabyte still fit.
        let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok().filter(|&n| n <= 6)?)?;
        bytes = bytes.checked_add(u64::try_from(u128::from(digits(part)?) * u128::from(unit) / u128::from(scale)).ok()?)?;
    }
    bytes.checked_sub(less)
}

fn digits(text: &str) -> Option<u64> {
    // Rust's own parser takes a plus.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn unit(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let (base, prefix) = match text.as_str() {
        "" | "b" => return Some(1),
        // `k`, `kb`; `ki`, `kib`.
        text => match text.strip_suffix("ib").or_else(|| text.strip_suffix('i')) {
            Some(prefix) => (1024_u64, prefix),
            None => (1000, text.strip_suffix('b').unwrap_or(text)),
        },
    };
    let power = match prefix {
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    Some(base.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("1", 1),
            ("512", 512),
            ("512b", 512),
            ("4294967295", 4_294_967_295),
            ("700MB", 700_000_000),
            ("700 MB", 700_000_000),
            ("700m", 700_000_000),
            ("650MiB", 650 << 20),
            ("650Mi", 650 << 20),
            ("4.7GB", 4_700_000_000),
            ("1.5KiB", 1536),
            ("0.5k", 500),
            ("4G", 4_000_000_000),
            ("4GB-1", 3_999_999_999),
            ("4GiB-1", 4_294_967_295),
            ("4GiB - 1", 4_294_967_295),
            (" 2TB ", 2_000_000_000_000),
            ("1kib", 1024),
            ("1.000001KB", 1000),
        ] {
            assert_eq!(text.parse::<VolumeSize>().unwrap().bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "0",
            "0MB",
            "1-1",
            "1-2",
            "-1",
            "MB",
            ".5GB",
            "5.GB",
            "1.2.3k",
            "1e9",
            "+1",
            "1kk",
            "1bib",
            "4GB-1k",
            "1PB",
            "99999999999999999999",
            "20000000TiB",
            "1.0000000MB",
            "i",
            "ib",
            "4GB1",
            "٣",
        ] {
            assert!(text.parse::<VolumeSize>().is_err(), "{text}");
        }
        let told = "big".parse::<VolumeSize>().unwrap_err().to_string();
        assert!(told.starts_with("`big` is no size of a volume: wanted for example 700MB"), "{told}");
    }
}

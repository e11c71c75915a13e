//! Numbers and tables for people.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use crate::{
    archive::Standing,
    cluster::{Placement, deploy::Change},
    ops::verify::BaseOutcome,
};

/// Bytes in decimal units, as registries and `docker images` count: `325.0 MB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    if n < 1000 {
        return format!("{n} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal place is shown")]
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// What an archive leaves out, who must have it, and whether that was checked.
pub fn base(base: &BaseOutcome) -> String {
    let what = format!("{} layers, {}", base.blobs.len(), bytes(base.size));
    if base.checked {
        return format!("made over {}: the other {what}, were checked{}\n", base.base, givers(base));
    }
    let mut out = format!(
        "made over {}: {what}, are not in it and were NOT checked; the nodes must hold them, or --base ARCHIVE gives them, or --blobs-from REGISTRY[/PREFIX]\n",
        base.base
    );
    let images = |names: &[crate::oci::Reference]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let rows: Vec<Vec<String>> = base.blobs.iter().map(|blob| vec![blob.digest.to_string(), bytes(blob.size), images(&blob.images)]).collect();
    out.push_str(&table(&["LEFT OUT", "SIZE", "NEEDED BY"], &rows));
    out
}

/// Who gave how many of the layers that were left out.
fn givers(base: &BaseOutcome) -> String {
    let mut givers: BTreeMap<&str, usize> = BTreeMap::new();
    for from in base.blobs.iter().filter_map(|blob| blob.from.as_deref()) {
        *givers.entry(from).or_default() += 1;
    }
    let told: Vec<String> = givers.into_iter().map(|(from, layers)| format!("{layers} in {from}")).collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
}

/// A text from elsewhere, without what would steer a terminal; line feeds and tabs stay.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// A duration: `0.23s`, `15.5s`, `2m05s`.
pub fn duration(d: Duration) -> String {
    let seconds = d.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.2}s")
    } else if seconds < 100.0 {
        format!("{seconds:.1}s")
    } else {
        format!("{}m{:02}s", d.as_secs() / 60, d.as_secs() % 60)
    }
}

/// A table as kubectl prints them: upper-case heads, three spaces between columns, no lines.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(text, "{cell:<width$}   ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&mut heads.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    out
}

/// Who vouches for an archive, in words.
pub fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Signed { by, also, .. } => {
            let all: Vec<String> = std::iter::once(by).chain(also.iter().map(|one| &one.by)).map(ToString::to_string).collect();
            format!("signed by {}", all.join(" and "))
        }
        Standing::Unchecked => "signature NOT checked".to_owned(),
        Standing::Unsigned => "NOT signed".to_owned(),
    }
}

/// What was done with an app, in words.
pub fn change(change: Change) -> &'static str {
    match change {
        Change::Unchanged => "unchanged",
        Change::Installed => "installed",
        Change::Upgraded => "upgraded",
    }
}

/// Which pod runs where.
pub fn pods(pods: &[Placement]) -> String {
    let row = |p: &Placement| vec![p.pod.clone(), p.state.clone(), p.node.clone().unwrap_or_else(|| "-".into()), p.images.join(", ")];
    table(&["POD", "STATE", "NODE", "IMAGES"], &pods.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        for (n, want) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (325_000_000, "325.0 MB"), (12_300_000_000, "12.3 GB")]
        {
            assert_eq!(bytes(n), want);
        }
        for (ms, want) in [(230, "0.23s"), (15_500, "15.5s"), (125_000, "2m05s")] {
            assert_eq!(duration(Duration::from_millis(ms)), want);
        }
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), String::new()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME     N\na        1\nlonger\n");
    }
}

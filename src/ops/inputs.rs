//! Files that a person names on the command line, read and checked.

use std::path::Path;

use serde_json::{Map, Value};

use super::verify::file_failure;
use crate::{
    chart::values,
    delivery::{self, Delivery},
    failure::{Failure, Kind},
    io,
};

/// The largest values file that is read, in bytes: as much as Helm takes for a file of a chart (pkg/chart/loader, `MaxDecompressedFileSize`).
const VALUES_MAX: u64 = 5 << 20;

/// Reads and checks a delivery.yaml.
pub fn read_delivery(path: &Path) -> Result<Delivery, Failure> {
    let missing = |error: io::FileError| {
        let kind = Kind::Usage;
        let hint = if error.is_not_found() {
            "name the delivery with -f FILE; `kubectl offline schema` shows what belongs in it"
        } else {
            "delivery.yaml is a text file of at most 1 MiB"
        };
        Failure::new(kind, error).hint(hint)
    };
    let text = io::read_capped_text(path, delivery::TEXT_MAX as u64).map_err(missing)?;
    delivery::parse(path, &text).map_err(|error| Failure::new(Kind::Usage, error))
}

/// Reads a values file.
pub fn read_values(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = io::read_capped_text(path, VALUES_MAX).map_err(|error| Failure { kind: Kind::Usage, ..file_failure(error) })?;
    values::parse_file(&path.display().to_string(), &text).map_err(|error| Failure::new(Kind::Usage, error))
}

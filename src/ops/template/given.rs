//! The user's values: files, then `--set` and its siblings (pkg/cli/values, options.go, `MergeValues`).

use std::io::Read;

use serde_json::{Map, Value};

use super::{TemplateError, TemplateOptions, error::system_reason};
use crate::{
    chart::values::{self, Kind as SetKind},
    failure::{Failure, Kind},
};

/// The largest file that is read, in bytes: as much as Helm takes for a file of a chart (pkg/chart/loader, `MaxDecompressedFileSize`).
pub(super) const FILE_MAX: u64 = 5 << 20;

/// All of the user's values. The order is Helm's, whatever the order on the command line.
pub(super) fn values(options: &TemplateOptions) -> Result<Map<String, Value>, Failure> {
    let usage = |error| Failure::new(Kind::Usage, error);
    let mut given = Map::new();
    for file in &options.values {
        let text = String::from_utf8(read(file)?).map_err(|_| not_yaml(file))?;
        values::merge(&mut given, values::parse_file_for(options.dialect(), file, &text).map_err(usage)?);
    }
    for text in &options.set_json {
        values::set_for(options.dialect(), &mut given, SetKind::Json, text).map_err(usage)?;
    }
    for (kind, texts) in [(SetKind::Typed, &options.set), (SetKind::Text, &options.set_string)] {
        for text in texts {
            values::set_for(options.dialect(), &mut given, kind, text).map_err(usage)?;
        }
    }
    for text in &options.set_file {
        let mut content = |path: &str| read(path).and_then(|bytes| text_of(path, bytes)).map_err(|error| error.to_string());
        values::parse_files_into(&mut given, text, &mut content, options.dialect())
            .map_err(|source| Failure::new(Kind::Usage, values::ValuesError::Set { flag: SetKind::File.flag(), source }))?;
    }
    for text in &options.set_literal {
        values::set_for(options.dialect(), &mut given, SetKind::Literal, text).map_err(usage)?;
    }
    Ok(given)
}

/// go-yaml's words for bytes that are no text.
fn not_yaml(file: &str) -> Failure {
    TemplateError::Refused(format!("failed to parse {file}: error converting YAML to JSON: yaml: invalid leading UTF-8 octet")).into()
}

fn text_of(path: &str, bytes: Vec<u8>) -> Result<String, TemplateError> {
    String::from_utf8(bytes).map_err(|_| TemplateError::NotText(path.to_owned()))
}

/// `readFile`: standard input for `-`, else a file. Helm would fetch URLs.
fn read(path: &str) -> Result<Vec<u8>, TemplateError> {
    if path.trim() == "-" {
        return drain(&mut std::io::stdin().lock(), path);
    }
    if ["http://", "https://", "oci://"].iter().any(|scheme| path.to_ascii_lowercase().starts_with(scheme)) {
        return Err(TemplateError::Url(path.to_owned()));
    }
    match std::fs::File::open(path) {
        Ok(mut file) => drain(&mut file, path),
        Err(error) => Err(TemplateError::File { action: "open", path: path.to_owned(), reason: system_reason(&error) }),
    }
}

fn drain(from: &mut dyn Read, path: &str) -> Result<Vec<u8>, TemplateError> {
    let mut bytes = Vec::new();
    let read = from.take(FILE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| TemplateError::File { action: "read", path: path.to_owned(), reason: system_reason(&error) })?;
    if bytes.len() as u64 > FILE_MAX { Err(TemplateError::TooLarge(path.to_owned())) } else { Ok(bytes) }
}

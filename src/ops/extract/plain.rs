//! One plain folder that installs with nothing but helm and ctr: charts, values, images, and a script for any POSIX shell.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    ExtractOptions, ImageFormat, Kind,
    choose::Chosen,
    error::ExtractError,
    names,
    plan::{self, Content, Plan},
    renamed::Renamed,
};
use crate::{
    archive::Archive,
    chart,
    delivery::record::{AppRecord, AppSource, Record},
    failure::Failure,
    tree::{FileTree, SafePath},
};

/// What the script begins with, after the line that names the delivery. Only what POSIX.1-2017 has: XCU 2, "Shell Command Language".
const HEAD: &str = r#"# On every node, as root:                          ./install.sh images
# Once, where helm reaches the cluster:            ./install.sh apps
# Both at once, on a cluster of one node, as root: ./install.sh
#
# CTR    what imports images, as in CTR='k3s ctr' (ctr)
# HELM   which helm (helm)
# TIMEOUT  how long an app may take until it is ready (10m)
set -eu
case $0 in */*) CDPATH='' cd -- "${0%/*}/" ;; esac

check() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum -c SHA256SUMS >/dev/null || { echo "install.sh: the files are not those of SHA256SUMS" >&2; exit 1; }
  fi
}

app() { # RELEASE NAMESPACE CHART [VALUES]
  printf 'installing %s into namespace %s\n' "$1" "$2"
  ${HELM:-helm} upgrade "$1" "$3" --install --namespace "$2" --create-namespace --wait --timeout "${TIMEOUT:-10m}" ${4:+--values "$4"}
}

"#;

/// And what it ends with.
const TAIL: &str = r#"
case ${1-all} in
  images) check; images ;;
  apps) check; apps ;;
  all) check; images; apps ;;
  *) echo "usage: ./install.sh [images|apps]" >&2; exit 2 ;;
esac
"#;

/// Charts, values, images, files, the script, and the sums of all of them.
pub(super) fn plan(plan: &mut Plan, archive: &Archive, options: &ExtractOptions, chosen: &Chosen<'_>) -> Result<(), Failure> {
    let record = archive.record();
    let mut renamed = Renamed::new(record)?;
    let mut apps = String::new();
    for app in &chosen.apps {
        let (chart, values) = chart_of(plan, archive, app, &mut renamed)?;
        plan.values(app, &values)?;
        let values = if values.is_empty() { String::new() } else { format!(" {}", quoted(&format!("values/{}.yaml", app.name))) };
        if !chart::is_release_name(&app.name) {
            return Err(ExtractError::Name { name: app.name.clone(), what: "an app", reason: "helm takes no release of this name" }.into());
        }
        // Writing to a String cannot fail.
        let _ = writeln!(apps, "  app {} {} {}{values}", quoted(&app.name), quoted(&app.namespace), quoted(chart.as_str()));
    }
    plan.delivery_files(archive)?;
    if !chosen.images.is_empty() {
        let named = renamed.names(archive, chosen)?;
        plan.images(archive, &named, options, ImageFormat::DockerArchive)?;
        plan.attachments(archive, &chosen.images, options)?;
    }
    plan.notes.append(&mut renamed.notes);
    let script = script(record, &apps, !chosen.images.is_empty());
    plan.add(Kind::Script, names::leaf("install.sh")?, Vec::new(), Content::Script(script.into()))?;
    plan.add(Kind::Script, names::leaf("SHA256SUMS")?, Vec::new(), Content::Sums)?;
    Ok(())
}

/// The chart of an app, below the folder, and its values. Plain manifests become one.
fn chart_of(plan: &mut Plan, archive: &Archive, app: &AppRecord, renamed: &mut Renamed<'_>) -> Result<(SafePath, Map<String, Value>), Failure> {
    match &app.source {
        AppSource::Chart { name, version, digest, .. } => {
            let values = renamed.values(archive, app, digest)?;
            Ok((plan.chart(archive, app, (name, version), digest)?, values))
        }
        AppSource::Manifests { .. } => {
            let version = &archive.record().version;
            let version = if crate::semver::Version::parse(version).is_some() { version } else { "0.0.0" };
            let tree = renamed.manifests(app, version, plan::read_manifests(archive, app)?)?;
            let package = package(app, version, &tree)?;
            let path = names::below("charts", names::leaf(&format!("{}-{version}.tgz", app.name))?.as_str())?;
            plan.add(Kind::Chart, path.clone(), vec![app.name.clone()], Content::Bytes(package))?;
            Ok((path, app.values.clone()))
        }
    }
}

/// A chart that renders manifests to what they are, braces and all: its templates only name the files.
fn package(app: &AppRecord, version: &str, manifests: &FileTree) -> Result<Bytes, ExtractError> {
    let wrong = |reason: String| ExtractError::Manifests { app: app.name.clone(), reason };
    let mut tree = FileTree::new();
    let mut put = |path: String, content: Bytes| -> Result<(), ExtractError> {
        tree.insert(path.parse().map_err(|error: crate::tree::UnsafePath| wrong(error.to_string()))?, content);
        Ok(())
    };
    let metadata = format!("apiVersion: v2\nname: {}\nversion: {}\n", json(&app.name), json(version));
    put("Chart.yaml".to_owned(), metadata.into())?;
    for (number, (path, content)) in manifests.iter().enumerate() {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        put(format!("manifests/{path}"), content.clone())?;
        // As `install` has it: helm passes over files that begin so.
        if !name.starts_with('_') {
            put(format!("templates/{number:04}.yaml"), format!("{{{{ .Files.Get {} }}}}\n", json(&format!("manifests/{path}"))).into())?;
        }
    }
    chart::package(&app.name, &tree).map(Bytes::from).map_err(|error| wrong(error.to_string()))
}

/// A text in quotes, as YAML and Go's templates both read it: JSON without what JSON alone escapes (names here have no control characters).
fn json(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A word of the shell, whatever is in it (XCU 2.2.2, "Single-Quotes").
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn script(record: &Record, apps: &str, images: bool) -> String {
    let import = if images { "${CTR:-ctr} -n k8s.io images import images.tar" } else { "echo 'there are no images'" };
    let apps = if apps.is_empty() { "  echo 'there are no apps'\n" } else { apps };
    let head = format!("#!/bin/sh\n# Installs {} {} with nothing but helm and ctr.\n", record.name, record.version);
    format!("{head}{HEAD}images() {{\n  {import}\n}}\n\napps() {{\n{apps}}}\n{TAIL}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell_and_for_templates() {
        for word in ["plain", "it's", "$(reboot)", "a b;`c`", "\\"] {
            let out = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
        }
        assert_eq!(json(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}

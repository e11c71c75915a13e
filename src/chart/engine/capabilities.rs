//! `.Capabilities`: the structs of Helm's pkg/chartutil (in Helm 4 pkg/chart/common).

use std::sync::Arc;

use serde_json::Value;

use super::{Capabilities, Dialect, KubeVersion};
use crate::chart::capabilities::{HELM_GO_VERSION, HELM4_KUBE_CLIENT};
use crate::chart::value::{Go, Host, Kind, Member, Struct, Tag, json_object};

/// `.Capabilities`.
pub(super) fn capabilities(of: &Capabilities, dialect: Dialect) -> Go {
    let new = dialect == Dialect::Helm4;
    let text = |text: &str| Go::from(text);
    // 3.22: internal/version/version.go; 4.3: the same with the version of client-go.
    let mut build = vec![
        Member::new("Version", Tag::OmitEmpty("version"), text(&of.helm_version)),
        Member::new("GitCommit", Tag::OmitEmpty("git_commit"), text("")),
        Member::new("GitTreeState", Tag::OmitEmpty("git_tree_state"), text("")),
        Member::new("GoVersion", Tag::OmitEmpty("go_version"), text(HELM_GO_VERSION)),
    ];
    if new {
        build.push(Member::new("KubeClientVersion", Tag::OmitEmpty("kube_client_version"), text(HELM4_KUBE_CLIENT)));
    }
    let helm = Struct { type_name: "version.BuildInfo", members: build };
    let members = vec![
        Member::new("KubeVersion", Tag::Name("KubeVersion"), Go::Host(Arc::new(KubeVersionObject(of.kube_version.clone(), new)))),
        Member::new("APIVersions", Tag::Name("APIVersions"), Go::Host(Arc::new(ApiVersions(of.api_versions.clone(), new)))),
        Member::new("HelmVersion", Tag::Name("HelmVersion"), Go::Host(Arc::new(helm))),
    ];
    let type_name = if new { "*common.Capabilities" } else { "*chartutil.Capabilities" };
    Go::Host(Arc::new(Struct { type_name, members }))
}

/// `KubeVersion`, and whether it is that of Helm 4.
#[derive(Debug)]
struct KubeVersionObject(KubeVersion, bool);

impl Host for KubeVersionObject {
    fn type_name(&self) -> &'static str {
        if self.1 { "common.KubeVersion" } else { "chartutil.KubeVersion" }
    }

    fn field(&self, name: &str) -> Option<Go> {
        self.members()?.into_iter().find(|member| member.name == name && member.json != Tag::Hidden).map(|member| member.value)
    }

    fn parameters(&self, method: &str) -> Option<&'static [Kind]> {
        matches!(method, "GitVersion" | "String").then_some(&[])
    }

    fn call(&self, name: &str, _args: &[Go]) -> Option<Result<Go, String>> {
        matches!(name, "GitVersion" | "String").then(|| Ok(self.0.version.as_str().into()))
    }

    fn members(&self) -> Option<Vec<Member>> {
        let member = |name, text: &String| Member::new(name, Tag::Name(name), text.as_str().into());
        let mut members = vec![member("Version", &self.0.version), member("Major", &self.0.major), member("Minor", &self.0.minor)];
        if self.1 {
            members.insert(1, Member::new("normalizedVersion", Tag::Hidden, self.0.version.as_str().into()));
        }
        Some(members)
    }

    /// `String` is a method of the pointer: fmt does not find it, templates do.
    fn stringer(&self) -> bool {
        false
    }

    fn printed(&self) -> Option<String> {
        Some(self.text())
    }

    fn text(&self) -> String {
        self.0.version.clone()
    }

    fn json(&self) -> Value {
        json_object(self.members().unwrap_or_default())
    }
}

/// `VersionSet`, and whether it is that of Helm 4.
#[derive(Debug)]
struct ApiVersions(Vec<String>, bool);

impl Host for ApiVersions {
    fn type_name(&self) -> &'static str {
        if self.1 { "common.VersionSet" } else { "chartutil.VersionSet" }
    }

    fn kind(&self) -> &'static str {
        "slice"
    }

    fn field(&self, _name: &str) -> Option<Go> {
        None
    }

    fn parameters(&self, method: &str) -> Option<&'static [Kind]> {
        (method == "Has").then_some(&[Kind::Str])
    }

    fn call(&self, name: &str, args: &[Go]) -> Option<Result<Go, String>> {
        (name == "Has").then(|| Ok(self.0.iter().any(|v| Some(v.as_str()) == args.first().and_then(Go::as_str)).into()))
    }

    fn stringer(&self) -> bool {
        false
    }

    fn text(&self) -> String {
        format!("[{}]", self.0.join(" "))
    }

    fn json(&self) -> Value {
        Value::from(self.0.clone())
    }

    fn entries(&self) -> Option<Go> {
        Some(Go::strings(self.0.iter().map(String::as_str)))
    }
}

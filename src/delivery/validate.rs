//! What the schema cannot say: names that must be unique, references that must parse, apps that must exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use super::{
    model::{App, AppSource, ChartSource, ImageEntry, Install, Profile, SourceOptions, Spec},
    types,
};
use crate::{
    oci::{Platform, Reference},
    semver::Constraint,
    tag_policy::{Pattern, Pick, TagPolicy},
};

/// Something wrong at a JSON pointer of the document.
#[derive(Debug)]
pub(super) struct Finding {
    /// JSON pointer (RFC 6901) of the value.
    pub(super) pointer: String,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Collects findings while the written form is turned into the checked one.
#[derive(Debug, Default)]
pub(super) struct Checker {
    pub(super) findings: Vec<Finding>,
}

impl Checker {
    fn say(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding { pointer: pointer.into(), message: message.into(), help: None });
    }

    pub(super) fn spec(&mut self, spec: types::Spec) -> Spec {
        let platforms = self.platforms(spec.platforms);
        if let Some(registry) = &spec.registry
            && format!("{}/x", registry.trim_end_matches('/'))
                .parse::<Reference>()
                .map_or(true, |r| r.registry() == "docker.io" && !registry.starts_with("docker.io"))
        {
            self.say("/spec/registry", format!("`{registry}` is no registry: wanted a host, with a path if any, as in registry.example/mirror"));
        }
        let sources = spec.sources.into_iter().map(|(host, options)| self.source(host, options)).collect();
        let install = self.install(spec.install);
        let apps: Vec<App> = spec.apps.into_iter().enumerate().map(|(i, app)| self.app(i, app)).collect();
        self.names(&apps);
        self.dependencies(&apps);
        let images = spec.images.into_iter().enumerate().filter_map(|(i, image)| self.image(i, image)).collect();
        let files = spec.files.into_iter().enumerate().filter_map(|(i, file)| self.path(&format!("/spec/files/{i}/path"), &file.path)).collect();
        Spec {
            platforms,
            registry: spec.registry.map(|r| r.trim_end_matches('/').to_owned()),
            sources,
            install,
            apps,
            images,
            attachments: spec.attachments.unwrap_or(true),
            files,
        }
    }

    fn platforms(&mut self, written: Option<Vec<String>>) -> Vec<Platform> {
        let Some(written) = written else { return vec![Platform::linux_amd64()] };
        let mut platforms: Vec<Platform> = Vec::new();
        for (i, text) in written.iter().enumerate() {
            let pointer = format!("/spec/platforms/{i}");
            match text.parse::<Platform>() {
                Err(error) => self.say(pointer, error.to_string()),
                Ok(platform) if platforms.contains(&platform) => self.say(pointer, format!("platform `{text}` is listed twice")),
                Ok(platform) if platform.os != "linux" => self.say(pointer, format!("platform `{text}` is refused: images are imported into Linux nodes only")),
                Ok(platform) => platforms.push(platform),
            }
        }
        platforms
    }

    /// Versions have the shape that `helm template --kube-version` takes: two or three numbers.
    fn install(&mut self, written: types::Install) -> Install {
        for (i, version) in written.kubernetes_versions.iter().enumerate() {
            let numbers: Vec<&str> = version.strip_prefix('v').unwrap_or(version).split('.').collect();
            let number = |part: &&str| !part.is_empty() && part.len() < 6 && part.bytes().all(|b| b.is_ascii_digit());
            if !(2..=3).contains(&numbers.len()) || !numbers.iter().all(number) {
                self.say(format!("/spec/install/kubernetesVersions/{i}"), format!("`{version}` is no version of Kubernetes: wanted one as in `1.29`"));
            }
        }
        for (i, version) in written.api_versions.iter().enumerate() {
            if version.is_empty() || version.contains(char::is_whitespace) || version.matches('/').count() > 2 {
                let wanted = "wanted one as in `monitoring.coreos.com/v1` or `monitoring.coreos.com/v1/ServiceMonitor`";
                self.say(format!("/spec/install/apiVersions/{i}"), format!("`{version}` is no API version: {wanted}"));
            }
        }
        Install { kubernetes_versions: written.kubernetes_versions, api_versions: written.api_versions }
    }

    fn source(&mut self, host: String, options: types::SourceOptions) -> (String, SourceOptions) {
        let pointer = format!("/spec/sources/{}", escape(&host));
        if host.contains('/') {
            self.say(&pointer, format!("`{host}` is no registry host: wanted a name with an optional port"));
        }
        if let Some(mirror) = &options.mirror
            && format!("{}/x", mirror.trim_end_matches('/')).parse::<Reference>().is_err()
        {
            self.say(format!("{pointer}/mirror"), format!("`{mirror}` is no registry: wanted a host, with a path if any"));
        }
        let checked = SourceOptions {
            mirror: options.mirror.map(|m| m.trim_end_matches('/').to_owned()),
            // Of the machine that exports, so it may lie anywhere.
            ca_file: options.ca_file.map(PathBuf::from),
            plain_http: options.plain_http,
            client: self.client(&pointer, options.client_certificate, options.client_key, options.plain_http),
            verify: options.verify.map(|verify| PathBuf::from(verify.key)),
        };
        if checked.verify.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            self.say(format!("{pointer}/verify/key"), "the path is empty");
        }
        (host, checked)
    }

    /// A certificate goes with its key, and both with TLS.
    fn client(&mut self, pointer: &str, certificate: Option<String>, key: Option<String>, plain: bool) -> Option<(PathBuf, PathBuf)> {
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return None,
            (Some(_), None) => {
                self.say(format!("{pointer}/clientCertificate"), "`clientCertificate` needs `clientKey`: the private key that belongs to it");
                return None;
            }
            (None, Some(_)) => {
                self.say(format!("{pointer}/clientKey"), "`clientKey` needs `clientCertificate`: the certificate that belongs to it");
                return None;
            }
        };
        if plain {
            self.say(format!("{pointer}/clientCertificate"), "`clientCertificate` has no meaning with `plainHTTP`: certificates belong to TLS");
        }
        Some((certificate.into(), key.into()))
    }

    fn app(&mut self, i: usize, app: types::App) -> App {
        let at = format!("/spec/apps/{i}");
        let source = self.app_source(&at, &app);
        let is_chart = matches!(source, AppSource::Chart(_));
        if !is_chart && app.manifests.is_some() {
            for (field, used) in [
                ("values", !app.values.is_empty()),
                ("set", !app.set.is_empty()),
                ("profiles", !app.profiles.is_empty()),
                ("registryKeys", app.registry_keys.is_some()),
            ] {
                if used {
                    self.say(format!("{at}/{field}"), format!("`{field}` has no meaning for plain manifests: only charts take values"));
                }
            }
        }
        // Of the machine that exports, so it may lie anywhere.
        let keyring = app.chart.as_ref().and_then(|chart| chart.keyring.as_ref()).map(PathBuf::from);
        if keyring.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            self.say(format!("{at}/chart/keyring"), "the path is empty");
        }
        let policy = app.chart.as_ref().and_then(|chart| chart.tag_policy.as_ref());
        let tag_policy = policy.and_then(|policy| self.tag_policy(&format!("{at}/chart/tagPolicy"), policy));
        let mut seen = BTreeSet::new();
        for (k, profile) in app.profiles.iter().enumerate() {
            if !seen.insert(profile.name.clone()) {
                self.say(format!("{at}/profiles/{k}/name"), format!("profile `{}` is there twice", profile.name));
            }
        }
        let profiles = app
            .profiles
            .into_iter()
            .enumerate()
            .map(|(k, p)| Profile { name: p.name, values: self.paths(&format!("{at}/profiles/{k}/values"), &p.values), set: p.set })
            .collect();
        let images_include = app.images.include.iter().enumerate().filter_map(|(k, text)| self.reference(&format!("{at}/images/include/{k}"), text)).collect();
        App {
            values: self.paths(&format!("{at}/values"), &app.values),
            name: app.name,
            namespace: app.namespace.unwrap_or_else(|| "default".to_owned()),
            depends_on: app.depends_on,
            source,
            tag_policy,
            keyring,
            set: app.set,
            profiles,
            registry_keys: app.registry_keys,
            images_include,
            images_exclude: app.images.exclude,
            guesses: app.images.guesses,
        }
    }

    fn app_source(&mut self, at: &str, app: &types::App) -> AppSource {
        match (&app.chart, &app.manifests) {
            (Some(_), Some(_)) => {
                self.say(format!("{at}/manifests"), format!("app `{}` has both `chart` and `manifests`; it can be one of them", app.name));
                AppSource::Manifests(Vec::new())
            }
            (None, None) => {
                self.say(format!("{at}/name"), format!("app `{}` has neither `chart` nor `manifests`", app.name));
                AppSource::Manifests(Vec::new())
            }
            (None, Some(manifests)) => AppSource::Manifests(self.paths(&format!("{at}/manifests"), manifests)),
            (Some(chart), None) => self.chart(&format!("{at}/chart"), chart),
        }
    }

    fn chart(&mut self, at: &str, chart: &types::ChartSource) -> AppSource {
        let sources = [("path", &chart.path), ("oci", &chart.oci), ("repo", &chart.repo)];
        let given: Vec<&str> = sources.iter().filter(|(_, value)| value.is_some()).map(|(field, _)| *field).collect();
        if let [first, second, ..] = given.as_slice() {
            self.say(format!("{at}/{second}"), format!("`chart` has both `{first}` and `{second}`; it can be one of them"));
        }
        if chart.name.is_some() && chart.repo.is_none() {
            self.say(format!("{at}/name"), "`name` is that of a chart in a repository, and there is no `repo`");
        }
        if chart.version.is_some() && given == ["path"] {
            self.say(format!("{at}/version"), "`version` has no meaning for a chart at a path: what lies there is taken");
        }
        if chart.tag_policy.is_some() && given == ["path"] {
            self.say(format!("{at}/tagPolicy"), "`tagPolicy` has no meaning for a chart at a path: what lies there is taken");
        }
        if chart.tag_policy.is_some() && chart.version.is_some() {
            self.say(format!("{at}/tagPolicy"), "`chart` has both `version` and `tagPolicy`; it can be one of them");
        }
        let version = chart.version.clone().filter(|version| !version.trim().is_empty());
        if let Some(version) = version.as_deref().filter(|version| Constraint::parse(version).is_none()) {
            let wanted = "wanted one as in `15.2.7`, `~15.2`, `^15` or `>=15.1 <16`";
            self.say(format!("{at}/version"), format!("`{version}` is neither a version nor a range of versions: {wanted}"));
        }
        let source = if let Some(path) = &chart.path {
            ChartSource::Path(self.path(&format!("{at}/path"), path).unwrap_or_default())
        } else if let Some(oci) = &chart.oci {
            self.registry_chart(at, oci, if chart.tag_policy.is_some() { Some("tagPolicy") } else { version.as_ref().map(|_| "version") });
            ChartSource::Registry { chart: format!("oci://{}", oci.strip_prefix("oci://").unwrap_or(oci)), version }
        } else if let Some(repository) = &chart.repo {
            self.repository(&format!("{at}/repo"), repository);
            if chart.name.as_ref().is_none_or(|name| name.is_empty() || name.contains('/')) {
                self.say(at, "`chart` with `repo` needs `name`: that of the chart in the repository");
            }
            ChartSource::Repository { repository: repository.clone(), name: chart.name.clone().unwrap_or_default(), version }
        } else {
            self.say(at, "`chart` needs `path`, `oci`, or `repo` with `name`");
            ChartSource::Path(PathBuf::new())
        };
        AppSource::Chart(source)
    }

    /// `choice` is the field that would choose a version, where one is there.
    fn registry_chart(&mut self, at: &str, oci: &str, choice: Option<&str>) {
        let pointer = format!("{at}/oci");
        let written = oci.strip_prefix("oci://").unwrap_or(oci);
        match written.parse::<Reference>() {
            Err(error) => self.say(pointer, error.to_string()),
            Ok(reference) if written.split('/').next() != Some(reference.registry()) => {
                self.say(pointer, format!("`{oci}` names no registry: wanted its host first, as in oci://registry.example/charts/web"));
            }
            Ok(reference) => {
                if let Some(field) = choice.filter(|_| names_one(written, &reference)) {
                    self.say(format!("{at}/{field}"), format!("`{oci}` names a tag or a digest already, so `{field}` has no meaning"));
                }
            }
        }
    }

    /// The text travels in the archive, so nothing secret may be in it.
    fn repository(&mut self, pointer: &str, url: &str) {
        if url.strip_prefix('@').is_some_and(|name| !name.is_empty() && !name.contains('/')) {
            return;
        }
        let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
            let help = url.strip_prefix("oci://").map(|_| "a chart in a registry goes under `oci`".to_owned());
            let message = format!("`{url}` is no chart repository: wanted https://HOST/PATH, or @NAME for one that was added to helm");
            return self.findings.push(Finding { pointer: pointer.to_owned(), message, help });
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            let message = "the URL holds a user or a password, which would travel with this file".to_owned();
            let help = Some("add the repository to helm (`helm repo add NAME URL --username …`), or log in to the host with `docker login`".to_owned());
            self.findings.push(Finding { pointer: pointer.to_owned(), message, help });
        } else if host.is_empty() || url.contains(char::is_whitespace) {
            self.say(pointer, format!("`{url}` is no chart repository: wanted https://HOST/PATH"));
        }
    }

    fn names(&mut self, apps: &[App]) {
        let mut by_release: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, app) in apps.iter().enumerate() {
            if let Some(first) = by_release.insert(&app.name, i) {
                self.say(format!("/spec/apps/{i}/name"), format!("app `{}` is there twice: also as spec.apps[{first}]", app.name));
            }
        }
    }

    fn dependencies(&mut self, apps: &[App]) {
        let known: BTreeSet<&str> = apps.iter().map(|a| a.name.as_str()).collect();
        for (i, app) in apps.iter().enumerate() {
            for (k, wanted) in app.depends_on.iter().enumerate() {
                let pointer = format!("/spec/apps/{i}/dependsOn/{k}");
                if !known.contains(wanted.as_str()) {
                    let close = nearest(wanted, known.iter().copied());
                    self.findings.push(Finding {
                        pointer,
                        message: format!("app `{}` depends on `{wanted}`, which is no app of this delivery", app.name),
                        help: close,
                    });
                } else if let Some(cycle) = cycle_through(apps, i, wanted) {
                    self.say(pointer, format!("apps depend on each other in a circle: {cycle}"));
                }
            }
        }
    }

    fn image(&mut self, i: usize, image: types::ImageEntry) -> Option<ImageEntry> {
        let at = format!("/spec/images/{i}");
        if image.tag_policy.is_some() && image.archive.is_some() {
            self.say(format!("{at}/tagPolicy"), "`tagPolicy` has no meaning for an image archive: what is in it is taken");
        }
        let policy = image.tag_policy.map(|policy| self.tag_policy(&format!("{at}/tagPolicy"), &policy));
        match (image.reference, image.archive, image.docker, image.containerd) {
            (Some(text), None, None, None) => {
                let pointer = format!("{at}/ref");
                let reference = self.reference(&pointer, &text)?;
                let Some(policy) = policy else { return Some(ImageEntry::Ref(reference)) };
                if names_one(&text, &reference) {
                    self.say(pointer, format!("`{text}` names a tag or a digest already, so `tagPolicy` has nothing to choose"));
                }
                policy.map(|policy| ImageEntry::Policy { repository: reference, policy })
            }
            (None, Some(path), None, None) => self.path(&format!("{at}/archive"), &path).map(ImageEntry::Archive),
            (None, None, Some(name), None) => self.docker_image(&at, &name, policy.is_some()),
            (None, None, None, Some(name)) => self.containerd_image(&at, &name, policy.is_some()),
            (None, None, None, None) => {
                self.say(at, "an image needs `ref`, `archive`, `docker` or `containerd`");
                None
            }
            _ => {
                self.say(at, "an image has one of `ref`, `archive`, `docker` and `containerd`");
                None
            }
        }
    }

    /// An image that docker has is known there by a tag: its digests are a registry's.
    fn docker_image(&mut self, at: &str, name: &str, has_policy: bool) -> Option<ImageEntry> {
        if has_policy {
            self.say(format!("{at}/tagPolicy"), "`tagPolicy` has no meaning for an image that docker has: it is taken by its tag");
        }
        let pointer = format!("{at}/docker");
        let image = self.reference(&pointer, name)?;
        if image.digest().is_some() {
            self.say(pointer, format!("`{name}` has a digest: wanted a name with a tag, as `docker images` lists it"));
            return None;
        }
        Some(ImageEntry::Docker(image))
    }

    fn containerd_image(&mut self, at: &str, name: &str, has_policy: bool) -> Option<ImageEntry> {
        if has_policy {
            self.say(format!("{at}/tagPolicy"), "`tagPolicy` has no meaning for an image that containerd has: it is taken by its name");
        }
        self.reference(&format!("{at}/containerd"), name).map(ImageEntry::Containerd)
    }

    fn tag_policy(&mut self, at: &str, written: &types::TagPolicy) -> Option<TagPolicy> {
        let mut pattern = |field: &str, text: &str| {
            let read = Pattern::new(text);
            read.map_err(|error| self.say(format!("{at}/{field}"), error.to_string())).ok()
        };
        let regex = pattern("regex", &written.regex);
        let not = written.not.as_deref().map(|not| pattern("not", not));
        Some(TagPolicy { regex: regex?, not: not.map_or(Some(None), |not| not.map(Some))?, pick: written.pick.into() })
    }

    fn reference(&mut self, pointer: &str, text: &str) -> Option<Reference> {
        text.parse().map_err(|error: crate::oci::ReferenceError| self.say(pointer, error.to_string())).ok()
    }

    fn paths(&mut self, pointer: &str, texts: &[String]) -> Vec<PathBuf> {
        texts.iter().enumerate().filter_map(|(i, text)| self.path(&format!("{pointer}/{i}"), text)).collect()
    }

    /// What is delivered must lie where version control can hold it: beside or below delivery.yaml or its parents, named relatively.
    fn path(&mut self, pointer: &str, text: &str) -> Option<PathBuf> {
        let path = Path::new(text);
        if text.is_empty() || text.contains('\0') {
            self.say(pointer, "the path is empty or holds a NUL character");
            return None;
        }
        if path.is_absolute() || path.components().any(|c| matches!(c, Component::Prefix(_))) {
            self.say(pointer, format!("`{text}` is absolute: wanted a path relative to the delivery, so that it means the same on every machine"));
            return None;
        }
        Some(path.to_owned())
    }
}

/// Whether what is written names a tag or a digest, rather than a repository.
fn names_one(text: &str, reference: &Reference) -> bool {
    reference.digest().is_some() || text.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

impl From<types::Pick> for Pick {
    fn from(pick: types::Pick) -> Self {
        match pick {
            types::Pick::Semver => Self::Semver,
            types::Pick::Newest => Self::Newest,
            types::Pick::Lexical => Self::Lexical,
        }
    }
}

/// As the files write it.
impl From<&TagPolicy> for types::TagPolicy {
    fn from(policy: &TagPolicy) -> Self {
        let pick = match policy.pick {
            Pick::Semver => types::Pick::Semver,
            Pick::Newest => types::Pick::Newest,
            Pick::Lexical => types::Pick::Lexical,
        };
        Self { regex: policy.regex.as_str().to_owned(), pick, not: policy.not.as_ref().map(|not| not.as_str().to_owned()) }
    }
}

/// The path by which `apps[start]` reaches itself through `first`, if it does.
fn cycle_through(apps: &[App], start: usize, first: &str) -> Option<String> {
    let origin = apps[start].name.as_str();
    let mut stack = vec![vec![origin, first]];
    let mut seen = BTreeSet::new();
    while let Some(path) = stack.pop() {
        let last = *path.last()?;
        if last == origin {
            return Some(path.join(" → "));
        }
        if !seen.insert(last) {
            continue;
        }
        let next = apps.iter().find(|a| a.name == last).map(|a| a.depends_on.as_slice()).unwrap_or_default();
        for name in next {
            let mut longer = path.clone();
            longer.push(name);
            stack.push(longer);
        }
    }
    None
}

/// `did you mean …`, where one of the candidates is close.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates.map(|c| (distance(word, c), c)).min().filter(|(d, c)| *d <= (word.len().max(c.len()) / 3).max(1)).map(|(_, c)| format!("did you mean `{c}`?"))
}

/// Edits between two words, where case does not count (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(diagonal + usize::from(ca != *cb));
            diagonal = above;
        }
    }
    row[b.len()]
}

/// A key as a JSON pointer's token (RFC 6901, section 3).
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

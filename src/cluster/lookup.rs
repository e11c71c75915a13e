//! What `lookup` finds at install: the cluster, asked from the thread that renders (Helm's pkg/engine, `lookup_func.go`).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::{
    Client, Resource as _,
    api::{DynamicObject, GetParams, ListParams, Request},
};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::discovery::Catalog;
use crate::chart::engine::Lookup;

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(30);

/// `lookup` for charts that are installed. What was asked once is not asked again: every rendering of a run sees the same cluster, as
/// it was before the first write.
#[derive(Clone)]
pub struct LiveLookup {
    client: Client,
    catalog: Catalog,
    handle: Handle,
    answers: Arc<Mutex<BTreeMap<Question, Result<Value, String>>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

impl std::fmt::Debug for LiveLookup {
    /// Answers may be Secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveLookup").finish_non_exhaustive()
    }
}

impl LiveLookup {
    /// Asks through a client; `handle` is that of the runtime, whose threads do the work. It must have more than one of them, as the one
    /// that started the rendering waits for it.
    pub fn new(client: &Client, catalog: &Catalog, handle: Handle) -> Self {
        Self { client: client.clone(), catalog: catalog.clone(), handle, answers: Arc::default() }
    }

    /// The same with the kinds that are known by now.
    #[must_use]
    pub fn with_catalog(&self, catalog: &Catalog) -> Self {
        Self { catalog: catalog.clone(), ..self.clone() }
    }

    async fn ask(&self, question: &Question) -> Result<Value, String> {
        let Some(kind) = self.catalog.resolve(&question.api_version, &question.kind) else { return self.unknown(question) };
        for (what, part) in [("namespace", &question.namespace), ("resource name", &question.name)] {
            if let Some(reason) = not_a_segment(part) {
                return Err(format!("invalid {what} {part:?}: [{reason}]"));
            }
        }
        let namespace = Some(question.namespace.as_str()).filter(|namespace| kind.namespaced && !namespace.is_empty());
        let request = Request::new(DynamicObject::url_path(&kind.api, namespace));
        let request = if question.name.is_empty() { request.list(&ListParams::default()) } else { request.get(&question.name, &GetParams::default()) };
        let request = request.map_err(|error| error.to_string())?;
        match self.client.request::<Value>(request).await {
            Ok(found) if question.name.is_empty() => Ok(with_kinds(found)),
            Ok(found) => Ok(found),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(nothing()),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => Err(super::error::root_cause(&error)),
        }
    }

    /// A kind that a known API version lacks is a resource without objects for Helm; an unknown API version is an error.
    fn unknown(&self, question: &Question) -> Result<Value, String> {
        let Question { api_version, kind, name, .. } = question;
        if self.catalog.serves(api_version) {
            return Ok(if name.is_empty() { json!({"items": []}) } else { nothing() });
        }
        let slash = if api_version.contains('/') { "" } else { "/" };
        Err(format!("unable to get apiresource from unstructured: {slash}{api_version}, Kind={kind}: the server could not find the requested resource"))
    }
}

impl Lookup for LiveLookup {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String> {
        let question = Question { api_version: api_version.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers.get(&question) {
            return known.clone();
        }
        let ask = async {
            let late = |_| Err(format!("the cluster did not answer within {} s", ANSWER.as_secs()));
            tokio::time::timeout(ANSWER, self.ask(&question)).await.unwrap_or_else(late)
        };
        // Whoever renders may be a task of the very runtime that has to bring the answer; another thread may wait for it.
        let answer = std::thread::scope(|scope| scope.spawn(|| self.handle.block_on(ask)).join());
        let answer = answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        answers.insert(question, answer.clone());
        answer
    }
}

fn nothing() -> Value {
    Value::Object(Map::new())
}

/// Servers leave the kind of items out where the list tells it; client-go puts it back (unstructured, `decodeToList`).
fn with_kinds(mut list: Value) -> Value {
    let text = |list: &Value, key: &str| list[key].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&list, "apiVersion"), text(&list, "kind"));
    let kind = kind.strip_suffix("List").unwrap_or(&kind).to_owned();
    for item in list.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        if !item.contains_key("kind") && !item.contains_key("apiVersion") {
            item.insert("apiVersion".to_owned(), api_version.clone().into());
            item.insert("kind".to_owned(), kind.clone().into());
        }
    }
    list
}

/// Why a text cannot stand in a path, in apimachinery's words (api/validation/path, `IsValidPathSegmentName`).
fn not_a_segment(text: &str) -> Option<String> {
    if text == "." || text == ".." {
        return Some(format!("may not be '{text}'"));
    }
    ['/', '%'].iter().find(|illegal| text.contains(**illegal)).map(|illegal| format!("may not contain '{illegal}'"))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        chart::{self, Chart, RenderOptions},
        cluster::discovery::tests::sample,
    };

    fn answer(path: &str) -> (u16, Value) {
        let gone = |code: u16, message: &str| (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}));
        match path {
            "/api/v1/namespaces/shop/configmaps/there" => (200, json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}})),
            "/api/v1/namespaces/shop/configmaps" => (200, json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": [{"data": {"a": "b"}}]})),
            "/apis/apps/v1/deployments" => (200, json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": []})),
            "/api/v1/namespaces/kube-system" => (200, json!({"apiVersion": "v1", "kind": "Namespace"})),
            "/api/v1/namespaces/shop/services/web" => gone(403, "services \"web\" is forbidden"),
            _ => gone(404, "not found"),
        }
    }

    /// An API server with a few objects, on loopback; it counts the requests.
    async fn server() -> (String, Arc<Mutex<usize>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let count = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                let mut head = vec![0; 4096];
                let n = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..n]).into_owned();
                let path = head.split(' ').nth(1).unwrap().trim_end_matches(['?', '&']).to_owned();
                let (code, body) = answer(&path);
                let body = body.to_string();
                let text = format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
        (address, count)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn answers_are_helms() {
        let (address, count) = server().await;
        let mut config = kube::Config::new(address.parse().unwrap());
        config.default_retry = false;
        let lookup = LiveLookup::new(&Client::try_from(config).unwrap(), &sample(), Handle::current());
        let rows = [
            (["v1", "ConfigMap", "shop", "there"], Ok(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}))),
            (["v1", "ConfigMap", "shop", "gone"], Ok(json!({}))),
            // Without a namespace there is no such path; Helm asks all the same, and finds nothing.
            (["v1", "ConfigMap", "", "there"], Ok(json!({}))),
            (
                ["v1", "ConfigMap", "shop", ""],
                Ok(json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": [{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}]})),
            ),
            (["apps/v1", "Deployment", "", ""], Ok(json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": []}))),
            // What has no namespace is found whatever namespace is said.
            (["v1", "Namespace", "shop", "kube-system"], Ok(json!({"apiVersion": "v1", "kind": "Namespace"}))),
            (["v1", "Service", "shop", "web"], Err("services \"web\" is forbidden".to_owned())),
            (["v1", "Nothing", "shop", "x"], Ok(json!({}))),
            (["v1", "Nothing", "shop", ""], Ok(json!({"items": []}))),
            (
                ["none/v1", "Nothing", "", ""],
                Err("unable to get apiresource from unstructured: none/v1, Kind=Nothing: the server could not find the requested resource".to_owned()),
            ),
            (["v1", "ConfigMap", "shop", "a/../b"], Err("invalid resource name \"a/../b\": [may not contain '/']".to_owned())),
        ];
        let asked = tokio::task::spawn_blocking(move || {
            for (question, want) in &rows {
                for _ in 0..2 {
                    let [api_version, kind, namespace, name] = *question;
                    assert_eq!(&lookup.lookup(api_version, kind, namespace, name), want, "{question:?}");
                }
            }
            rows.len()
        });
        let asked = asked.await.unwrap();
        // Four of them need no server.
        assert_eq!(*count.lock().unwrap(), asked - 4, "no question is asked twice");
    }

    /// The thread that renders asks while the one that started it waits, as at install.
    #[tokio::test(flavor = "multi_thread")]
    async fn templates_see_the_cluster() {
        let (address, _) = server().await;
        let lookup = LiveLookup::new(&Client::try_from(kube::Config::new(address.parse().unwrap())).unwrap(), &sample(), Handle::current());
        let mut tree = crate::tree::FileTree::new();
        for (path, text) in [
            ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"),
            ("templates/t.yaml", "a: {{ (lookup \"v1\" \"ConfigMap\" .Values.namespace \"there\").data.a }}\n"),
            ("templates/u.yaml", "{{ if .Values.forbidden }}{{ lookup \"v1\" \"Service\" \"shop\" \"web\" }}{{ end }}"),
        ] {
            tree.insert(path.parse().unwrap(), text.into());
        }
        let chart = Chart::load(&tree).unwrap();
        let mut options = RenderOptions::new("r", "shop");
        options.lookup = Some(Arc::new(lookup));
        let render = |values: Value| chart::render(&chart, values.as_object().unwrap(), &options).map(|rendered| rendered.manifest_text());
        assert_eq!(render(json!({"namespace": "shop"})).unwrap(), "---\n# Source: c/templates/t.yaml\na: b\n");
        let error = render(json!({"namespace": "shop", "forbidden": true})).unwrap_err().to_string();
        assert!(error.ends_with("error calling lookup: services \"web\" is forbidden"), "{error}");
    }
}

//! Where the Kubernetes API is, and what is asked of it.

use std::path::{Path, PathBuf};

use http::Uri;
use wirespan_kubernetes::names::{Pattern, Wanted};

use super::option::{Kind, Opt, opt};
use super::options::NAMES;
use super::{ConfigError, Settings, Surroundings, contradiction};

/// Where Kubernetes puts a service account's token and the authority of the API server.
const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// `kubernetes-api`.
pub(super) const API: Opt = opt(
    "kubernetes-api",
    NAMES,
    Kind::Text,
    "Kubernetes' API, which is asked for what the pods of this node are called: auto (where the agent runs in a pod with a \
     service account), off, or the server's URL.",
)
.or("auto");

/// `kubernetes-node`.
pub(super) const NODE: Opt = opt(
    "kubernetes-node",
    NAMES,
    Kind::Text,
    "The name of this node, whose pods alone are asked for. In a pod it comes from spec.nodeName.",
)
.also(&["NODE_NAME"])
.like("node-1");

/// `kubernetes-credentials`.
pub(super) const CREDENTIALS_IN: Opt = opt(
    "kubernetes-credentials",
    NAMES,
    Kind::Text,
    "Folder with the files token and ca.crt, by which the agent and the API know each other. The token is read anew for \
     every request.",
)
.or(CREDENTIALS);

/// `kubernetes-labels`.
pub(super) const LABELS: Opt = opt(
    "kubernetes-labels",
    NAMES,
    Kind::Words,
    "Labels of pods that become k8s.pod.label.KEY: keys, or beginnings of keys with * behind them.",
)
.like("[team, app.kubernetes.io/*]");

/// `kubernetes-annotations`.
pub(super) const ANNOTATIONS: Opt = opt(
    "kubernetes-annotations",
    NAMES,
    Kind::Words,
    "Annotations of pods that become k8s.pod.annotation.KEY, like labels. Those that begin with resource.opentelemetry.io/ \
     are attributes in any case.",
)
.like("[example.com/owner]");

/// `kubernetes-well-known-labels`.
pub(super) const WELL_KNOWN: Opt = opt(
    "kubernetes-well-known-labels",
    NAMES,
    Kind::Switch,
    "Name services by the labels app.kubernetes.io/instance, /name and /version, where pods have them, rather than by their \
     workloads.",
)
.or("false");

/// `kubernetes-peers`.
pub(super) const PEERS: Opt = opt(
    "kubernetes-peers",
    NAMES,
    Kind::Switch,
    "Say on spans which pod, Service or node is at the other end, by the addresses that EndpointSlices and Services of the \
     whole cluster have.",
)
.or("true");

/// How the API is asked.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// The server.
    pub server: Uri,
    /// Folder with `token` and `ca.crt`.
    pub credentials: PathBuf,
    /// This node's name; empty if nobody said it.
    pub node: String,
    /// What is said of pods.
    pub wanted: Wanted,
    /// Whether peers are named.
    pub peers: bool,
}

impl KubernetesConfig {
    /// Reads the settings; `None` if the API is not to be asked.
    pub(super) fn read(settings: &Settings, surroundings: &Surroundings<'_>) -> Result<Option<Self>, ConfigError> {
        let server = match settings.text("kubernetes-api").trim() {
            "off" => None,
            "auto" => in_cluster(surroundings),
            _ => Some(settings.checked("kubernetes-api", server)?),
        };
        let Some(server) = server else { return Ok(None) };
        let node = settings.text("kubernetes-node").trim().to_string();
        let stated = settings.text("kubernetes-api") != "auto";
        if stated && node.is_empty() {
            let (api, node) = (settings.get("kubernetes-api"), settings.get("kubernetes-node"));
            return Err(contradiction(api, node, "the node whose pods are asked for must have its name"));
        }
        let patterns = |name| settings.get(name).texts.iter().map(Pattern::new).collect::<Vec<_>>();
        Ok(Some(Self {
            server,
            credentials: settings.text("kubernetes-credentials").into(),
            node,
            wanted: Wanted {
                labels: patterns("kubernetes-labels"),
                annotations: patterns("kubernetes-annotations"),
                well_known: settings.switch("kubernetes-well-known-labels")?,
            },
            peers: settings.switch("kubernetes-peers")?,
        }))
    }

    /// The token's file.
    pub fn token(&self) -> PathBuf {
        self.credentials.join("token")
    }

    /// The authority's file.
    pub fn authority(&self) -> PathBuf {
        self.credentials.join("ca.crt")
    }
}

/// What Kubernetes tells every pod of its API, if this is one with a service account.
fn in_cluster(surroundings: &Surroundings<'_>) -> Option<Uri> {
    (surroundings.read)(&Path::new(CREDENTIALS).join("token")).ok()?;
    let (host, port) =
        (surroundings.variable("KUBERNETES_SERVICE_HOST")?, surroundings.variable("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    server(&format!("https://{host}:{port}")).ok()
}

fn server(text: &str) -> Result<Uri, String> {
    let wrong = || "is no server; write auto, off, or a URL such as https://10.96.0.1:443".to_string();
    let uri: Uri = text.trim().trim_end_matches('/').parse().map_err(|_| wrong())?;
    let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match uri.scheme_str() {
        Some("https") if uri.path() == "/" && uri.query().is_none() => Ok(uri),
        Some("http") if loopback => Ok(uri),
        Some("http") => Err("would send the token without encryption; write https://".to_string()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_sent_where_others_could_read_it() {
        assert!(server("https://10.96.0.1:443").is_ok());
        assert!(server("http://127.0.0.1:8001").is_ok());
        for text in ["http://10.96.0.1", "10.96.0.1:443", "", "https://a/b", "ftp://a"] {
            assert!(server(text).is_err(), "{text}");
        }
    }
}

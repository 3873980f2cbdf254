//! What a container is called, from the files that its runtime keeps on disk: no daemon is asked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

/// A container with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name as its runtime shows it.
    pub name: String,
    /// What the service in it is called: the compose service, the Kubernetes deployment, or the name.
    pub service: String,
    /// Further resource attributes (`container.image.name`, `k8s.*`).
    pub attributes: Vec<(&'static str, String)>,
}

/// Names by container id, each looked up once. Bounded by [`Containers::MAX`].
#[derive(Debug)]
pub struct Containers {
    roots: Vec<PathBuf>,
    known: HashMap<String, Option<Arc<Container>>>,
}

impl Containers {
    /// The most ids remembered; beyond it, all are forgotten and looked up again.
    pub const MAX: usize = 4096;

    /// Looks below these file systems' roots, in this order.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, known: HashMap::new() }
    }

    /// The container of this id, if a runtime's files name it.
    pub fn get(&mut self, id: &str) -> Option<Arc<Container>> {
        if let Some(known) = self.known.get(id) {
            return known.clone();
        }
        if self.known.len() >= Self::MAX {
            self.known.clear();
        }
        let found = self
            .roots
            .iter()
            .find_map(|root| docker(root, id).or_else(|| kubernetes(root, id)).or_else(|| podman(root, id)));
        let found = found.map(Arc::new);
        self.known.insert(id.to_string(), found.clone());
        found
    }
}

/// A JSON file, unless it is unreasonably large or no regular file.
fn json(path: &Path) -> Option<Value> {
    serde_json::from_str(&super::facts::read_small(path, 4 << 20)?).ok()
}

/// Docker keeps one `config.v2.json` per container.
fn docker(root: &Path, id: &str) -> Option<Container> {
    let config = json(&root.join("var/lib/docker/containers").join(id).join("config.v2.json"))?;
    let name = config["Name"].as_str()?.trim_start_matches('/').to_string();
    let service = config["Config"]["Labels"]["com.docker.compose.service"].as_str().unwrap_or(&name).to_string();
    let image = config["Config"]["Image"].as_str().map(|image| ("container.image.name", image_name(image)));
    Some(Container { name, service, attributes: image.into_iter().collect() })
}

/// Podman keeps one list of all containers per storage.
fn podman(root: &Path, id: &str) -> Option<Container> {
    let list = json(&root.join("var/lib/containers/storage/overlay-containers/containers.json"))?;
    let container = list.as_array()?.iter().find(|container| container["id"].as_str() == Some(id))?;
    let name = container["names"][0].as_str()?.to_string();
    Some(Container { service: name.clone(), name, attributes: Vec::new() })
}

/// The kubelet links each container's log as `POD_NAMESPACE_CONTAINER-ID.log`.
fn kubernetes(root: &Path, id: &str) -> Option<Container> {
    let ending = format!("-{id}.log");
    let entries = std::fs::read_dir(root.join("var/log/containers")).ok()?;
    let file =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).find(|name| name.ends_with(&ending))?;
    let mut parts = file.strip_suffix(&ending)?.splitn(3, '_');
    let (pod, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    let mut attributes = vec![
        ("k8s.pod.name", pod.to_string()),
        ("k8s.namespace.name", namespace.to_string()),
        ("k8s.container.name", name.to_string()),
    ];
    let deployment = deployment(pod);
    if let Some(deployment) = deployment {
        attributes.push(("k8s.deployment.name", deployment.to_string()));
    }
    Some(Container { name: name.to_string(), service: deployment.unwrap_or(name).to_string(), attributes })
}

/// The deployment that a pod's name shows: `shop-7d4b9c6f5-x2k8q` is of `shop`.
///
/// Kubernetes makes the two suffixes from letters and digits without vowels (`SafeEncodeString`), which is what tells them
/// from words.
fn deployment(pod: &str) -> Option<&str> {
    let safe = |text: &str| text.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b));
    let (rest, pod_hash) = pod.rsplit_once('-')?;
    let (name, set_hash) = rest.rsplit_once('-')?;
    let fits = pod_hash.len() == 5 && safe(pod_hash) && (6..=10).contains(&set_hash.len()) && safe(set_hash);
    (fits && !name.is_empty()).then_some(name)
}

/// An image without tag and digest.
fn image_name(image: &str) -> String {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_string(),
        _ => image.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_name_shows_its_deployment() {
        assert_eq!(deployment("shop-7d4b9c6f5-x2k8q"), Some("shop"));
        assert_eq!(deployment("my-shop-5d4f8c7b6b-zt8vw"), Some("my-shop"));
        assert_eq!(deployment("postgres-0"), None);
        assert_eq!(deployment("etcd-control-plane"), None);
    }

    #[test]
    fn an_image_is_named_without_its_tag() {
        assert_eq!(image_name("nginx"), "nginx");
        assert_eq!(image_name("registry:5000/acme/shop:1.2"), "registry:5000/acme/shop");
        assert_eq!(image_name("registry:5000/acme/shop"), "registry:5000/acme/shop");
        assert_eq!(image_name("shop@sha256:00"), "shop");
    }
}

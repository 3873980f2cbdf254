//! What a container is called, from the files that its runtime keeps on disk. (Where a runtime may be asked itself, [`containers`]
//! does that.)
//!
//! [`containers`]: crate::containers

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use wirespan_kubernetes::pod;
use wirespan_kubernetes::text::{NAME, plain};

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

impl Container {
    /// A container of which the name is all that is known.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_string(), service: name.to_string(), attributes: Vec::new() }
    }

    /// What Docker says of a container, in its file and by its API.
    pub fn of_docker(described: &Value) -> Option<Self> {
        let config = &described["Config"];
        let name = plain(described["Name"].as_str()?.trim_start_matches('/'), NAME)?;
        let service = config["Labels"]["com.docker.compose.service"].as_str().and_then(|service| plain(service, NAME));
        let image = config["Image"].as_str().and_then(|image| plain(image, NAME));
        let image = image.map(|image| ("container.image.name", pod::image(image).0.to_string()));
        let service = service.unwrap_or(name).to_string();
        Some(Self { name: name.to_string(), service, attributes: image.into_iter().collect() })
    }

    /// What a runtime of Kubernetes says of a container: its name, the pod's name and namespace, and the image.
    pub fn of_runtime(name: &str, pod: Option<(&str, &str)>, image: &str) -> Option<Self> {
        let mut container = match pod {
            Some((pod, namespace)) => Self::in_pod(plain(pod, NAME)?, plain(namespace, NAME)?, plain(name, NAME)?),
            None => Self::named(plain(name, NAME)?),
        };
        if let Some(image) = plain(image, NAME) {
            container.attributes.push(("container.image.name", pod::image(image).0.to_string()));
        }
        Some(container)
    }

    /// A container of a pod of which the names are all that is known.
    fn in_pod(pod: &str, namespace: &str, name: &str) -> Self {
        let mut attributes = vec![
            ("k8s.pod.name", pod.to_string()),
            ("k8s.namespace.name", namespace.to_string()),
            ("k8s.container.name", name.to_string()),
        ];
        let deployment = deployment(pod);
        if let Some(deployment) = deployment {
            attributes.push(("k8s.deployment.name", deployment.to_string()));
        }
        Self { name: name.to_string(), service: deployment.unwrap_or(name).to_string(), attributes }
    }
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

    /// The container of this id, if a runtime's files name it. `user`: whose session it is in.
    pub fn get(&mut self, id: &str, user: Option<u32>) -> Option<Arc<Container>> {
        if let Some(known) = self.known.get(id) {
            return known.clone();
        }
        if self.known.len() >= Self::MAX {
            self.known.clear();
        }
        let of_user = |root: &Path| podman(&root.join(home(root, user?)?.trim_start_matches('/')), ".local/share", id);
        let found = self.roots.iter().find_map(|root| {
            let of_root = || podman(root, "var/lib", id);
            docker(root, id).or_else(|| kubernetes(root, id)).or_else(of_root).or_else(|| of_user(root))
        });
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
    Container::of_docker(&json(&root.join("var/lib/docker/containers").join(id).join("config.v2.json"))?)
}

/// Where a user's own files are.
fn home(root: &Path, user: u32) -> Option<String> {
    let passwd = super::facts::read_small(&root.join("etc/passwd"), 4 << 20)?;
    let home = passwd.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()?.parse() == Ok(user)).then(|| fields.nth(2).map(str::to_string)).flatten()
    })?;
    // Nothing above the root, whatever the file says.
    (home.starts_with('/') && !home.split('/').any(|part| part == "..")).then_some(home)
}

/// How Podman may keep containers' files: on an overlay as a rule, as copies (`vfs`) where users may not have one.
const DRIVERS: [&str; 4] = ["overlay", "vfs", "btrfs", "zfs"];

/// Podman keeps one list of all containers per storage and driver: root's, and each user's own.
fn podman(root: &Path, share: &str, id: &str) -> Option<Container> {
    let storage = root.join(share).join("containers/storage");
    DRIVERS.iter().find_map(|driver| {
        let list = json(&storage.join(format!("{driver}-containers/containers.json")))?;
        let container = list.as_array()?.iter().find(|container| container["id"].as_str() == Some(id))?;
        Some(Container::named(plain(container["names"][0].as_str()?, NAME)?))
    })
}

/// The kubelet links each container's log as `POD_NAMESPACE_CONTAINER-ID.log`.
fn kubernetes(root: &Path, id: &str) -> Option<Container> {
    let ending = format!("-{id}.log");
    let entries = std::fs::read_dir(root.join("var/log/containers")).ok()?;
    let file =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).find(|name| name.ends_with(&ending))?;
    let mut parts = file.strip_suffix(&ending)?.splitn(3, '_');
    let (pod, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Container::in_pod(pod, namespace, name))
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
}

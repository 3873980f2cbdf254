//! A node without a cluster: control groups as a kubelet makes them, and a server that lists and watches as the API does.
//! `cargo xtask kubernetes` has the real API server.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::wait;

/// Where control groups of version 2 are, alone or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// The control group of a container, in which processes are put; taken away with them.
pub struct Container {
    /// The pod's uid.
    pub uid: String,
    /// The container's id.
    pub id: String,
    group: PathBuf,
}

impl Container {
    /// A control group as containerd makes it without systemd.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn new(number: u32) -> Self {
        Self::of(&format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id()), number)
    }

    /// The same for a pod whose uid somebody else has given.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn of(uid: &str, number: u32) -> Self {
        Self::at(uid, number, |id| format!("kubepods/burstable/pod{uid}/{id}"))
    }

    /// A control group as Podman makes it without systemd, of no pod.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn of_podman(number: u32) -> Self {
        Self::at("", number, |id| format!("libpod_parent/wirespan-tests/libpod-{id}"))
    }

    fn at(uid: &str, number: u32, path: impl Fn(&str) -> String) -> Self {
        let (uid, id) = (uid.to_owned(), format!("{:032x}{number:032x}", std::process::id()));
        let mount = MOUNTS.iter().map(Path::new).find(|mount| mount.join("cgroup.procs").is_file());
        let group = mount.expect("control groups of version 2").join(path(&id));
        fs::create_dir_all(&group).unwrap_or_else(|e| panic!("{}: {e}", group.display()));
        Self { uid, id, group }
    }

    /// Runs a command that enters it before it becomes the program, as runc has it; waits for its end, which must be a good one.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn run(&self, command: &str) {
        let script = format!("echo $$ > {} && exec {command}", self.processes().display());
        let status = Command::new("sh").args(["-c", &script]).status().expect("sh");
        assert!(status.success(), "{command}: {status}");
    }

    /// The file that takes processes.
    pub fn processes(&self) -> PathBuf {
        self.group.join("cgroup.procs")
    }

    /// Puts a process into it.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn take(&self, pid: u32) {
        let file = self.processes();
        fs::write(&file, pid.to_string()).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Empty once its processes have ended; what others still use stays.
        wait::until_true(Duration::from_secs(5), || fs::remove_dir(&self.group).is_ok());
        let parents = self.group.ancestors().skip(1).take(3);
        parents.for_each(|parent| drop(fs::remove_dir(parent)));
    }
}

/// A container runtime that knows one container, by Docker's API.
pub struct Docker {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Docker {
    /// Listens at a socket.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn start(socket: &Path, container: &Container, name: &str) -> Self {
        let listener = UnixListener::bind(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (heard, path) = (Arc::clone(&asked), format!("/containers/{}/json", container.id));
        let known = json!({"Name": format!("/{name}"), "Config": {"Image": "registry.example/cart:1"}}).to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Ok(reading) = stream.try_clone() else { continue };
                let mut lines = BufReader::new(reading).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let (status, body) = if first.contains(&path) { ("200 OK", &*known) } else { ("404 Not Found", "{}") };
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(first);
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { asked }
    }

    /// First lines of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where the API has pods, EndpointSlices and Services.
const COLLECTIONS: [&str; 3] = ["/api/v1/pods", "/apis/discovery.k8s.io/v1/endpointslices", "/api/v1/services"];

/// Collections of the API.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Pods of the node, and of other nodes.
    Pod,
    /// EndpointSlices.
    Slice,
    /// Services.
    Service,
}

/// Lists and watches pods, EndpointSlices and Services.
pub struct Api {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    version: u64,
    collections: [Collection; 3],
    requests: Vec<String>,
}

#[derive(Default)]
struct Collection {
    objects: Vec<Value>,
    watchers: Vec<TcpStream>,
}

impl Api {
    /// A server on a port of its own, which has nothing.
    ///
    /// # Panics
    ///
    /// When the port cannot be had.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state: Arc<Mutex<State>> = Arc::default();
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&served);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { port, state }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// An object is there, or is like this now.
    pub fn put(&self, kind: Kind, object: Value) {
        self.lock().tell(kind, object, true);
    }

    /// An object is gone.
    pub fn remove(&self, kind: Kind, object: Value) {
        self.lock().tell(kind, object, false);
    }

    /// Paths that were asked for, with their queries.
    pub fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    /// Whether somebody watches everything.
    pub fn is_watched(&self) -> bool {
        self.lock().collections.iter().all(|collection| !collection.watchers.is_empty())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, kind: Kind, mut object: Value, there: bool) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let Collection { objects, watchers } = &mut self.collections[kind as usize];
        let known = objects.iter().position(|known| known["metadata"]["uid"] == object["metadata"]["uid"]);
        let kind = match (known, there) {
            (Some(at), true) => {
                objects[at] = object.clone();
                "MODIFIED"
            }
            (None, true) => {
                objects.push(object.clone());
                "ADDED"
            }
            (Some(at), false) => {
                objects.remove(at);
                "DELETED"
            }
            (None, false) => return,
        };
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        watchers.retain_mut(|watcher| write!(watcher, "{:x}\r\n{line}\r\n", line.len()).is_ok());
    }

    /// What is at a path that is no collection: one pod by its name, or the system's namespace.
    fn single(&self, path: &str) -> Option<Value> {
        if path == "/api/v1/namespaces/kube-system" {
            return Some(json!({"metadata": {"name": "kube-system", "uid": "the-cluster"}}));
        }
        let name = path.split('?').next()?.strip_prefix("/api/v1/namespaces/prod/pods/")?;
        self.collections[Kind::Pod as usize].objects.iter().find(|pod| pod["metadata"]["name"] == name).cloned()
    }
}

/// Answers the requests of one connection.
fn serve(stream: TcpStream, state: &Mutex<State>) {
    let Ok(mut answers) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        if lines.by_ref().take_while(|line| !line.is_empty()).count() > 100 {
            return;
        }
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push(path.clone());
        let collection = COLLECTIONS.iter().position(|of| path.split('?').next() == Some(of));
        let watched = collection.filter(|_| path.contains("watch=true"));
        if let Some(watched) = watched {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            if answers.write_all(head.as_bytes()).is_ok() {
                state.collections[watched].watchers.push(answers);
            }
            return;
        }
        let (status, body) = match collection {
            Some(at) => {
                let items = &state.collections[at].objects;
                ("200 OK", json!({"metadata": {"resourceVersion": state.version.to_string()}, "items": items}))
            }
            None => state.single(&path).map_or(("404 Not Found", json!({"code": 404})), |body| ("200 OK", body)),
        };
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        if answers.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

/// A pod of another node than `node-1`, with an address.
pub fn pod_elsewhere(name: &str, address: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "prod", "uid": name,
            "ownerReferences": [{"kind": "StatefulSet", "name": "edge", "uid": "edge-uid", "controller": true}]},
        "spec": {"nodeName": "node-9", "containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": address}], "hostIPs": [{"ip": "192.168.0.9"}]},
    })
}

/// An EndpointSlice with one pod.
pub fn slice(uid: &str, pod: &str, address: &str) -> Value {
    json!({
        "metadata": {"name": uid, "namespace": "prod", "uid": uid}, "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "namespace": "prod", "name": pod, "uid": pod}}],
    })
}

/// A Service with an address of its own.
pub fn service(name: &str, address: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "prod", "uid": name}, "spec": {"clusterIPs": [address]}})
}

/// A pod with one container, as a kubelet of `node` describes it.
pub fn pod(container: &Container, node: &str, name: &str, labels: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "prod", "uid": container.uid, "labels": labels,
            "ownerReferences": [{"kind": "StatefulSet", "name": "shop", "uid": "shop-uid", "controller": true}]},
        "spec": {"nodeName": node, "containers": [{"name": "web", "image": "registry.example/shop:1.2"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "web", "image": "registry.example/shop:1.2",
            "containerID": format!("containerd://{}", container.id), "restartCount": 0}]},
    })
}

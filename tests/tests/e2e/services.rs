//! The services themselves, without the agent: what the other tests stand on.

use wirespan_tests::curl;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::java::Java;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::php::{Fpm, Listens, Php};
use wirespan_tests::services::python::Python;

#[test]
fn the_chain_of_services_answers() {
    let scene = Scene::new();
    let legacy = Php::start(&scene, "");
    let payments = Java::payments(&scene, &format!("http://127.0.0.1:{}", legacy.port));
    let orders = Node::orders(&scene, &format!("http://127.0.0.1:{}", payments.port));
    let shop = Gunicorn::start(&scene, Worker::Threads(4), &orders.url(""));
    let front = Nginx::proxy(&scene, &format!("127.0.0.1:{}", shop.port));
    let reply = curl::get(&front.url("/hop/7/0"), 200);
    assert_eq!(String::from_utf8_lossy(&reply.body), "/hop/7/3\n");
}

#[test]
fn php_fpm_answers_behind_nginx() {
    let scene = Scene::new();
    let files = Python::http_server(&scene);
    let fpm = Fpm::start(&scene, "", Listens::Unix, 2);
    let front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: &fpm.location() });
    assert_eq!(curl::get(&front.url("/some/path"), 200).body, b"/some/path\n");
    assert_eq!(curl::get(&files.url("/hello.txt"), 200).body, b"hello\n");
}

#[test]
fn the_other_services_answer() {
    let scene = Scene::new();
    let faults = Node::faults(&scene);
    let proxy = Python::proxy(&scene);
    let through = format!("http://127.0.0.1:{}", proxy.port);
    let reply = curl::run(&["--noproxy", "", "-p", "-x", &through, &faults.url("/")]);
    assert_eq!((reply.exit, reply.code), (0, 200));
    let chat = Python::chat(&scene);
    Python::run(&scene, "chat_client.py", &[&format!("ws://127.0.0.1:{}/chat", chat.port)]);
    let catalog = Python::catalog(&scene, &faults.url(""));
    curl::get(&catalog.url("/hop/1/1"), 200);
    let (_shop, socket) = Gunicorn::at_unix_socket(&scene, Worker::Sync);
    let reply = curl::run(&["--unix-socket", &socket.display().to_string(), "http://localhost/plain"]);
    assert_eq!(reply.code, 200);
    let instrumented = Python::instrumented(&scene, &scene.receiver.endpoint());
    curl::get(&instrumented.url("/plain"), 200);
}

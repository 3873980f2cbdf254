//! Many requests on one connection, and connections that are older than the agent.

use wirespan_tests::expect::Expected;
use wirespan_tests::http::{Deviation, client, server};
use wirespan_tests::raw::{Client, request};
use wirespan_tests::scene::{Scene, test_process};
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;
use wirespan_tests::{curl, http};

/// A request that the test itself wrote.
fn raw(callee: &str, url: &str, code: u16) -> Expected {
    client(&test_process(), "GET", url, code).child(server(callee, "GET", url, code)).user_agent("raw")
}

#[test]
fn requests_on_a_kept_alive_connection_are_a_pair_each() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let urls: Vec<String> = (0..5).map(|n| faults.url(&format!("/alive/{n}"))).collect();
    let arguments: Vec<&str> = urls.iter().map(String::as_str).collect();
    assert_eq!(curl::run(&arguments).exit, 0);
    let traces: Vec<Expected> = urls.iter().map(|url| http::curl("faults", "GET", url, 200)).collect();
    scene.expect(&traces);
}

#[test]
fn pipelined_requests_are_a_pair_each() {
    let mut scene = Scene::new();
    let front = Nginx::start(
        &scene,
        &Settings {
            workers: 1,
            http: "",
            server: "location / { return 200 'yes'; } location /no { return 404 'no'; }",
        },
    );
    scene.trace();
    let paths = ["/first", "/no/second", "/third", "/no/fourth"];
    let mut connection = Client::to_port(front.port);
    connection.send(paths.map(|path| request("GET", front.port, path)).concat());
    let codes = paths.map(|_| connection.response());
    assert_eq!(codes, [200, 404, 200, 404]);
    let traces: Vec<Expected> =
        paths.iter().zip(codes).map(|(path, code)| raw("nginx", &front.url(path), code)).collect();
    scene.expect(&traces);
}

#[test]
fn a_request_in_pieces_is_one_exchange() {
    let mut scene = Scene::new();
    let front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: "location / { return 200 'yes'; }" });
    scene.trace();
    let mut connection = Client::to_port(front.port);
    for byte in request("GET", front.port, "/piecemeal").bytes() {
        connection.send([byte]);
    }
    assert_eq!(connection.response(), 200);
    scene.expect(&[raw("nginx", &front.url("/piecemeal"), 200)]);
}

/// Its socket is closed for the kernel before the program has read the response.
#[test]
fn a_client_that_stops_sending_still_gets_its_response() {
    let mut scene = Scene::new();
    let files = Python::http_server(&scene);
    scene.trace();
    let url = files.url("/hello.txt");
    let mut connection = Client::to_port(files.port);
    connection.send(request("GET", files.port, "/hello.txt"));
    connection.half_close();
    assert!(connection.is_closed_by_peer(), "the server answers and hangs up");
    assert!(connection.drain().ends_with(b"hello\n"));
    scene.expect(&[raw("http.server", &url, 200)]);
}

#[test]
fn a_connection_older_than_the_agent_is_traced_from_its_next_request() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let front = Nginx::start(
        &scene,
        &Settings {
            workers: 1,
            http: &format!("upstream back {{ server 127.0.0.1:{}; keepalive 4; }}", faults.port),
            server: "location / { proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ''; \
                 proxy_set_header Host $http_host; }",
        },
    );
    let mut connection = Client::to_port(front.port);
    connection.send(request("GET", front.port, "/size/10"));
    assert_eq!(connection.response(), 200);
    scene.trace();
    connection.send(request("GET", front.port, "/size/20"));
    assert_eq!(connection.response(), 200);
    let url = front.url("/size/20");
    let at_upstream = |span: Expected| span.with("network.peer.port", faults.port);
    let below = at_upstream(client("nginx", "GET", &url, 200)).lone().child(server("faults", "GET", &url, 200));
    let callee = server("nginx", "GET", &url, 200).child(below);
    let trace = client(&test_process(), "GET", &url, 200).child(callee);
    scene.expect(&[trace.user_agent("raw").bodies(None, Some(20))]);
}

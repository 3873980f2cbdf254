//! gRPC between programs of several makes: whole traces.

use wirespan_tests::expect::Expected;
use wirespan_tests::grpc::Call;
use wirespan_tests::http::Deviation;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::python::Python;

/// nginx in front of Python, `grpc_pass`: four spans of each call, while nothing else is under way.
#[test]
fn calls_through_nginx_are_one_trace() {
    let mut scene = Scene::new();
    let stock = Python::stock(&scene);
    let port = scene.port();
    let server = format!("listen 127.0.0.1:{port} http2; location / {{ grpc_pass grpc://127.0.0.1:{}; }}", stock.port);
    let _front = Nginx::start(&scene, &Settings { workers: 1, http: "", server: &server });
    scene.trace();
    Python::run(&scene, "stock_client.py", &[&port.to_string(), "one", "missing", "many", "gather", "talk"]);
    let passed = |method: &str, code: &str, messages: (i64, i64)| -> Expected {
        let method = &format!("shop.v1.Stock/{method}");
        let outer = Call { between: ("stock_client", "nginx"), port, method, code, messages: Some(messages) };
        let inner = Call { between: ("nginx", "stock"), port: stock.port, ..outer };
        outer.client().child(outer.server().child(inner.joined().lone()))
    };
    scene.expect(&[
        passed("One", "OK", (1, 1)),
        passed("One", "NOT_FOUND", (1, 0)),
        passed("Many", "OK", (1, 5)),
        passed("Gather", "OK", (3, 1)),
        passed("Talk", "OK", (2, 2)),
    ]);
}

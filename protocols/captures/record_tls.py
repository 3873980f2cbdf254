#!/usr/bin/env python3
"""Records golden captures of TLS: see README.md beside this file. Keys and certificate are made for it and thrown away."""

import subprocess
import sys

import record
from record import nginx_server


def nginx_tls_server(protocol):
    def server(work, port):
        command = nginx_server(work, port)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-keyout", work / "key.pem", "-out", work / "cert.pem", "-subj", "/CN=localhost"],
                       check=True, capture_output=True)
        configuration = work / "nginx.conf"
        configuration.write_text(configuration.read_text().replace(
            f"127.0.0.1:{port};",
            f"127.0.0.1:{port} ssl; ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; "
            f"ssl_protocols {protocol};"))
        return command
    return server


def curl_client(recorder, _):
    subprocess.run(["curl", "-sk", "--http1.1", "--connect-to", f"shop.example:443:127.0.0.1:{recorder.port}",
                    "https://shop.example/small.txt"], check=True, timeout=20, stdout=subprocess.DEVNULL)


SCENARIOS = {
    # name: (client, its version, server, its version, exchanges, leaves)
    "curl-nginx-1.3": (curl_client, "curl", nginx_tls_server("TLSv1.3"), "nginx", [], False),
    "curl-nginx-1.2": (curl_client, "curl", nginx_tls_server("TLSv1.2"), "nginx", [], False),
}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or SCENARIOS:
        record.record(wanted, SCENARIOS[wanted], "tls")

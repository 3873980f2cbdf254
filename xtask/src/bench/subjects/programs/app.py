"""The Flask application that `cargo xtask bench` puts under load."""

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/<path:name>")
def measured(name):
    return jsonify(status="ok", items=[{"id": n, "name": f"item {n}"} for n in range(10)])

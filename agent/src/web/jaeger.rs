//! Jaeger's query API.

use std::sync::Arc;

use axum::Router;

use super::Shared;

/// The addresses.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
}

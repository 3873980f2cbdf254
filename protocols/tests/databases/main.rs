//! The parsers of databases, through their public face.

mod batches;
mod bulk;
mod captures;
mod celery;
mod detection;
mod hostile;
mod late;
mod many;
mod memcached;
mod mysql;
mod postgresql;
mod redis;
mod wire;

//! The parsers of databases, through their public face.

mod captures;
mod celery;
mod detection;
mod hostile;
mod late;
mod memcached;
mod mysql;
mod postgresql;
mod redis;
mod wire;

//! The AMQP parser, through its public face.

mod captures;
mod detection;
mod gaps;
mod hostile;
mod messages;
mod properties;
mod wire;

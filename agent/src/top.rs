//! `wirespan top`: the view's table, with an agent of its own where none answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use wirespan_view::top::{self, OwnAgent, OwnError};

use crate::client::Endpoint;
use crate::config::{Config, Output, ViewConfig};
use crate::session::{Session, io_runtime};

/// Shows the table until `q`.
pub fn run(config: &Config, endpoint: Endpoint) -> ExitCode {
    top::run(&config.log, endpoint, &|| own(config))
}

/// An agent inside this process, for this table alone.
fn own(config: &Config) -> Result<(Box<dyn OwnAgent>, Endpoint), OwnError> {
    let mut config = config.clone();
    config.output = Output::None;
    config.view = Some(ViewConfig::brief(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
    let session = Session::start(&config, io_runtime()?)?;
    let address = session.view().map(|address| address.to_string()).unwrap_or_default();
    Ok((Box::new(Own(session)), Endpoint { address, socket: None, token: None }))
}

struct Own(Session);

impl OwnAgent for Own {
    fn check(&self) -> Result<(), OwnError> {
        Ok(self.0.check()?)
    }

    fn stop(self: Box<Self>) {
        self.0.stop();
    }
}

//! The one connection to the API server, for all who ask it.

use std::sync::{Arc, Mutex, PoisonError};

use wirespan_kubernetes::follow::Trouble;

use super::client::Client;
use crate::config::kubernetes::KubernetesConfig;
use crate::metrics::Counters;

/// Makes the client, and makes it anew after trouble: the authority's certificate may be another by then.
pub struct Door {
    config: KubernetesConfig,
    counters: Arc<Counters>,
    client: Mutex<Option<Client>>,
}

impl Door {
    /// Nothing is connected yet.
    pub fn new(config: KubernetesConfig, counters: Arc<Counters>) -> Self {
        Self { config, counters, client: Mutex::new(None) }
    }

    /// How the API is asked.
    pub fn config(&self) -> &KubernetesConfig {
        &self.config
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Who asks.
    ///
    /// # Errors
    /// If the authority's certificate cannot be used.
    pub fn client(&self) -> Result<Client, Trouble> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let made = Client::new(&self.config, Arc::clone(&self.counters));
        let made = made.map_err(|error| Trouble::Broken(error.to_string()))?;
        Ok(client.insert(made).clone())
    }

    /// The connection is no good any more. (What others still read from it goes on.)
    pub fn close(&self) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

//! Whether pods have their names, and nobody else's: the real API server, the real chart, and an agent that follows pods which come
//! and go. What a kubelet would do is done here: control groups of containers, processes in them, and the status of their pods.
//!
//! | module | what it is |
//! |---|---|
//! | [`cluster`] | etcd and the API server, and who may ask it |
//! | [`chart`] | the Helm chart and the file that is made of it |
//! | [`churn`] | pods that come and go under the agent |
//! | [`peers`] | whom they talk to |

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

mod chart;
mod churn;
mod cluster;
mod peers;

use cluster::Cluster;

/// What `kubernetes` takes.
#[derive(Args)]
pub struct Options {
    /// So many pods come and go.
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// So many pods of other nodes come and go and talk to this one's.
    #[arg(long, default_value_t = 1000)]
    peers: usize,
    /// Only write the file that is made of the chart.
    #[arg(long)]
    render: bool,
}

/// Runs all; an error is what does not hold.
pub fn command(options: &Options) -> Result<ExitCode> {
    if options.render {
        chart::render()?;
        return Ok(ExitCode::SUCCESS);
    }
    chart::check()?;
    let mut scene = wirespan_tests::scene::Scene::new();
    let mut cluster = Cluster::start(scene.dir())?;
    chart::install(&cluster)?;
    eprintln!("kubernetes: the chart and the file are taken by the API server, and upgraded");
    let peers = peers::run(&mut scene, &mut cluster, options.peers)?;
    println!("{}", peers.markdown());
    let tally = churn::run(scene, cluster, options.pods)?;
    println!("{}", tally.markdown());
    ensure!(peers.is_right(), "spans have a peer that is another, too few have one, or the API is asked in vain");
    ensure!(tally.is_right(), "spans have the wrong pod, or too few have one");
    Ok(ExitCode::SUCCESS)
}

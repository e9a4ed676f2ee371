//! The live view behind `make run`: a page on this machine that shows what the filters do, from Envoy's own statistics, and
//! breaks things on demand.

mod actions;
mod serve;
mod snapshot;

use crate::demo::Stage;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The live view of a stage.
pub struct Live {
    /// Where the page is.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Live {
    /// Serves the page there; port 0 is any.
    pub async fn serve(stage: Arc<Stage>, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address)
            .await
            .unwrap_or_else(|error| panic!("{address} is not free for the live view: {error}"));
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let task = tokio::spawn(serve::accept(listener, Arc::new(serve::View::new(stage))));
        Live { address, task }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

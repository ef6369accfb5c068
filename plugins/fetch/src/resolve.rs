//! Names of hosts, looked up so that it can be told from other failures when there is no such name.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use tower_service::Service;

/// Asks the system.
#[derive(Clone)]
pub(crate) struct Resolver(GaiResolver);

/// The system knows no address.
#[derive(Debug)]
pub(crate) struct UnknownName(io::Error);

impl Default for Resolver {
    fn default() -> Self {
        Self(GaiResolver::new())
    }
}

impl std::fmt::Display for UnknownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for UnknownName {}

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = UnknownName;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, UnknownName>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UnknownName>> {
        self.0.poll_ready(cx).map_err(UnknownName)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.0.call(name);
        Box::pin(async move { found.await.map_err(UnknownName) })
    }
}

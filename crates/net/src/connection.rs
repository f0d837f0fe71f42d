//! One connection, from its acceptance to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Connection;
use model::{Endpoint, SessionId};
use tokio_rustls::TlsAcceptor;

use crate::census::Seat;
use crate::certificate_name::certificate_name;
use crate::config::ListenerConfig;
use crate::protocol::{Accepted, ByteStream, Protocol};
use crate::rewind::Rewind;
use crate::server::Shared;
use crate::sniff::{Refusal, Sniffer};
use crate::stall::Stall;
use crate::tls::Agreed;

/// What all connections of one listener share.
pub(crate) struct Door {
    pub(crate) name: String,
    pub(crate) config: ListenerConfig,
    pub(crate) protocols: Vec<Arc<dyn Protocol>>,
    pub(crate) tls: Option<Agreed>,
}

/// A connection whose protocol is known.
struct Known {
    protocol: Arc<dyn Protocol>,
    stream: Box<dyn ByteStream>,
    peer: SocketAddr,
    local: SocketAddr,
    tls: bool,
    certificate: Option<Arc<str>>,
}

impl Door {
    /// The address that a client that came in by `local` is to be told.
    fn advertised(&self, local: SocketAddr) -> Endpoint {
        let seen = Endpoint::from(local);
        Endpoint {
            host: self.config.advertised_host.clone().unwrap_or(seen.host),
            port: self.config.advertised_port.unwrap_or(seen.port),
        }
    }

    async fn identify(&self, connection: Box<dyn Connection>, shared: &Shared) -> Result<Known, Refusal> {
        let (mut peer, mut local) = (connection.peer()?, connection.local()?);
        let patience = Duration::from_millis(shared.limits.now().write_stall_ms);
        let mut sniffer = Sniffer::new(Stall::new(connection, Arc::clone(&shared.clock), patience));
        if let Some(addresses) = sniffer.proxy_header(self.config.proxy_protocol).await? {
            (peer, local) = (addresses.source, addresses.destination);
        }
        let wants_tls = sniffer.is_tls(self.config.tls).await?;
        let Some(agreed) = self.tls.as_ref().filter(|_| wants_tls) else {
            let protocol = sniffer.protocol(&self.protocols).await?;
            let (seen, stream) = sniffer.into_parts();
            let stream: Box<dyn ByteStream> = Box::new(Rewind::new(seen, stream));
            return Ok(Known { protocol, stream, peer, local, tls: false, certificate: None });
        };
        let (seen, stream) = sniffer.into_parts();
        let acceptor = TlsAcceptor::from(agreed.now());
        let stream = acceptor.accept(Rewind::new(seen, stream)).await.map_err(Refusal::Handshake)?;
        shared.metrics.tls_done();
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|shown| certificate_name(shown).into());
        let mut sniffer = Sniffer::new(stream);
        let protocol = sniffer.protocol(&self.protocols).await?;
        let (seen, stream) = sniffer.into_parts();
        let stream = Box::new(Rewind::new(seen, stream));
        Ok(Known { protocol, stream, peer, local, tls: true, certificate })
    }
}

/// Finds out what a connection speaks and serves it to its end.
pub(crate) async fn run(door: Arc<Door>, connection: Box<dyn Connection>, shared: Arc<Shared>, seat: Seat) {
    let limit = shared.clock.sleep(Duration::from_millis(shared.limits.now().sniff_timeout_ms));
    let known = tokio::select! {
        known = door.identify(connection, &shared) => known,
        () = limit => Err(Refusal::Timeout),
        () = shared.drain.requested() => return,
    };
    match known {
        Ok(known) => serve(&door, known, &shared).await,
        Err(refusal) => {
            shared.metrics.refused(refusal.label());
            tracing::debug!(listener = door.name, %refusal, "connection closed before it was served");
        }
    }
    drop(seat);
}

async fn serve(door: &Door, known: Known, shared: &Shared) {
    let Known { protocol, stream, peer, local, tls, certificate } = known;
    let session = shared.next_session();
    let name = protocol.name();
    let advertised = door.advertised(local);
    let told = door.config.log_clients && shared.chatter.may_speak();
    if told {
        let shown = certificate.as_deref();
        tracing::info!(%session, protocol = name, %peer, tls, certificate = shown, listener = door.name, "client online");
    }
    let open = shared.metrics.serving(name);
    let drain = shared.drain.clone();
    let accepted = Accepted { stream, peer, local, advertised, session, tls, certificate, drain };
    tokio::select! {
        () = protocol.serve(accepted) => {}
        () = shared.cut.cancelled() => {
            tracing::info!(%session, protocol = name, %peer, "connection cut: the drain took too long");
        }
    }
    drop(open);
    if told && shared.chatter.may_speak() {
        tracing::info!(%session, protocol = name, %peer, "client offline");
    }
}

/// Session numbers start at 1: 0 is the process itself.
pub(crate) fn first_session() -> SessionId {
    SessionId(1)
}

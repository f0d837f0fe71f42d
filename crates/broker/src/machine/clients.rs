//! Who was handed messages, for the life of a message: a client is named by a record of its own, and
//! deliveries and offsets point at that record, so that they grow by a position and not by names.
//!
//! ```text
//! Client       named ms i64, protocol text, client id text, address text
//! ```
//! A client is named again once its record lies a good way behind, so that retention never takes the name
//! long before the deliveries that point at it. The record changes no state.

use std::net::SocketAddr;

use hashbrown::HashMap;
use model::{Lsn, Session};
use replica::Proposal;

use super::BrokerMachine;
use super::bytes::{Reader, Short, Writer};
use super::records::kind;
use crate::limits::{CLIENT_NAMED_AGAIN_BYTES, CLIENTS_NAMED_MAX};

/// A client as it called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientName {
    pub id: Box<str>,
    pub protocol: &'static str,
    pub address: SocketAddr,
}

impl ClientName {
    /// The caller of a verb; none inside the process.
    #[must_use]
    pub fn of(session: &Session, id: &str) -> Option<Self> {
        let is_client = session.protocol != Session::INTERNAL;
        is_client.then(|| Self { id: id.into(), protocol: session.protocol, address: session.peer })
    }
}

/// A client as a record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedClient {
    pub named_ms: i64,
    pub protocol: String,
    pub id: String,
    /// `ip:port`
    pub address: String,
}

impl NamedClient {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut out = Writer(out);
        out.i64(self.named_ms);
        out.text(&self.protocol);
        out.text(&self.id);
        out.text(&self.address);
    }

    /// # Errors
    /// If the bytes end too early.
    pub fn decode(payload: &[u8]) -> Result<Self, Short> {
        let mut from = Reader(payload);
        Ok(Self {
            named_ms: from.i64()?,
            protocol: from.text()?.to_owned(),
            id: from.text()?.to_owned(),
            address: from.text()?.to_owned(),
        })
    }
}

/// Where clients were named last. Soft: who is not known here is named again.
#[derive(Debug, Default)]
pub(super) struct NamedClients(HashMap<ClientName, Lsn>);

impl BrokerMachine {
    /// The position of the record that names a client, which is placed if need be.
    pub(super) fn name_client(&mut self, client: Option<ClientName>, proposal: &mut Proposal<'_>) -> Lsn {
        let Some(client) = client else { return Lsn::ZERO };
        let now = proposal.frame.next_lsn();
        let known = self.named.0.get(&client).copied();
        if let Some(at) = known.filter(|at| now.get() - at.get() < CLIENT_NAMED_AGAIN_BYTES) {
            return at;
        }
        let record = NamedClient {
            named_ms: proposal.now_ms,
            protocol: client.protocol.to_owned(),
            id: client.id.to_string(),
            address: model::record::canonical(client.address).to_string(),
        };
        let at = proposal.push(kind::CLIENT, |_, out| record.encode(out)).lsn;
        if self.named.0.len() >= CLIENTS_NAMED_MAX {
            self.named.0.clear();
        }
        self.named.0.insert(client, at);
        at
    }
}

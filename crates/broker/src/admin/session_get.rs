//! `session.get`: who asks, and what it may do in a word.

use model::Session;
use model::access::rules::Wish;
use model::access::{Action, Actions, ResourceKind, UserKind};
use model::admin::{AdminError, Empty, Role, SessionDescription, SessionGet};

use super::Run;
use crate::broker::Broker;

impl Run for SessionGet {
    async fn run(broker: &Broker, session: &Session, _: Empty) -> Result<SessionDescription, AdminError> {
        let cluster = broker.config.cluster.clone();
        let user = session.user.as_deref().map(str::to_owned);
        let role = user.as_deref().map_or(Role::Admin, |user| role(broker, session, user));
        Ok(SessionDescription { user, role, cluster })
    }
}

fn role(broker: &Broker, session: &Session, user: &str) -> Role {
    let Some(account) = broker.state.accounts.get(user) else { return Role::Limited };
    if account.config.kind == UserKind::Super {
        return Role::Admin;
    }
    let may = |action| {
        let wish = Wish {
            kind: ResourceKind::Cluster,
            name: &broker.config.cluster,
            actions: Actions::of(&[action]),
            from: session.peer.ip().to_canonical(),
        };
        account.rules.decide(&wish).allows()
    };
    match () {
        () if may(Action::Update) => Role::Operator,
        () if may(Action::Get) => Role::Viewer,
        () => Role::Limited,
    }
}

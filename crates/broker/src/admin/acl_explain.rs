//! `acl.explain`: whether a user may do something, and which entry says so.

use std::net::{IpAddr, Ipv4Addr};

use model::Session;
use model::access::rules::Wish;
use model::access::{Actions, Pattern, UserKind, UserStatus, Verdict};
use model::admin::{AclExplain, AdminError, ExplainRequest, Explanation};

use super::Run;
use crate::broker::Broker;

impl Run for AclExplain {
    async fn run(broker: &Broker, _: &Session, request: ExplainRequest) -> Result<Explanation, AdminError> {
        let Pattern::Literal(name) = &request.resource.pattern else {
            let reason = format!("{} is a pattern: name one thing, as `Topic:orders`", request.resource);
            return Err(AdminError::Invalid(reason));
        };
        let account = broker.account(&request.user)?;
        if account.config.status == UserStatus::Disable {
            return Ok(whole(false, format!("User:{} is disabled.", account.name)));
        }
        if account.config.kind == UserKind::Super {
            return Ok(whole(true, "a super user may do everything".to_owned()));
        }
        let wish = Wish {
            kind: request.resource.kind,
            name,
            actions: Actions::of(&[request.action]),
            from: request.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        };
        let verdict = account.rules.decide(&wish);
        let allowed = verdict.allows();
        let reason = if allowed { "the decision is allow." } else { verdict.reason() };
        Ok(match verdict {
            Verdict::Decided { by, of } => {
                Explanation { allowed, reason: reason.to_owned(), entry: Some(by.clone()), kind: Some(of) }
            }
            Verdict::NothingMatches => whole(allowed, reason.to_owned()),
        })
    }
}

const fn whole(allowed: bool, reason: String) -> Explanation {
    Explanation { allowed, reason, entry: None, kind: None }
}

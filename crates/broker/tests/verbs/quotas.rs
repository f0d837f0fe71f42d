//! Quotas of the catalogue: kept, listed, deleted.

use model::admin::{
    self, AdminError, QuotaDelete, QuotaGet, QuotaList, QuotaListRequest, QuotaPut, QuotaRequest,
};
use model::quota::{Quota, QuotaLimits, QuotaScope};

use crate::bench::Bench;

fn quota(scope: QuotaScope, name: &str, per_s: u64) -> Quota {
    let limits = QuotaLimits { send_messages_per_s: Some(per_s), ..QuotaLimits::default() };
    Quota { scope, name: name.to_owned(), limits }
}

fn named(scope: QuotaScope, name: &str) -> QuotaRequest {
    QuotaRequest { scope, name: name.to_owned() }
}

async fn list(bench: &Bench) -> Vec<Quota> {
    let request = QuotaListRequest::default();
    admin::run::<QuotaList>(&*bench.broker, &bench.session, request).await.expect("listed")
}

#[tokio::test]
async fn quotas_outlive_restarts() {
    let mut bench = Bench::new();
    for quota in [
        quota(QuotaScope::Client, "*", 5),
        quota(QuotaScope::Topic, "t", 1),
        quota(QuotaScope::Topic, "t", 7),
        quota(QuotaScope::User, "ann", 9),
    ] {
        admin::run::<QuotaPut>(&*bench.broker, &bench.session, quota).await.expect("put");
    }
    let all = vec![
        quota(QuotaScope::Client, "*", 5),
        quota(QuotaScope::User, "ann", 9),
        quota(QuotaScope::Topic, "t", 7),
    ];
    assert_eq!(list(&bench).await, all);
    bench.restart().await;
    assert_eq!(list(&bench).await, all);
    assert!(bench.broker.quotas().is_used());
    for quota in &all {
        let request = named(quota.scope, &quota.name);
        let got = admin::run::<QuotaGet>(&*bench.broker, &bench.session, request.clone()).await;
        assert_eq!(&got.expect("there"), quota);
        admin::run::<QuotaDelete>(&*bench.broker, &bench.session, request).await.expect("deleted");
    }
    bench.restart().await;
    assert_eq!(list(&bench).await, []);
    assert!(!bench.broker.quotas().is_used());
}

#[tokio::test]
async fn what_is_no_quota_is_refused() {
    let bench = Bench::new();
    let put = admin::run::<QuotaPut>(&*bench.broker, &bench.session, quota(QuotaScope::Topic, "t", 0)).await;
    assert!(matches!(put, Err(AdminError::Invalid(_))), "{put:?}");
    let missing = named(QuotaScope::Topic, "t");
    let got = admin::run::<QuotaGet>(&*bench.broker, &bench.session, missing.clone()).await;
    assert!(matches!(got, Err(AdminError::NotFound(_))), "{got:?}");
    let deleted = admin::run::<QuotaDelete>(&*bench.broker, &bench.session, missing).await;
    assert!(matches!(deleted, Err(AdminError::NotFound(_))), "{deleted:?}");
}

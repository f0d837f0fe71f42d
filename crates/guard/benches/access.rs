//! What a call costs where access control is on: the signature of a 4.x send, of a 5.x call, and leave.

use std::sync::Arc;

use base::Seal;
use divan::{Bencher, black_box};
use guard::{Access, AccessConfig, Action, Permit};
use hmac::{Hmac, KeyInit as _, Mac as _};
use model::access::{
    Accounts, Authenticate, Policy, PolicyEntry, PolicyKind, UserConfig, UserKind, UserName, UserStatus,
};
use model::{GroupName, Session, TopicName};
use sha1::Sha1;

fn main() {
    divan::main();
}

/// A user with so many entries, the last of which lets it in.
fn access(entries: usize, is_enabled: bool) -> Access {
    let accounts = Arc::new(Accounts::default());
    let config = AccessConfig { is_enabled, shows_passwords: false, cluster: "c".to_owned() };
    let access = Access::new(config, Arc::clone(&accounts), Seal::passing().expect("chance is to be had"));
    let user: UserName = "alice".parse().expect("legal");
    let sealed = access.seal("alice", "secret").expect("sealed");
    let config = UserConfig { kind: UserKind::Normal, status: UserStatus::Enable, sealed };
    accounts.put(user.clone(), config);
    let entry = |resource: String| PolicyEntry {
        resource: resource.parse().expect("legal"),
        actions: vec!["All".parse().expect("legal")],
        source_ips: Vec::new(),
        decision: "Allow".parse().expect("legal"),
    };
    let mut all: Vec<PolicyEntry> = (0..entries).map(|n| entry(format!("Topic:other-{n}"))).collect();
    all.push(entry("Topic:orders*".to_owned()));
    all.push(entry("Group:*".to_owned()));
    accounts.put_policies(&user, vec![Policy { kind: PolicyKind::Custom, entries: all }]);
    access
}

#[divan::bench(args = [16, 300, 1_400])]
fn signature(bencher: Bencher<'_, '_>, bytes: usize) {
    let access = access(1, true);
    let content = vec![b'x'; bytes];
    let mut mac = Hmac::<Sha1>::new_from_slice(b"secret").expect("any length");
    mac.update(&content);
    let signature = mac.finalize().into_bytes();
    bencher.bench(|| access.signed(black_box("alice"), &content, &signature).expect("good"));
}

fn may(bencher: Bencher<'_, '_>, access: &Access) {
    let session = Session { protocol: "test", user: Some("alice".into()), ..Session::internal() };
    let topic = TopicName::new("orders-eu").expect("legal");
    let group = GroupName::new("billing").expect("legal");
    let action = Action::Consume { topic: &topic, group: Some(&group) };
    bencher.bench(|| access.may(black_box(&session), action).expect("allowed"));
}

#[divan::bench(args = [1, 1_000])]
fn leave_to_receive(bencher: Bencher<'_, '_>, entries: usize) {
    may(bencher, &access(entries, true));
}

#[divan::bench]
fn leave_to_receive_while_off(bencher: Bencher<'_, '_>) {
    may(bencher, &access(1, false));
}

//! Operations that need more than leave: passwords are sealed on their way in and taken out on their way
//! out, only super users change super users, and lists tell what one may see.

use model::Session;
use model::access::{Action, Actions, ResourceKind, UserKind};
use model::admin::AdminError;
use model::limits::PASSWORD_BYTES_MAX;
use serde_json::{Map, Value};

use super::{Access, decide};

type Fields = Map<String, Value>;

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name)?.as_str()
}

pub(super) fn prepare(
    access: &Access,
    session: &Session,
    operation: &str,
    mut request: Value,
) -> Result<Value, AdminError> {
    if let ("user.put" | "user.delete", Value::Object(fields)) = (operation, &mut request) {
        check_super(access, session, operation, fields)?;
        seal_password(access, fields)?;
    }
    Ok(request)
}

/// The texts are RocketMQ's.
fn check_super(
    access: &Access,
    session: &Session,
    operation: &str,
    fields: &Fields,
) -> Result<(), AdminError> {
    let is_super = access.subject(session).map_err(AdminError::Denied)?.is_none();
    if is_super {
        return Ok(());
    }
    let before = text(fields, "user").and_then(|user| access.accounts.get(user));
    if before.is_some_and(|account| account.config.kind == UserKind::Super) {
        return Err(AdminError::Denied("The super user can only be update by super user".to_owned()));
    }
    let wanted = text(fields, "kind").is_some_and(|kind| kind.eq_ignore_ascii_case(UserKind::Super.name()));
    if operation == "user.put" && wanted {
        return Err(AdminError::Denied("The super user can only be create by super user".to_owned()));
    }
    Ok(())
}

fn seal_password(access: &Access, fields: &mut Fields) -> Result<(), AdminError> {
    if fields.get("sealed").is_some_and(|sealed| !sealed.is_null()) {
        return Err(AdminError::Invalid("a user has no field `sealed`: give its `password`".to_owned()));
    }
    let password = match fields.remove("password") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(password)) if !password.trim().is_empty() => password,
        // The text is RocketMQ's.
        Some(_) => return Err(AdminError::Invalid("password can not be blank".to_owned())),
    };
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(AdminError::Invalid(format!("a password has at most {PASSWORD_BYTES_MAX} bytes")));
    }
    let user = text(fields, "user").unwrap_or_default();
    let sealed = access.seal(user, &password)?;
    fields.insert("sealed".to_owned(), sealed.into());
    Ok(())
}

pub(super) fn finish(access: &Access, session: &Session, operation: &str, mut answer: Value) -> Value {
    match (operation, &mut answer) {
        ("user.get", Value::Object(user)) => tell_user(access, session, user),
        ("user.list", Value::Array(users)) => {
            for user in users.iter_mut().filter_map(Value::as_object_mut) {
                tell_user(access, session, user);
            }
        }
        ("health.list", answer) => keep_visible_health(access, session, answer),
        ("topic.list", Value::Array(topics)) => keep_visible(access, session, ResourceKind::Topic, topics),
        ("group.list", Value::Array(groups)) => keep_visible(access, session, ResourceKind::Group, groups),
        _ => {}
    }
    answer
}

fn tell_user(access: &Access, session: &Session, user: &mut Fields) {
    let sealed = user.remove("sealed");
    let told =
        access.config.shows_passwords && access.subject(session).is_ok_and(|account| account.is_none());
    let Some(Value::String(sealed)) = sealed.filter(|_| told) else { return };
    let password = text(user, "user").and_then(|name| access.seal.open(name, &sealed));
    if let Some(password) = password {
        user.insert("password".to_owned(), password.into());
    }
}

/// Troubles are told of what one may see; those of producers and the node only to who may look at the cluster.
fn keep_visible_health(access: &Access, session: &Session, report: &mut Value) {
    let Some(items) = report.get_mut("items").and_then(Value::as_array_mut) else { return };
    let mut visible = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        let kind = match item.get("subject").and_then(Value::as_str) {
            Some("topic") => ResourceKind::Topic,
            Some("group") => ResourceKind::Group,
            _ => ResourceKind::Cluster,
        };
        let mut one = vec![item];
        keep_visible(access, session, kind, &mut one);
        visible.append(&mut one);
    }
    *items = visible;
}

/// Who may look at the cluster sees all; others what they may do something with.
fn keep_visible(access: &Access, session: &Session, kind: ResourceKind, things: &mut Vec<Value>) {
    let Ok(Some(account)) = access.subject(session) else { return };
    let look = Actions::of(&[Action::Get, Action::List]);
    if decide(&account, session, ResourceKind::Cluster, &access.config.cluster, look).is_ok() {
        return;
    }
    let anything = Actions::of(Action::ALL_OF);
    things.retain(|thing| {
        let name = thing.get("name").and_then(Value::as_str).unwrap_or_default();
        decide(&account, session, kind, name, anything).is_ok()
    });
}

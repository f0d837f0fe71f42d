//! Small settings kept by the name server (`DefaultRequestProcessor`): which topics keep a
//! global order is the only one that clients read.

use model::admin::{
    self, KeyValueGet, KeyValueList, KeyValueListRequest, KeyValuePut, KeyValuePutRequest, KeyValueRequest,
};

use crate::code::response;
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::handlers::{Answer, done, success};
use crate::header::Fields;
use crate::json::{self, KeyValueTable};
use crate::link::Link;

fn named(fields: &Fields) -> Result<(String, String), Failure> {
    Ok((fields.required("namespace")?.to_owned(), fields.required("key")?.to_owned()))
}

pub(super) async fn get(link: &Link, request: &Command) -> Answer {
    let (namespace, key) = named(&request.fields)?;
    let missing = format!("No config item, Namespace: {namespace} Key: {key}");
    let ask = KeyValueRequest { namespace, key };
    match admin::run::<KeyValueGet>(link.engine(), &link.session, ask).await? {
        Some(value) => Ok(success(Fields::new().with("value", value), Body::default())),
        None => Err(Failure::new(response::QUERY_NOT_FOUND, missing)),
    }
}

pub(super) async fn put(link: &Link, request: &Command) -> Answer {
    let value = request.fields.required("value")?.to_owned();
    set(link, request, Some(value)).await
}

pub(super) async fn delete(link: &Link, request: &Command) -> Answer {
    set(link, request, None).await
}

async fn set(link: &Link, request: &Command, value: Option<String>) -> Answer {
    let (namespace, key) = named(&request.fields)?;
    let ask = KeyValuePutRequest { namespace, key, value };
    admin::run::<KeyValuePut>(link.engine(), &link.session, ask).await?;
    Ok(done())
}

pub(super) async fn list(link: &Link, request: &Command) -> Answer {
    let namespace = request.fields.required("namespace")?.to_owned();
    let missing = format!("No config item, Namespace: {namespace}");
    let table =
        admin::run::<KeyValueList>(link.engine(), &link.session, KeyValueListRequest { namespace }).await?;
    if table.is_empty() {
        return Err(Failure::new(response::QUERY_NOT_FOUND, missing));
    }
    Ok(success(Fields::new(), json::write(&KeyValueTable { table })))
}

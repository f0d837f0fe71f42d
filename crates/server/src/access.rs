//! Access control, put together: the key in the data folder, the users in the log, and the first of them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base::Seal;
use broker::Broker;
use guard::{Access, AccessConfig, AuthConfig};
use model::Session;
use model::access::{UserKind, UserName};
use model::admin::{self, UserPut, UserPutMode, UserPutRequest};
use prometheus_client::registry::Registry;

use crate::config::Config;

const KEY_FILE: &str = "auth.key";

pub(crate) fn access(broker: &Arc<Broker>, config: &Config, registry: &mut Registry) -> Result<Arc<Access>> {
    let path = match config.auth.key_file.as_os_str().is_empty() {
        true => config.data.dir.join(KEY_FILE),
        false => PathBuf::from(&config.auth.key_file),
    };
    let seal = Seal::load(&path).with_context(|| format!("cannot use the key in {}", path.display()))?;
    let settings = AccessConfig {
        is_enabled: config.auth.enabled.unwrap_or_default(),
        shows_passwords: config.auth.show_passwords,
        cluster: broker.config().cluster.clone(),
    };
    let access = Access::new(settings, Arc::clone(broker.accounts()), seal);
    access.register_metrics(registry);
    Ok(Arc::new(access))
}

/// Somebody must be able to make the others.
pub(crate) async fn make_init_user(broker: &Arc<Broker>, access: &Access, config: &AuthConfig) -> Result<()> {
    if config.init_user.is_empty() {
        if config.enabled.unwrap_or_default() && broker.accounts().is_empty() {
            bail!(
                "auth.enabled is true, but there is no user, so nobody could do anything: set \
                 auth.init_user and auth.init_password"
            );
        }
        return Ok(());
    }
    let user: UserName = config
        .init_user
        .parse()
        .map_err(anyhow::Error::msg)
        .context("auth.init_user cannot be the name of a user")?;
    if broker.accounts().get(user.as_str()).is_some() {
        return Ok(());
    }
    let sealed = access.seal(user.as_str(), &config.init_password.0)?;
    let request = UserPutRequest {
        user: user.clone(),
        password: None,
        sealed: Some(sealed),
        kind: Some(UserKind::Super),
        status: None,
        mode: UserPutMode::Create,
    };
    admin::run::<UserPut>(&**broker, &Session::internal(), request)
        .await
        .context("the first user cannot be made")?;
    tracing::info!(%user, "made the super user that the settings name");
    Ok(())
}

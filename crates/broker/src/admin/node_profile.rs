//! `node.profile`: what the process spends its processor time on.

use std::sync::Arc;
use std::time::Duration;

use base::profile::{ProfileError, Profiling};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Session;
use model::admin::{AdminError, NodeProfile, ProfileAnswer, ProfileRequest};
use parking_lot::Mutex;

use super::Run;
use crate::broker::Broker;
use crate::limits::{PROFILE_SECONDS, PROFILE_SECONDS_MAX};

impl Run for NodeProfile {
    async fn run(broker: &Broker, _: &Session, request: ProfileRequest) -> Result<ProfileAnswer, AdminError> {
        let seconds = request.seconds.unwrap_or(PROFILE_SECONDS);
        if !(1..=PROFILE_SECONDS_MAX).contains(&seconds) {
            let text = format!("`seconds` is from 1 to {PROFILE_SECONDS_MAX}, not {seconds}");
            return Err(AdminError::Invalid(text));
        }
        // Ends when the caller goes.
        let profiling = Profiling::begin().map_err(told)?;
        broker.doors.clock.sleep(Duration::from_secs(seconds)).await;
        let slot = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&slot);
        let work = move || *slot.lock() = Some(profiling.finish());
        broker.doors.spawn.blocking(Box::new(work)).await;
        let finished = answer.lock().take();
        let broke_off = || AdminError::Internal("the profile broke off".to_owned());
        let profile = finished.ok_or_else(broke_off)?.map_err(told)?;
        Ok(ProfileAnswer { seconds, looks: profile.looks, pprof_gz: STANDARD.encode(profile.pprof_gz) })
    }
}

fn told(error: ProfileError) -> AdminError {
    match error {
        ProfileError::Busy => AdminError::Unavailable(error.to_string()),
        ProfileError::Failed(_) => AdminError::Internal(error.to_string()),
    }
}

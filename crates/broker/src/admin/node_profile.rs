//! `node.profile`: what the process spends its processor time on.

use std::time::Duration;

use base::profile::{Profile, ProfileError, Profiling};
use model::Session;
use model::admin::{AdminError, NodeProfile, ProfileAnswer, ProfileRequest};

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
        let profiling = Profiling::begin(&*broker.doors.spawn).await.map_err(told)?;
        broker.doors.clock.sleep(Duration::from_secs(seconds)).await;
        let Profile { looks, lost, threads_left_out, folded } = profiling.finish().await.map_err(told)?;
        Ok(ProfileAnswer { seconds, looks, lost, threads_left_out, folded })
    }
}

fn told(error: ProfileError) -> AdminError {
    match error {
        ProfileError::Busy | ProfileError::Refused(_) => AdminError::Unavailable(error.to_string()),
        ProfileError::Failed(_) => AdminError::Internal(error.to_string()),
    }
}

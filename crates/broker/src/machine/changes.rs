//! Changes of the catalogue as events. Looked at before a change is applied, so that what it ends still has
//! its name. Topics of the system and of retries come and go by themselves, and are not told of.

use model::TopicName;

use super::BrokerMachine;
use super::records::Catalogue;
use crate::events::Event;

fn is_told(topic: &TopicName) -> bool {
    !topic.is_retry() && !topic.is_system()
}

impl BrokerMachine {
    pub(super) fn note_catalogue(&mut self, change: &Catalogue) {
        let event = match change {
            Catalogue::TopicPut { config, .. } if is_told(&config.name) => {
                let is_new = self.state.topic(&config.name).is_none();
                Event::TopicPut { config: Box::new(config.clone()), is_new }
            }
            Catalogue::TopicDelete { id } => match self.state.topic_by_id(*id) {
                Some(topic) if is_told(&topic.config.name) => {
                    Event::TopicDeleted { topic: topic.config.name.clone() }
                }
                _ => return,
            },
            Catalogue::GroupPut { config, .. } => {
                let is_new = self.state.group(&config.name).is_none();
                Event::GroupPut { config: Box::new(config.clone()), is_new }
            }
            Catalogue::GroupDelete { id, clean_offsets } => match self.state.group_by_id(*id) {
                Some(group) => {
                    let group = group.config.name.clone();
                    Event::GroupDeleted { group, clean_offsets: *clean_offsets }
                }
                None => return,
            },
            Catalogue::UserPut { user, .. } => Event::UserPut { user: user.clone() },
            Catalogue::UserDelete { user } => Event::UserDeleted { user: user.clone() },
            Catalogue::PoliciesPut { user, policies } => {
                let entries = policies.iter().map(|policy| policy.entries.len()).sum();
                Event::PoliciesPut { user: user.clone(), entries }
            }
            Catalogue::QuotaPut { quota } => Event::QuotaPut { quota: Box::new(quota.clone()) },
            Catalogue::QuotaDelete { scope, name } => {
                Event::QuotaDeleted { scope: *scope, name: name.clone() }
            }
            Catalogue::TopicPut { .. } | Catalogue::KeyValue { .. } => return,
        };
        self.changes.push(event);
    }
}
